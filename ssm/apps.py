"""Start of the wiring app: roles exist after every migration."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class SsmConfig(AppConfig):
    """Holds the commands, the template tags and the roles."""

    name = "ssm"
    verbose_name = "SSM"

    def ready(self) -> None:
        # Models cannot be imported before all apps are loaded.
        from ssm import checks  # noqa: F401 - registers them
        from ssm.accounts.signals import connect
        from ssm.lib.roles import ensure_roles

        connect()
        # Sent for apps with models only, in order: after the last of ours, the permissions of all exist.
        post_migrate.connect(ensure_roles, sender=apps.get_app_config("containers"), dispatch_uid="ssm.ensure_roles")
