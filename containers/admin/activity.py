"""What was done and what happened, in the Django admin: to look at, and to call off."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from containers.admin.acts import call_off
from containers.models import (
    Batch,
    Event,
    IdempotentRequest,
    Operation,
    Replacement,
    UpdateCheck,
    UpdatePolicy,
    UpdateStatus,
)
from ssm.accounts.looking import LookOnlyAdmin
from ssm.lib.roles import Right, can_everywhere


@admin.register(Operation)
class OperationAdmin(LookOnlyAdmin):
    """What was done."""

    list_display = ("created_at", "kind", "target_name", "device_name", "state", "requested_by_name", "error_message")
    list_filter = ("state", "kind")
    search_fields = ("target_name", "device_name", "requested_by_name")
    actions = (call_off,)
    show_full_result_count = False
    date_hierarchy = "created_at"


@admin.register(Event)
class EventAdmin(LookOnlyAdmin):
    """What happened on the hosts."""

    list_display = ("time", "device", "kind", "action", "actor_name")
    list_filter = ("kind",)
    list_select_related = ("device",)
    search_fields = ("actor_name", "actor_id", "action", "device__name")
    date_hierarchy = "time"
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


@admin.register(Batch)
class BatchAdmin(LookOnlyAdmin):
    """What was asked for together; each has a page with a result per item."""

    list_display = ("created_at", "title", "requested_by_name", "stops_on_failure")
    search_fields = ("title", "requested_by_name")
    date_hierarchy = "created_at"


@admin.register(Replacement)
class ReplacementAdmin(LookOnlyAdmin):
    """Containers that took the place of others, and how to go back."""

    list_display = ("replaced_at", "name", "kind", "old_image", "new_image", "state", "keep_until", "replaced_by")
    list_filter = ("state", "kind")
    search_fields = ("name", "old_image", "new_image", "replaced_by")
    date_hierarchy = "replaced_at"


@admin.register(UpdateCheck)
class UpdateCheckAdmin(LookOnlyAdmin):
    """Checks that somebody asked for, and how far they have come."""

    list_display = ("started_at", "container", "device", "done", "total", "failed", "requested_by_name", "finished_at")
    list_select_related = ("container__device", "device")
    search_fields = ("requested_by_name", "device__name", "container__name")


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(LookOnlyAdmin):
    """Requests of programs that are not done twice; what they were answered is not shown."""

    list_display = ("created_at", "user", "key", "status")
    list_select_related = ("user",)
    search_fields = ("key", "user__username")
    exclude = ("answer", "digest")

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """As the other tables here; this one has no permission of its own."""
        return can_everywhere(request.user, Right.MANAGE_DEVICES)
