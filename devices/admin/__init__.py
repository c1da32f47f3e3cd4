"""The Django admin of this app."""

from devices.admin import credentials, devices, keys  # noqa: F401 - they register
