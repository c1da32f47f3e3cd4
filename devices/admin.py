"""Devices, credentials and host keys in the Django admin, with the same write-only secrets and checks as the pages."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from devices.forms.devices import SCHEDULES
from devices.forms.fields import clean_cron, clean_host, preview
from devices.forms.logins import AnswerForm, CredentialForm
from devices.forms.tls import TlsIdentityForm
from devices.forms.ways import clean_user_to_become
from devices.models import Credential, Device, DeviceGroup, HostKey, HostKeyRule, Jump, TlsIdentity
from devices.services import devices_using, note_configured, request_attempt_now
from devices.work import plan_all


class CredentialAdminForm(CredentialForm):
    """The form of the pages; answers to questions are edited there, and kept here."""

    def _answer_forms(self) -> list[AnswerForm]:
        return []

    def _has_answers(self) -> bool:
        return not self.is_new and self.instance.answers.exists()


@admin.register(Credential)
class CredentialAdmin(admin.ModelAdmin[Credential]):
    """Log-ins that devices share."""

    form = CredentialAdminForm
    list_display = ("name", "username", "key_fingerprint", "use_agent", "use_sudo", "updated_at")
    search_fields = ("name", "username", "key_fingerprint")
    readonly_fields = ("key_fingerprint", "public_key", "questions", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "username", "passwordless", "use_sudo")}),
        (
            "Private key",
            {
                "fields": (
                    *("key_source", "private_key", "private_key_file", "passphrase", "certificate"),
                    *("forget_private_key", "key_fingerprint", "public_key", "use_agent", "agent_key"),
                )
            },
        ),
        ("Password", {"fields": ("password", "forget_password", "questions")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
    )

    @admin.display(description="Questions with a stored answer (edited on the log-in's page)")
    def questions(self, obj: Credential) -> str:
        """The questions, never the answers."""
        return ", ".join(answer.prompt for answer in obj.answers.all()) if obj.pk else ""

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save with what is public of the key, and have the devices that use it connected to anew."""
        obj.key_fingerprint, obj.public_key = form.key_fingerprint, form.public_key
        super().save_model(request, obj, form, change)
        note_configured(devices_using(obj))


@admin.register(DeviceGroup)
class DeviceGroupAdmin(admin.ModelAdmin[DeviceGroup]):
    """Default log-ins of groups of devices."""

    list_display = ("name", "credential")
    list_select_related = ("credential",)
    search_fields = ("name",)
    autocomplete_fields = ("credential",)

    def save_model(self, request: HttpRequest, obj: DeviceGroup, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save, and have the devices that inherit from it connected to anew."""
        super().save_model(request, obj, form, change)
        note_configured(Device.objects.filter(credential=None, groups__contains=[obj.name]))


class DeviceAdminForm(forms.ModelForm[Device]):
    """Checks that need more than the column's type."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in SCHEDULES:
            come_to = preview(str(self[name].value() or ""))
            runs = ", ".join(f"{run:%Y-%m-%d %H:%M}" for run in come_to.runs)
            self.fields[name].help_text = "A cron expression, in UTC." + (f" Next: {runs}." if runs else "")

    def clean_address(self) -> str:
        """A host name or an IP address."""
        return clean_host(self.cleaned_data["address"])

    def clean_proxy_address(self) -> str:
        """A host name or an IP address."""
        return clean_host(self.cleaned_data["proxy_address"]) if self.cleaned_data["proxy_address"] else ""

    def clean_become_user(self) -> str:
        """A user name, and no option."""
        return clean_user_to_become(self.cleaned_data["become_user"])

    def clean(self) -> dict[str, Any]:
        """A proxy has an address."""
        data = super().clean() or self.cleaned_data
        if data.get("proxy_kind") != Device.ProxyKind.NONE and not data.get("proxy_address"):
            self.add_error("proxy_address", "Give the address of the proxy.")
        return data

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


class JumpInline(admin.TabularInline[Jump, Device]):
    """Jump hosts in order; their host keys are accepted on the device's page."""

    model = Jump
    fk_name = "device"
    extra = 0
    fields = ("position", "via", "address", "port", "credential")
    autocomplete_fields = ("via", "credential")


@admin.register(Device)
class DeviceAdmin(admin.ModelAdmin[Device]):
    """Servers."""

    form = DeviceAdminForm
    list_display = ("name", "address", "port", "credential", "state", "engine_version", "last_seen_at", "watch_enabled")
    list_filter = ("state", "watch_enabled", "engine_product")
    list_select_related = ("credential",)
    search_fields = ("name", "address")
    autocomplete_fields = ("credential", "proxy_credential", "docker_credential", "tls")
    inlines = (JumpInline, HostKeyInline)
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
        (None, {"fields": ("name", "transport", "address", "port", "credential", "groups")}),
        ("TLS", {"fields": ("tls", "tls_server_name")}),
        (
            "Way there",
            {
                "fields": (
                    *("address_family", "proxy_kind", "proxy_address", "proxy_port", "proxy_credential"),
                    *("trust_sshfp", "keepalive_s", "compression", "legacy_algorithms"),
                )
            },
        ),
        (
            "Docker",
            {
                "fields": (
                    *("docker_socket", "become", "become_user", "docker_credential", "forced_channel_kind"),
                    *("connect_timeout_s", "request_timeout_s"),
                )
            },
        ),
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

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save the jump hosts as well, then have the device connected to anew, and those reached through it."""
        super().save_related(request, form, formsets, change)
        note_configured(Device.objects.filter(pk=form.instance.pk))

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
