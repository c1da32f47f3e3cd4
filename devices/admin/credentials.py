"""Log-ins, defaults of groups and TLS identities in the Django admin, with the same write-only secrets."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from devices.forms.logins import AnswerForm, CredentialForm
from devices.forms.tls import TlsIdentityForm
from devices.models import Credential, CredentialAnswer, Device, DeviceGroup, TlsIdentity
from devices.services import devices_using, note_configured


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
    list_filter = ("use_agent", "use_sudo", "passwordless")
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


@admin.register(CredentialAnswer)
class CredentialAnswerAdmin(admin.ModelAdmin[CredentialAnswer]):
    """Which questions have a stored answer; they are edited on the log-in's page, and never shown."""

    list_display = ("credential", "position", "prompt")
    list_select_related = ("credential",)
    search_fields = ("credential__name", "prompt")
    exclude = ("answer",)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """On the log-in's page."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """On the log-in's page."""
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
