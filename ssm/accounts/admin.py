"""People in the Django admin. Users and roles are managed on their pages, which keep the rules of `people`."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest

from ssm.accounts.audit import record_audit
from ssm.accounts.looking import LookOnlyAdmin
from ssm.accounts.models import Account, ApiToken, AuditEntry, AuthenticatorApp, RecoveryCode, Role
from ssm.accounts.people import may_change
from ssm.accounts.sessions import end_sessions
from ssm.accounts.tokens import revoke
from ssm.lib.roles import Right, can_everywhere

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

    list_display = ("username", "email", "role_names", "is_active", "is_staff", "is_superuser", "last_login")
    actions = ("log_out",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With their groups, for the list."""
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="Roles")
    def role_names(self, obj: User) -> str:
        """Names of the groups."""
        return ", ".join(group.name for group in obj.groups.all())

    @admin.action(description="Log out everywhere", permissions=["change"])
    def log_out(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """End all sessions of the chosen users."""
        ended = 0
        for user in queryset:
            count = end_sessions(user)
            record_audit(request.user, "session.end", user, after={"sessions": count}, request=request)
            ended += count
        self.message_user(request, f"{ended} session{' is' if ended == 1 else 's are'} ended.", messages.SUCCESS)


@admin.register(Group)
class SsmGroupAdmin(_ForSuperusers, GroupAdmin):
    """Groups, which roles are made of."""


@admin.register(AuditEntry)
class AuditEntryAdmin(LookOnlyAdmin):
    """The audit, which can only be read."""

    list_display = ("created_at", "user_name", "action", "object_name", "address", "door", "outcome")
    list_filter = ("door",)
    search_fields = ("user_name", "action", "object_name", "address")
    date_hierarchy = "created_at"
    show_full_result_count = False


class _LookOnly(LookOnlyAdmin):
    """What its pages write. Tables without permissions of their own too: the site asks for the right besides."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """For who manages users."""
        return can_everywhere(request.user, Right.MANAGE_USERS)

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """For who manages users."""
        return can_everywhere(request.user, Right.MANAGE_USERS)


@admin.register(Account)
class AccountAdmin(_LookOnly):
    """What SSM knows of users beside Django."""

    list_display = ("user", "must_change_password", "password_changed_at", "demands_second_factor")
    list_filter = ("must_change_password", "demands_second_factor")
    list_select_related = ("user",)
    search_fields = ("user__username",)


@admin.register(Role)
class RoleAdmin(_LookOnly):
    """Limits of roles; changed on the pages of roles, which keep the rules."""

    list_display = ("group", "description", "device_groups", "labels", "demands_second_factor")
    list_filter = ("demands_second_factor",)
    list_select_related = ("group",)
    search_fields = ("group__name", "description")


@admin.register(ApiToken)
class ApiTokenAdmin(_LookOnly):
    """Tokens of all users, never their texts."""

    list_display = ("name", "user", "prefix", "rights", "expires_at", "last_used_at", "last_used_address", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username", "prefix")
    date_hierarchy = "created_at"
    exclude = ("digest",)
    actions = ("revoke_them",)

    def has_users_permission(self, request: HttpRequest) -> bool:
        """For the action: who manages users."""
        return can_everywhere(request.user, Right.MANAGE_USERS)

    @admin.action(description="Revoke", permissions=["users"])
    def revoke_them(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Let the chosen tokens open nothing any more."""
        chosen = list(queryset.filter(revoked_at=None).select_related("user"))
        for token in chosen:
            if isinstance(request.user, User) and may_change(request.user, token.user):
                revoke(token)
                record_audit(request.user, "token.revoke", token, request=request)
            else:
                told = f"{token.name} is of {token.user}, who has rights that you do not have."
                self.message_user(request, told, messages.ERROR)
        done = sum(token.revoked_at is not None for token in chosen)
        self.message_user(request, f"{done} token{' is' if done == 1 else 's are'} revoked.", messages.SUCCESS)


@admin.register(AuthenticatorApp)
class AuthenticatorAppAdmin(_LookOnly):
    """Who has an authenticator app; its key is nobody's to see."""

    list_display = ("user", "name", "confirmed", "created_at", "last_used_at")
    list_filter = ("confirmed",)
    list_select_related = ("user",)
    search_fields = ("user__username", "name")
    fields = ("user", "name", "confirmed", "created_at", "last_used_at")


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(_LookOnly):
    """How many recovery codes are left; never the codes."""

    list_display = ("user", "created_at", "used_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    exclude = ("digest",)
