"""`manage.py export_registries`: a file of all accounts at registries, without secrets."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model

from registries.transfer import document
from ssm.lib.transfer_commands import ExportCommand


class Command(ExportCommand):
    """Write all accounts at registries to a file, without secrets."""

    help = __doc__

    def document(self) -> Mapping[str, Any]:
        """All of them: whoever may run this command reads the database anyway."""
        return document(get_user_model()(username="manage.py", is_superuser=True, is_active=True, pk=0))
