"""The form of a stored log-in. Secrets go in and never come out again: an empty field keeps what is stored."""

import re
from typing import Any, Final

from django import forms
from django.db import transaction

from devices.connections.keys import check_certificate, generate_private_key, private_key_facts
from devices.errors import CertificateUnusable, KeyUnreadable
from devices.forms.fields import MAX_KEY_BYTES, WriteOnlyTextarea
from devices.models import Credential, CredentialAnswer
from ssm.lib.fields import Undecryptable

SECRETS: Final = ("private_key", "private_key_file", "passphrase", "password")
STORED_SECRETS: Final = ("private_key", "passphrase", "password")
KEEP, PASTE = "keep", "paste"
GENERATED: Final = {"ed25519": "Ed25519", "ecdsa": "ECDSA (P-384)", "rsa": "RSA (4096 bits)"}
MOST_ANSWERS: Final = 6
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}\Z")


def is_stored(value: Any) -> bool:
    """Whether a secret column holds something, be it something that no key opens any more."""
    return isinstance(value, Undecryptable) or bool(value)


class AnswerForm(forms.Form):
    """One question and what to say to it; without an answer the stored one stays."""

    row = forms.IntegerField(required=False, widget=forms.HiddenInput)
    prompt = forms.CharField(required=False, max_length=200, label="Question")
    answer = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"hx-preserve": "true", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, stored: CredentialAnswer | None = None, **kwargs: Any) -> None:
        self.stored = stored
        if stored is not None:
            kwargs["initial"] = {"row": stored.pk, "prompt": stored.prompt}
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        """A question needs an answer, given now or before."""
        data = super().clean() or self.cleaned_data
        if data.get("prompt") and not data.get("answer") and self.stored is None:
            self.add_error("answer", "Give the answer to this question.")
        if data.get("answer") and not data.get("prompt"):
            self.add_error("prompt", "Give a part of the question that this answers, or * for each question.")
        return data


class LoginFields(forms.Form):
    """What a log-in may consist of, with the checks that belong together. The names are those of the columns."""

    username = forms.CharField(required=False, max_length=64, label="User name")
    private_key = forms.CharField(
        required=False,
        max_length=MAX_KEY_BYTES,
        widget=WriteOnlyTextarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="OpenSSH, PEM or PKCS #8 text of type Ed25519, ECDSA or RSA.",
    )
    private_key_file = forms.FileField(required=False, max_length=255, label="Or its file")
    passphrase = forms.CharField(
        required=False, strip=False, widget=forms.PasswordInput, help_text="Of the private key."
    )
    password = forms.CharField(required=False, strip=False, widget=forms.PasswordInput)
    certificate = forms.CharField(
        required=False,
        max_length=MAX_KEY_BYTES,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        label="OpenSSH certificate",
        help_text="The line of the -cert.pub file, if the servers trust an authority instead of single keys.",
    )
    use_agent = forms.BooleanField(
        required=False,
        label="Use the SSH agent beside SSM",
        help_text="Its keys never leave it. All of SSM's processes need SSH_AUTH_SOCK.",
    )
    passwordless = forms.BooleanField(
        required=False,
        label="The server asks for nothing",
        help_text="It lets this user in without any proof.",
    )
    use_sudo = forms.BooleanField(
        required=False,
        label="Use sudo if the user may not open the socket",
        help_text="Without a password, or with the one above.",
    )

    def _read_key_file(self, data: dict[str, Any]) -> None:
        uploaded = data.get("private_key_file")
        if uploaded is None:
            return
        if uploaded.size > MAX_KEY_BYTES:
            self.add_error("private_key_file", "This file is too large to be a private key.")
            return
        data["private_key"] = uploaded.read().decode("utf-8", "replace")

    def check_login(self, data: dict[str, Any], *, has_answers: bool = False) -> None:
        """Check what is there together: complete, key readable, certificate of that key. Sets what is public of it."""
        self.key_fingerprint = self.public_key = ""
        if not data.get("username"):
            self.add_error("username", "Give the user name to log in with.")
        if "private_key" in self.errors or "private_key_file" in self.errors:
            return
        key = data.get("private_key") or ""
        proofs = (key, data.get("password"), data.get("use_agent"), data.get("passwordless"), has_answers)
        if not any(proofs):
            self.add_error(
                "private_key", "Give a private key or a password, or choose the SSH agent or a server without proof."
            )
        owner = data.get("name") or "The log-in"
        if key:
            data["private_key"] = key = key.replace("\r\n", "\n")
            try:
                facts = private_key_facts(key, data.get("passphrase") or None, owner)
            except KeyUnreadable as exc:
                self.add_error("passphrase" if "passphrase" in exc.message else "private_key", str(exc))
                return
            self.key_fingerprint, self.public_key = facts.fingerprint, facts.line
        if data.get("certificate"):
            data["certificate"] = " ".join(data["certificate"].split())
            if not key:
                self.add_error("certificate", "A certificate needs its private key. The agent brings its own along.")
                return
            try:
                check_certificate(data["certificate"], key, data.get("passphrase") or None, owner)
            except CertificateUnusable as exc:
                self.add_error("certificate", str(exc))


class CredentialForm(LoginFields, forms.ModelForm[Credential]):
    """A stored log-in with all that it may hold."""

    key_source = forms.ChoiceField(
        choices=[
            (KEEP, "As it is"),
            (PASTE, "Paste or upload one"),
            *((kind, f"Generate: {label}") for kind, label in GENERATED.items()),
        ],
        initial=PASTE,
        label="Private key",
    )
    forget_private_key = forms.BooleanField(required=False, label="Remove the private key and its certificate")
    forget_password = forms.BooleanField(required=False, label="Remove the password")
    agent_key = forms.CharField(
        required=False,
        max_length=80,
        label="Key of the agent",
        help_text="Its fingerprint (ssh-add -l), SHA256:…; empty: each of the first five in turn.",
    )

    class Meta:
        model = Credential
        fields = (
            "name",
            "username",
            "private_key",
            "passphrase",
            "password",
            "certificate",
            "use_agent",
            "agent_key",
            "passwordless",
            "use_sudo",
        )
        error_messages = {"name": {"unique": "Another log-in has this name."}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_new = self.instance._state.adding
        self.stored = {name: not self.is_new and is_stored(getattr(self.instance, name)) for name in STORED_SECRETS}
        for name in STORED_SECRETS:
            self.initial.pop(name, None)
            self.fields[name].widget.attrs["hx-preserve"] = "true"
            if self.stored[name]:
                self.fields[name].help_text = "Stored. Leave empty to keep it."
        if not self.is_new:
            self.initial["key_source"] = KEEP
        self.answers = self._answer_forms()

    def _answer_forms(self) -> list[AnswerForm]:
        stored = [] if self.is_new else list(self.instance.answers.all())
        rows: list[CredentialAnswer | None] = [*stored[:MOST_ANSWERS]]
        rows += [None] * (MOST_ANSWERS - len(rows))
        by_row = {row.pk: row for row in stored}
        made = []
        for number, row in enumerate(rows):
            prefix = f"answers-{number}"
            if self.is_bound:
                # A row is known by what the form said of it, as another may have been removed meanwhile.
                typed = str(self.data.get(f"{prefix}-row") or "")
                row = by_row.get(int(typed)) if typed.isdecimal() and len(typed) < 18 else None
            made.append(AnswerForm(self.data if self.is_bound else None, prefix=prefix, stored=row))
        return made

    def clean_agent_key(self) -> str:
        """A fingerprint, as ssh-add prints it."""
        text: str = self.cleaned_data["agent_key"].strip()
        if text and not _FINGERPRINT.match(text):
            raise forms.ValidationError("Give the fingerprint as ssh-add -l shows it: SHA256: and 43 characters.")
        return text

    def clean(self) -> dict[str, Any]:
        """Fill in what is kept, make what is to be made, then check it as a whole."""
        data = super().clean() or self.cleaned_data
        source = data.get("key_source") or PASTE
        self._read_key_file(data)
        if source in GENERATED:
            data["private_key"], data["passphrase"] = generate_private_key(source), ""
            data["certificate"] = ""
        elif not self.is_new and not data.get("private_key"):
            data["private_key"] = self._kept("private_key")
            data["passphrase"] = data.get("passphrase") or self._kept("passphrase")
        if data.get("forget_private_key") and source not in GENERATED:
            data["private_key"] = data["passphrase"] = data["certificate"] = ""
        if not self.is_new:
            data["password"] = data.get("password") or self._kept("password")
        if data.get("forget_password"):
            data["password"] = ""
        # Each of them checked, so that each shows its faults.
        if not all([answer.is_valid() for answer in self.answers]):
            self.add_error(None, "Correct the marked answers.")
        self.check_login(data, has_answers=self._has_answers())
        return data

    def _has_answers(self) -> bool:
        return any(answer.cleaned_data.get("prompt") for answer in self.answers if answer.is_valid())

    def _kept(self, name: str) -> str:
        value = getattr(self.instance, name)
        if isinstance(value, Undecryptable):
            self.add_error(name, "What is stored cannot be decrypted with SSM's keys: enter it again, or remove it.")
            return ""
        return str(value)

    def store(self) -> Credential:
        """Write the log-in with its answers: all or nothing."""
        credential: Credential = self.instance
        for name in STORED_SECRETS:
            setattr(credential, name, self.cleaned_data[name])
        credential.certificate = self.cleaned_data["certificate"]
        credential.key_fingerprint, credential.public_key = self.key_fingerprint, self.public_key
        with transaction.atomic():
            credential.save()
            self._store_answers(credential)
        return credential

    def _store_answers(self, credential: Credential) -> None:
        kept = []
        for position, form in enumerate(self.answers):
            data = form.cleaned_data
            if not data.get("prompt"):
                continue
            row = form.stored or CredentialAnswer(credential=credential)
            row.position, row.prompt = position, data["prompt"]
            row.answer = data["answer"] or row.answer
            row.save()
            kept.append(row.pk)
        credential.answers.exclude(pk__in=kept).delete()
