"""`manage.py import_devices`: take devices, with the log-ins and groups that they use over from a file."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from devices.transfer import WHAT, apply, plan
from ssm.lib.roles import Right, can_everywhere
from ssm.lib.transfer import Planned, Result
from ssm.lib.transfer_commands import ImportCommand


class Command(ImportCommand):
    """Take devices with their log-ins and groups over from a file: a preview, and with --apply the import."""

    help = __doc__
    what = WHAT
    has_host_keys = True

    def check_user(self, user: User) -> None:
        """Who is recorded has to be somebody who may."""
        if not can_everywhere(user, Right.MANAGE_DEVICES):
            raise CommandError(f"{user.get_username()} may not manage all devices.")

    def plan(self, document: Mapping[str, Any]) -> list[Planned]:
        """What would become of each entry."""
        return plan(document)

    def apply(self, planned: Sequence[Planned], chosen: Collection[str], user: User, *, trust: bool) -> list[Result]:
        """Do it."""
        return apply(planned, chosen, user, trust_keys=trust)
