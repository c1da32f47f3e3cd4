"""People in the Django admin. Users and roles are managed on their pages, which keep the rules of `people`."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from ssm.accounts.models import AuditEntry

admin.site.unregister(User)
admin.site.unregister(Group)


class _ForSuperusers(admin.ModelAdmin[Any]):
    """To look at. Django's own forms give anything (superuser, any permission), so they are for superusers."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """For superusers."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """For superusers."""
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """For superusers."""
        return bool(request.user.is_superuser)


@admin.register(User)
class SsmUserAdmin(_ForSuperusers, UserAdmin):  # type: ignore[type-arg]
    """Users."""


@admin.register(Group)
class SsmGroupAdmin(_ForSuperusers, GroupAdmin):
    """Groups, which roles are made of."""


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin[AuditEntry]):
    """The audit, which can only be read."""

    list_display = ("created_at", "user_name", "action", "object_name", "address", "door", "outcome")
    list_filter = ("door",)
    search_fields = ("user_name", "action", "object_name", "address")
    date_hierarchy = "created_at"
    show_full_result_count = False

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Never."""
        return False
