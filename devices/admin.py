"""Devices, credentials and host keys in the Django admin, with the same write-only secrets and checks as the pages."""

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from devices.connections.keys import private_key_fingerprint
from devices.errors import KeyUnreadable
from devices.forms.devices import SCHEDULES
from devices.forms.fields import MAX_KEY_BYTES, WriteOnlyTextarea, clean_cron, preview
from devices.forms.tls import TlsIdentityForm
from devices.models import Credential, Device, HostKey, HostKeyRule, TlsIdentity
from devices.services import note_configured, request_attempt_now
from devices.work import plan_all

SECRETS: Final = ("private_key", "passphrase", "password")


class CredentialAdminForm(forms.ModelForm[Credential]):
    """Secrets are typed anew or kept; a tick removes one."""

    private_key = forms.CharField(
        required=False, max_length=MAX_KEY_BYTES, widget=WriteOnlyTextarea(attrs={"rows": 6, "cols": 80})
    )
    passphrase = forms.CharField(required=False, strip=False, widget=forms.PasswordInput)
    password = forms.CharField(required=False, strip=False, widget=forms.PasswordInput)
    forget_private_key = forms.BooleanField(required=False, label="Remove the private key and its passphrase")
    forget_password = forms.BooleanField(required=False, label="Remove the password")

    class Meta:
        model = Credential
        fields = ("name", "username", *SECRETS, "use_sudo")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in SECRETS:
            stored = bool(self.instance.pk and not self.instance._state.adding and getattr(self.instance, name))
            self.initial.pop(name, None)
            self.fields[name].help_text = "Stored. Leave empty to keep it." if stored else "None is stored."

    def clean(self) -> dict[str, Any]:
        """Fill in what is kept, then check that something is left to log in with and that the key can be read."""
        data = super().clean() or self.cleaned_data
        if not self.instance._state.adding:
            for name in SECRETS:
                data[name] = data.get(name) or getattr(self.instance, name)
        if data.get("forget_private_key"):
            data["private_key"] = data["passphrase"] = ""
        if data.get("forget_password"):
            data["password"] = ""
        if not data.get("private_key") and not data.get("password"):
            raise forms.ValidationError("Give a private key, a password, or both.")
        self.instance.key_fingerprint = ""
        if data.get("private_key"):
            data["private_key"] = data["private_key"].replace("\r\n", "\n")
            try:
                self.instance.key_fingerprint = private_key_fingerprint(
                    data["private_key"], data.get("passphrase") or None, data.get("name") or "The log-in"
                )
            except KeyUnreadable as exc:
                self.add_error("private_key", str(exc))
        return data


@admin.register(Credential)
class CredentialAdmin(admin.ModelAdmin[Credential]):
    """Log-ins that devices share."""

    form = CredentialAdminForm
    list_display = ("name", "username", "key_fingerprint", "use_sudo", "updated_at")
    search_fields = ("name", "username", "key_fingerprint")
    readonly_fields = ("key_fingerprint", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "username", "use_sudo")}),
        ("Private key", {"fields": ("private_key", "passphrase", "forget_private_key", "key_fingerprint")}),
        ("Password", {"fields": ("password", "forget_password")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
    )


class DeviceAdminForm(forms.ModelForm[Device]):
    """Checks that need more than the column's type."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in SCHEDULES:
            come_to = preview(str(self[name].value() or ""))
            runs = ", ".join(f"{run:%Y-%m-%d %H:%M}" for run in come_to.runs)
            self.fields[name].help_text = "A cron expression, in UTC." + (f" Next: {runs}." if runs else "")

    def clean_sweep_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["sweep_schedule"])

    def clean_statistics_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["statistics_schedule"])

    def clean_update_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["update_schedule"])


class HostKeyInline(admin.TabularInline[HostKey, Device]):
    """The keys that are trusted for a device; a new one is accepted on the device's page, where it is compared."""

    model = HostKey
    extra = 0
    fields = readonly_fields = ("key_type", "fingerprint", "accepted_by", "accepted_at")

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Keys are accepted where their fingerprint is shown."""
        return False


@admin.register(Device)
class DeviceAdmin(admin.ModelAdmin[Device]):
    """Servers."""

    form = DeviceAdminForm
    list_display = ("name", "address", "port", "credential", "state", "engine_version", "last_seen_at", "watch_enabled")
    list_filter = ("state", "watch_enabled", "engine_product")
    list_select_related = ("credential",)
    search_fields = ("name", "address")
    autocomplete_fields = ("credential",)
    inlines = (HostKeyInline,)
    actions = ("try_now",)
    readonly_fields = (
        "state",
        "state_message",
        "state_fix",
        "state_since",
        "last_seen_at",
        "next_attempt_at",
        "channel_kind",
        "engine_product",
        "engine_version",
        "api_version",
        "last_sweep_at",
        "last_sweep_duration_ms",
        "last_sweep_error",
        "next_sweep_at",
        "last_statistics_at",
        "last_statistics_duration_ms",
        "last_statistics_error",
        "statistics_interval_s",
        "next_statistics_at",
        "last_update_check_at",
        "last_update_check_duration_ms",
        "last_update_check_error",
        "next_update_check_at",
        "created_at",
    )
    fieldsets = (
        (None, {"fields": ("name", "address", "port", "credential", "groups")}),
        ("Docker", {"fields": ("docker_socket", "connect_timeout_s", "request_timeout_s")}),
        (
            "Watching",
            {
                "fields": (
                    "watch_enabled",
                    "watch_events",
                    "sweep_schedule",
                    "statistics_enabled",
                    "statistics_schedule",
                    "update_schedule",
                    "watch_by_default",
                    "watch_stopped",
                )
            },
        ),
        ("How it stands", {"fields": readonly_fields}),
    )

    def save_model(self, request: HttpRequest, obj: Device, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save, and let a changed schedule or address count at once."""
        plan_all(obj)
        super().save_model(request, obj, form, change)
        request_attempt_now(obj)

    @admin.action(description="Try to connect now")
    def try_now(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """End the back-off of the chosen devices."""
        for device in queryset:
            request_attempt_now(device)
        self.message_user(request, f"{queryset.count()} devices are tried now.")


@admin.register(HostKey)
class HostKeyAdmin(admin.ModelAdmin[HostKey]):
    """All trusted host keys, to be looked up and removed."""

    list_display = ("device", "key_type", "fingerprint", "accepted_by", "accepted_at")
    list_select_related = ("device", "accepted_by")
    search_fields = ("device__name", "fingerprint")
    readonly_fields = ("device", "key_type", "key_base64", "fingerprint", "accepted_by", "accepted_at")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Keys are accepted where their fingerprint is shown."""
        return False


@admin.register(TlsIdentity)
class TlsIdentityAdmin(admin.ModelAdmin[TlsIdentity]):
    """Certificates for engines over TLS, by the form of the pages: texts go in and never come out."""

    form = TlsIdentityForm
    list_display = ("name", "subject", "expires_at", "ca_subject", "ca_expires_at", "updated_at")
    search_fields = ("name", "subject", "fingerprint")
    readonly_fields = ("subject", "fingerprint", "expires_at", "ca_subject", "ca_fingerprint", "ca_expires_at")
    fieldsets = (
        (None, {"fields": ("name",)}),
        ("Authority", {"fields": ("ca_pem", "ca_file", "forget_ca", "ca_subject", "ca_fingerprint", "ca_expires_at")}),
        (
            "Our certificate",
            {
                "fields": (
                    *("certificate_pem", "certificate_file", "private_key", "key_file", "forget_certificate"),
                    *("subject", "fingerprint", "expires_at"),
                )
            },
        ),
    )

    def save_model(self, request: HttpRequest, obj: TlsIdentity, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save, and have the devices that use it connected to anew."""
        super().save_model(request, obj, form, change)
        note_configured(obj.devices.all())


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
