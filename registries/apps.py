"""Django's record of this app."""

from django.apps import AppConfig


class RegistriesConfig(AppConfig):
    """The app registries."""

    name = "registries"
    default_auto_field = "django.db.models.BigAutoField"
