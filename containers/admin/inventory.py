"""What hosts hold, in the Django admin: to look at, and to act on by operations. Nobody edits these rows."""

from django.contrib import admin

from containers.admin.acts import back_up, restart, run_plans, start, stop, verify_backups
from containers.models import (
    Backup,
    BackupPlan,
    Container,
    ContainerUsage,
    HostUsage,
    Image,
    Network,
    Volume,
)
from ssm.accounts.looking import LookOnlyAdmin


@admin.register(Container)
class ContainerAdmin(LookOnlyAdmin):
    """Containers of all devices; environment variables are shown on the container's page, by permission."""

    list_display = ("name", "device", "state", "health", "image_reference", "changed_at", "removed_at")
    list_filter = ("state", "health")
    list_select_related = ("device",)
    search_fields = ("name", "display_name", "image_reference", "engine_id", "device__name")
    actions = (start, stop, restart)


@admin.register(Image)
class ImageAdmin(LookOnlyAdmin):
    """Images of all devices."""

    list_display = ("__str__", "device", "architecture", "size_bytes", "shared_bytes", "created_at", "changed_at")
    list_filter = ("architecture",)
    list_select_related = ("device",)
    search_fields = ("engine_id", "repo_tags", "device__name")
    exclude = ("history", "layers")
    show_full_result_count = False


@admin.register(Network)
class NetworkAdmin(LookOnlyAdmin):
    """Networks of all devices."""

    list_display = ("name", "device", "driver", "scope", "internal", "compose_project", "created_at", "changed_at")
    list_filter = ("driver", "scope")
    list_select_related = ("device",)
    search_fields = ("name", "engine_id", "compose_project", "device__name")
    show_full_result_count = False


@admin.register(Volume)
class VolumeAdmin(LookOnlyAdmin):
    """Volumes of all devices."""

    list_display = ("name", "device", "driver", "is_anonymous", "size_bytes", "size_at", "created_at")
    list_filter = ("driver", "is_anonymous")
    list_select_related = ("device",)
    search_fields = ("name", "device__name")
    actions = (back_up,)
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
    list_filter = ("state", "origin", "consistency")
    search_fields = ("volume_name", "device_name", "file_name", "sha256")
    actions = (verify_backups,)
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
    list_filter = ("is_enabled", "consistency")
    list_select_related = ("device",)
    search_fields = ("volume_name", "device__name")
    actions = (run_plans,)


@admin.register(ContainerUsage)
class ContainerUsageAdmin(LookOnlyAdmin):
    """What containers use, as it was read last."""

    list_display = ("container", "cpu_percent", "memory_bytes", "pids", "sampled_at")
    list_select_related = ("container__device",)
    search_fields = ("container__name", "container__device__name")
    exclude = ("recent_cpu", "recent_memory")
    show_full_result_count = False


@admin.register(HostUsage)
class HostUsageAdmin(LookOnlyAdmin):
    """What hosts use, as it was read last."""

    list_display = ("device", "source", "cpu_percent", "memory_used_bytes", "disk_used_bytes", "load_1", "sampled_at")
    list_filter = ("source",)
    list_select_related = ("device",)
    search_fields = ("device__name",)
    exclude = ("recent_cpu", "recent_memory")
