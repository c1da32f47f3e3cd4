"""Devices in the Django admin, with the same checks as the pages."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from devices.admin.keys import accept_keys
from devices.forms.devices import SCHEDULES
from devices.forms.fields import ScheduleFields, clean_host, preview
from devices.forms.ways import clean_user_to_become
from devices.models import Device, HostKey, Jump, ShownKey
from devices.services import note_configured, request_attempt_now
from devices.work import plan_all
from ssm.accounts.audit import record_audit, snapshot


class DeviceAdminForm(ScheduleFields, forms.ModelForm[Device]):
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
    list_display = (
        *("name", "address", "port", "credential", "group_names", "state", "engine_version", "last_seen_at"),
        *("last_sweep_at", "watch_enabled"),
    )
    list_filter = ("state", "watch_enabled", "transport", "access_grade", "engine_product", "engine_version")
    list_select_related = ("credential",)
    search_fields = ("name", "address", "groups", "engine_version")
    autocomplete_fields = ("credential", "proxy_credential", "docker_credential", "tls")
    inlines = (JumpInline, HostKeyInline)
    actions = ("accept_shown_keys", "try_now", "watch", "unwatch")
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

    @admin.display(description="Groups")
    def group_names(self, obj: Device) -> str:
        """The groups in the order given."""
        return ", ".join(obj.groups)

    @admin.action(description="Try to connect now", permissions=["devices"])
    def try_now(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """End the back-off of the chosen devices."""
        chosen = list(queryset)
        for device in chosen:
            request_attempt_now(device)
        self.message_user(request, f"{_devices(len(chosen))} tried now.", messages.SUCCESS)

    @admin.action(description="Accept the host key that was shown", permissions=["devices"])
    def accept_shown_keys(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse | None:
        """Ask back with the fingerprints, then trust them in place of the older keys."""
        return accept_keys(self, request, ShownKey.objects.filter(device__in=queryset))

    @admin.action(description="Watch", permissions=["devices"])
    def watch(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """Have the chosen devices connected to and followed."""
        self._set_watch(request, queryset, watched=True)

    @admin.action(description="Do not watch", permissions=["devices"])
    def unwatch(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """Leave the chosen devices alone until they are watched again."""
        self._set_watch(request, queryset, watched=False)

    def _set_watch(self, request: HttpRequest, queryset: QuerySet[Device], *, watched: bool) -> None:
        chosen = list(queryset.exclude(watch_enabled=watched))
        for device in chosen:
            before = snapshot(device)
            device.watch_enabled = watched
            plan_all(device)
            device.save()
            record_audit(request.user, "device.change", device, before=before, after=snapshot(device), request=request)
        note_configured(Device.objects.filter(pk__in=[device.pk for device in chosen]))
        word = "watched from now on" if watched else "not watched any more"
        self.message_user(request, f"{_devices(len(chosen))} {word}.", messages.SUCCESS)


def _devices(count: int) -> str:
    return f"{count} device is" if count == 1 else f"{count} devices are"
