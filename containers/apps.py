"""Django's record of this app."""

from django.apps import AppConfig


class ContainersConfig(AppConfig):
    """The app containers."""

    name = "containers"
    default_auto_field = "django.db.models.BigAutoField"
