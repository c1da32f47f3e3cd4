"""The forms of an import: the text, and what to do with what it names."""

import uuid
from typing import Any, Final

from django import forms

from devices.forms.fields import clean_group_names
from devices.importing import INVENTORY, LIST, NEW, SSH_CONFIG, Planned, plan, read, usernames
from devices.models import Credential
from devices.rules.imports import MOST_BYTES, Found, ImportFault
from ssm.lib.roles import SomeUser

OF_GROUP: Final = ""


class ImportForm(forms.Form):
    """What kind of text it is, and the text itself or its file."""

    source = forms.ChoiceField(
        choices=[(LIST, "A list"), (SSH_CONFIG, "~/.ssh/config"), (INVENTORY, "Ansible inventory")], initial=LIST
    )
    text = forms.CharField(
        required=False,
        strip=False,
        max_length=MOST_BYTES,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
    )
    file = forms.FileField(required=False, max_length=255, label="Or its file")
    groups = forms.CharField(
        required=False, max_length=1000, help_text="For all of them, besides those of the text. Commas between them."
    )

    def clean_groups(self) -> list[str]:
        """Distinct names in the order typed."""
        return clean_group_names(self.cleaned_data["groups"])

    def clean(self) -> dict[str, Any]:
        """Read the text."""
        data = super().clean() or self.cleaned_data
        uploaded = data.get("file")
        if uploaded is not None:
            if uploaded.size > MOST_BYTES:
                self.add_error("file", f"This file is larger than {MOST_BYTES // 1024} KiB: import it in parts.")
                return data
            data["text"] = uploaded.read().decode("utf-8", "replace")
        if self.errors:
            return data
        if not data.get("text", "").strip():
            self.add_error("text", "Paste a text, or choose a file.")
            return data
        try:
            self.found: Found = read(data["source"], data["text"])
        except ImportFault as exc:
            self.add_error("file" if uploaded is not None else "text", str(exc))
        else:
            if not self.found.hosts:
                self.add_error("text", " ".join(("This text names no hosts.", *self.found.notes[:3])))
        return data


class LoginChoice:
    """Which stored log-in a user name of the text means."""

    def __init__(self, number: int, username: str, credentials: list[Credential], chosen: str | None) -> None:
        self.field = f"login-{number}"
        self.username = username
        self.credentials = credentials
        same = [credential for credential in credentials if credential.username == username]
        guess = str(same[0].pk) if same else (str(credentials[0].pk) if credentials and not username else OF_GROUP)
        self.value = guess if chosen is None else chosen

    @property
    def credential(self) -> Credential | None:
        """The chosen one; None for the default of the groups."""
        return next((row for row in self.credentials if str(row.pk) == self.value), None)


class ImportPlan:
    """What would become of the hosts of a valid form, and what the page after it says of that."""

    def __init__(self, form: ImportForm, user: SomeUser, data: Any = None) -> None:
        self.notes = form.found.notes
        self.groups: list[str] = form.cleaned_data["groups"]
        self.planned: list[Planned] = plan(form.found.hosts, user)
        credentials = list(Credential.objects.visible_to(user))
        self.logins = [
            LoginChoice(number, username, credentials, None if data is None else _identity(data, f"login-{number}"))
            for number, username in enumerate(usernames(self.planned))
        ]

    @property
    def new_count(self) -> int:
        """How many would be added."""
        return sum(row.state == NEW for row in self.planned)

    def credentials(self) -> dict[str, Credential | None]:
        """The chosen log-ins by user name."""
        return {choice.username: choice.credential for choice in self.logins}


def _identity(data: Any, name: str) -> str:
    try:
        return str(uuid.UUID(str(data.get(name, ""))))
    except ValueError:
        return OF_GROUP
