"""Host keys in the Django admin: those that are trusted, those that wait for a decision, rules, jump hosts."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from devices.models import HostKey, HostKeyRule, Jump, JumpKey, ShownKey
from devices.rules.host_keys import PinnedKey
from devices.services import replace_host_keys, request_attempt_now
from ssm.accounts.audit import record_audit, snapshot
from ssm.accounts.looking import LookOnlyAdmin
from ssm.accounts.site import ask_back


def accept_keys(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, shown: QuerySet[ShownKey]
) -> HttpResponse | None:
    """Ask back with the fingerprints, then trust these keys in place of all older ones of their devices.

    What was shown to the person is what is accepted: a key that changed between the two pages is left out.
    """
    rows = list(shown.select_related("device").prefetch_related("device__host_keys"))
    if not rows:
        model_admin.message_user(request, "None of the chosen devices shows a key that waits.", messages.WARNING)
        return None
    seen = set(request.POST.getlist("seen"))
    asked = ask_back(
        request,
        model_admin,
        title="Trust these keys",
        rows=[(row.device.name, _told(row)) for row in rows],
        warning="Compare each fingerprint with what the server itself tells (ssh-keygen -lf). Whoever answers with "
        "another key may sit between SSM and the host, and would be sent your log-ins.",
        seen=[_mark(row) for row in rows],
    )
    if asked is not None:
        return asked
    accepted = [row for row in rows if _mark(row) in seen]
    for row in accepted:
        before = snapshot(row.device, "host_keys")
        replace_host_keys(row.device, PinnedKey(key_type=row.key_type, key_base64=row.key_base64), request.user)
        fresh = type(row.device).objects.get(pk=row.device.pk)
        record_audit(
            request.user, "hostkey.accept", fresh, before=before, after=snapshot(fresh, "host_keys"), request=request
        )
        request_attempt_now(row.device)
    told = ", ".join(f"{row.device.name} ({row.fingerprint})" for row in accepted[:10])
    if accepted:
        model_admin.message_user(request, f"Trusted from now on, and tried at once: {told}.", messages.SUCCESS)
    if len(accepted) < len(rows):
        left = len(rows) - len(accepted)
        model_admin.message_user(request, f"{left} showed another key meanwhile: look again.", messages.WARNING)
    return None


def _mark(row: ShownKey) -> str:
    return f"{row.device_id} {row.fingerprint}"


def _told(row: ShownKey) -> str:
    trusted = ", ".join(str(key) for key in row.device.host_keys.all()) or "none yet"
    return f"shows {row.key_type} {row.fingerprint}; trusted so far: {trusted}"


@admin.register(ShownKey)
class ShownKeyAdmin(admin.ModelAdmin[ShownKey]):
    """Keys that were refused and wait for a person."""

    list_display = ("device", "key_type", "fingerprint", "first_shown_at", "last_shown_at")
    list_select_related = ("device",)
    search_fields = ("device__name", "fingerprint")
    actions = ("accept",)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Hosts show them."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """They are accepted, not changed."""
        return False

    @admin.action(description="Accept these host keys", permissions=["devices"])
    def accept(self, request: HttpRequest, queryset: QuerySet[ShownKey]) -> HttpResponse | None:
        """Ask back, then trust them."""
        return accept_keys(self, request, queryset)


@admin.register(HostKey)
class HostKeyAdmin(admin.ModelAdmin[HostKey]):
    """All trusted host keys, to be looked up and removed."""

    list_display = ("device", "key_type", "fingerprint", "source", "accepted_by", "accepted_at")
    list_select_related = ("device", "accepted_by")
    list_filter = ("source", "key_type")
    search_fields = ("device__name", "fingerprint")
    readonly_fields = ("device", "key_type", "key_base64", "fingerprint", "source", "accepted_by", "accepted_at")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Keys are accepted where their fingerprint is shown."""
        return False


@admin.register(JumpKey)
class JumpKeyAdmin(admin.ModelAdmin[JumpKey]):
    """Trusted keys of jump hosts; accepted on the page of the device behind."""

    list_display = ("jump", "key_type", "fingerprint", "accepted_by", "accepted_at")
    list_select_related = ("jump__device", "jump__via", "accepted_by")
    search_fields = ("jump__address", "jump__device__name", "fingerprint")
    readonly_fields = ("jump", "key_type", "key_base64", "fingerprint", "accepted_by", "accepted_at")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Keys are accepted where their fingerprint is shown."""
        return False


@admin.register(Jump)
class JumpAdmin(LookOnlyAdmin):
    """Jump hosts of all devices; changed in the form of their device, which checks the whole way."""

    list_display = ("device", "position", "via", "address", "port", "credential")
    list_select_related = ("device", "via", "credential")
    search_fields = ("device__name", "via__name", "address")


@admin.register(HostKeyRule)
class HostKeyRuleAdmin(admin.ModelAdmin[HostKeyRule]):
    """Authorities and revoked keys; added on the page of host keys, where the key is read."""

    list_display = ("kind", "patterns", "key_type", "fingerprint", "added_by", "added_at")
    list_filter = ("kind",)
    list_select_related = ("added_by",)
    search_fields = ("patterns", "fingerprint", "comment")
    readonly_fields = ("kind", "patterns", "key_type", "key_base64", "fingerprint", "comment", "added_by", "added_at")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Rules are added where their key is checked."""
        return False
