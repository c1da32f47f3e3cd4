"""Start of the wiring app: roles exist after every migration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SsmConfig(AppConfig):
    """Holds the commands, the template tags and the roles."""

    name = "ssm"
    verbose_name = "SSM"

    def ready(self) -> None:
        # Models cannot be imported before all apps are loaded.
        from ssm.lib.roles import ensure_roles

        post_migrate.connect(ensure_roles, sender=self, dispatch_uid="ssm.ensure_roles")
