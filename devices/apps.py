"""Django's record of this app."""

from django.apps import AppConfig
from django.conf import settings

from devices.connections import pool


class DevicesConfig(AppConfig):
    """The app devices."""

    name = "devices"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Give the connection pool this installation's limits."""
        pool.configure(
            most_handshakes=settings.SSM_HANDSHAKES_AT_ONCE,
            most_connections=settings.SSM_CONNECTIONS_KEPT,
            idle_s=settings.SSM_CONNECTION_IDLE_SECONDS,
        )
