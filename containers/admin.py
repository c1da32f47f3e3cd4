"""Inventory and activity in the Django admin: to look at. Hosts and operations write them, nobody edits them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from containers.models import (
    Backup,
    BackupPlan,
    Container,
    Event,
    Image,
    Network,
    Operation,
    UpdatePolicy,
    UpdateStatus,
    Volume,
)
from ssm.lib.fields import EncryptedTextField


class LookOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that cannot be added, changed or deleted by hand; what is encrypted is not shown."""

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The class's own, and all secret columns."""
        secret = [field.name for field in self.model._meta.local_fields if isinstance(field, EncryptedTextField)]
        return [*(super().get_exclude(request, obj) or ()), *secret]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Never; whoever has the view permission may look."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Never by hand: they expire, or go with their device."""
        return False


@admin.register(Container)
class ContainerAdmin(LookOnlyAdmin):
    """Containers of all devices; environment variables are shown on the container's page, by permission."""

    list_display = ("name", "device", "state", "health", "image_reference", "changed_at", "removed_at")
    list_filter = ("state", "health", "device")
    list_select_related = ("device",)
    search_fields = ("name", "display_name", "image_reference", "engine_id")


@admin.register(Operation)
class OperationAdmin(LookOnlyAdmin):
    """What was done."""

    list_display = ("created_at", "kind", "target_name", "device_name", "state", "requested_by_name", "error_message")
    list_filter = ("state", "kind")
    search_fields = ("target_name", "device_name", "requested_by_name")
    date_hierarchy = "created_at"


@admin.register(Event)
class EventAdmin(LookOnlyAdmin):
    """What happened on the hosts."""

    list_display = ("time", "device", "kind", "action", "actor_name")
    list_filter = ("kind", "device")
    list_select_related = ("device",)
    search_fields = ("actor_name", "actor_id", "action")
    date_hierarchy = "time"
    show_full_result_count = False


@admin.register(Image)
class ImageAdmin(LookOnlyAdmin):
    """Images of all devices."""

    list_display = ("__str__", "device", "architecture", "size_bytes", "shared_bytes", "created_at", "changed_at")
    list_filter = ("device", "architecture")
    list_select_related = ("device",)
    search_fields = ("engine_id", "repo_tags")
    exclude = ("history", "layers")
    show_full_result_count = False


@admin.register(Network)
class NetworkAdmin(LookOnlyAdmin):
    """Networks of all devices."""

    list_display = ("name", "device", "driver", "scope", "internal", "compose_project", "created_at", "changed_at")
    list_filter = ("driver", "scope", "device")
    list_select_related = ("device",)
    search_fields = ("name", "engine_id", "compose_project")
    show_full_result_count = False


@admin.register(UpdateStatus)
class UpdateStatusAdmin(LookOnlyAdmin):
    """What was decided about updates."""

    list_display = ("container", "state", "reason", "image", "change", "offered_tag", "known_at", "evaluated_at")
    list_filter = ("state", "change", "reason")
    list_select_related = ("container__device",)
    search_fields = ("container__name", "repository", "offered_tag")
    show_full_result_count = False


@admin.register(UpdatePolicy)
class UpdatePolicyAdmin(LookOnlyAdmin):
    """What users decided about updates; made and undone on the pages of updates."""

    list_display = (
        "__str__",
        "container",
        "registry",
        "repository",
        "tag",
        "created_by_name",
        "created_at",
        "ended_at",
    )
    list_filter = ("kind",)
    list_select_related = ("container__device",)
    search_fields = ("repository", "ignored", "created_by_name")


@admin.register(Volume)
class VolumeAdmin(LookOnlyAdmin):
    """Volumes of all devices."""

    list_display = ("name", "device", "driver", "is_anonymous", "size_bytes", "size_at", "created_at")
    list_filter = ("driver", "is_anonymous", "device")
    list_select_related = ("device",)
    search_fields = ("name",)
    show_full_result_count = False


@admin.register(Backup)
class BackupAdmin(LookOnlyAdmin):
    """Backups of volumes; made, restored and deleted on their pages, with their files."""

    list_display = (
        "volume_name",
        "device_name",
        "state",
        "origin",
        "consistency",
        "size_bytes",
        "created_at",
        "is_kept",
    )
    list_filter = ("state", "origin", "consistency", "device")
    search_fields = ("volume_name", "device_name", "file_name", "sha256")
    date_hierarchy = "created_at"
    show_full_result_count = False


@admin.register(BackupPlan)
class BackupPlanAdmin(LookOnlyAdmin):
    """Plans of backups; made and changed on the pages of volumes, which plan the next run."""

    list_display = (
        "volume_name",
        "device",
        "schedule",
        "consistency",
        "is_enabled",
        "next_at",
        "last_at",
        "last_error",
    )
    list_filter = ("is_enabled", "consistency", "device")
    list_select_related = ("device",)
    search_fields = ("volume_name",)
