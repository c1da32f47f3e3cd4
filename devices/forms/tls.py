"""The form of a TLS identity. What is stored never comes out again: an empty field keeps it, a tick removes it."""

from typing import Any, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile

from devices.forms.fields import WriteOnlyTextarea
from devices.models import TlsIdentity, now
from devices.rules.certificates import CertificateError, CertificateFacts, check_authority, check_pair

MOST_BYTES: Final = 256 * 1024
SECRETS: Final = ("ca_pem", "certificate_pem", "private_key")
_LABELS: Final = {
    "ca_pem": ("Authority of the engine (ca.pem)", "Empty: the authorities that SSM's machine trusts."),
    "certificate_pem": ("Our certificate (cert.pem)", "Signed by the authority that the engine asks for."),
    "private_key": ("Its key (key.pem)", "Without a passphrase."),
}


class TlsIdentityForm(forms.ModelForm[TlsIdentity]):
    """Name, authority, certificate and key, pasted or as files."""

    ca_file = forms.FileField(required=False, max_length=255, label="Or its file")
    certificate_file = forms.FileField(required=False, max_length=255, label="Or its file")
    key_file = forms.FileField(required=False, max_length=255, label="Or its file")
    forget_ca = forms.BooleanField(required=False, label="Remove the stored authority")
    forget_certificate = forms.BooleanField(required=False, label="Remove the stored certificate and key")

    class Meta:
        model = TlsIdentity
        fields = ("name", *SECRETS)
        error_messages = {"name": {"unique": "Another TLS identity has this name."}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_new = self.instance._state.adding
        for name in SECRETS:
            self.initial.pop(name, None)
            label, hint = _LABELS[name]
            stored = not self.is_new and self._is_stored(name)
            self.fields[name] = forms.CharField(
                required=False,
                max_length=MOST_BYTES,
                label=label,
                widget=WriteOnlyTextarea(attrs={"rows": 4, "spellcheck": "false", "hx-preserve": "true"}),
                help_text="Stored. Leave empty to keep it." if stored else hint,
            )

    def _is_stored(self, name: str) -> bool:
        # Public facts are kept beside, so that nothing need be decrypted to show the form.
        facts = {"ca_pem": "ca_fingerprint", "certificate_pem": "fingerprint", "private_key": "fingerprint"}
        return bool(getattr(self.instance, facts[name]))

    def clean(self) -> dict[str, Any]:
        """Take files in place of texts, fill in what is kept, and check what belongs together."""
        data = super().clean() or self.cleaned_data
        for text, file in (("ca_pem", "ca_file"), ("certificate_pem", "certificate_file"), ("private_key", "key_file")):
            data[text] = self._typed(data.get(text) or "", data.get(file))
        if data["ca_pem"]:
            self._take("ca_pem", check_authority, data)
        if data["certificate_pem"] and not data["private_key"]:
            self.add_error("private_key", "Give the key of this certificate too.")
        elif data["private_key"] and not data["certificate_pem"]:
            self.add_error("certificate_pem", "Give the certificate of this key too.")
        elif data["certificate_pem"]:
            self._take("certificate_pem", lambda text, moment: check_pair(text, data["private_key"], moment), data)
        return data

    @staticmethod
    def _typed(text: str, file: "UploadedFile[bytes] | None") -> str:
        if file is not None and file.size is not None and file.size <= MOST_BYTES:
            text = file.read().decode("utf-8", "replace")
        return text.replace("\r\n", "\n").strip()

    def _take(self, name: str, check: Any, data: dict[str, Any]) -> None:
        try:
            facts: CertificateFacts = check(data[name], now())
        except CertificateError as exc:
            self.add_error(name, str(exc))
            return
        kept = "ca_" if name == "ca_pem" else ""
        setattr(self.instance, f"{kept}subject", facts.subject)
        setattr(self.instance, f"{kept}fingerprint", facts.fingerprint)
        setattr(self.instance, f"{kept}expires_at", facts.expires_at)

    def _post_clean(self) -> None:
        # What was left empty stays as it is; the model's own copying would overwrite it.
        kept = [] if self.is_new else [name for name in SECRETS if not self.cleaned_data.get(name)]
        for name in kept:
            self.cleaned_data.pop(name, None)
        super()._post_clean()  # type: ignore[misc]
        if self.cleaned_data.get("forget_ca"):
            self._empty("ca_pem", "ca_subject", "ca_fingerprint")
            self.instance.ca_expires_at = None
        if self.cleaned_data.get("forget_certificate"):
            self._empty("certificate_pem", "private_key", "subject", "fingerprint")
            self.instance.expires_at = None

    def _empty(self, *names: str) -> None:
        for name in names:
            setattr(self.instance, name, "")
