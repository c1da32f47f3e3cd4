"""Django's record of this app."""

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    """The app devices."""

    name = "devices"
    default_auto_field = "django.db.models.BigAutoField"
