"""Follow the event streams of all watched devices until the process is told to end."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from containers.events.footprint import use_few_arenas
from containers.events.leases import Leases
from containers.events.listener import run_until_signal
from ssm.lib.presence import announce


class Command(BaseCommand):
    """The listener process. Several may run: they share the devices."""

    help = __doc__
    # They would load every view and form; `manage.py up` and `make check` run them.
    requires_system_checks = ()

    def handle(self, **_options: Any) -> None:
        use_few_arenas()
        told = announce("listener")
        try:
            run_until_signal(Leases(settings.REDIS_URL))
        finally:
            told.close()
