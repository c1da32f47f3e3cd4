"""The Django admin of this app; devices get the actions that only this app can do."""

from django.contrib import admin

from containers.admin import activity, inventory  # noqa: F401 - they register
from containers.admin.acts import check_updates, sweep, test_connection
from devices.models import Device

admin.site.extend(Device, test_connection, sweep, check_updates)  # type: ignore[attr-defined]
