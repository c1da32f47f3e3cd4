"""Start of the wiring app: roles exist after every migration."""

from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import post_migrate, post_save


class SsmConfig(AppConfig):
    """Holds the commands, the template tags and the roles."""

    name = "ssm"
    verbose_name = "SSM"

    def ready(self) -> None:
        # Models cannot be imported before all apps are loaded.
        # The Celery app has to be there before anybody hands work to it.
        from ssm import celery, checks  # noqa: F401 - they register themselves
        from ssm.accounts.signals import connect
        from ssm.lib.log_json import take_over
        from ssm.lib.roles import ensure_roles

        if settings.SSM_LOG_FORMAT == "json":
            take_over()
        connect()
        post_save.connect(_on_device, sender="devices.Device", dispatch_uid="ssm.device")
        # Sent for apps with models only, in order: after the last of ours, the permissions of all exist.
        post_migrate.connect(ensure_roles, sender=apps.get_app_config("containers"), dispatch_uid="ssm.ensure_roles")


def _on_device(created: bool, update_fields: Any = None, **_: Any) -> None:  # noqa: FBT001 - Django's signature
    """Groups of a device decide who may see it: streams look again when they may have changed."""
    from ssm.accounts.rights_news import announce

    if not created and (update_fields is None or "groups" in update_fields):
        announce()
