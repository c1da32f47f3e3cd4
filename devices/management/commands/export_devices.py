"""`manage.py export_devices`: a file of all devices, with the log-ins and groups that they use, without secrets."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model

from devices.transfer import document
from ssm.lib.transfer_commands import ExportCommand


class Command(ExportCommand):
    """Write all devices, with the log-ins and groups that they use to a file, without secrets."""

    help = __doc__

    def document(self) -> Mapping[str, Any]:
        """All of them: whoever may run this command reads the database anyway."""
        return document(get_user_model()(username="manage.py", is_superuser=True, is_active=True, pk=0))
