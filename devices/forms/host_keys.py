"""Forms of host keys: known_hosts to import, and rules."""

from typing import Any

from django import forms

from devices.models import HostKeyRule
from devices.rules.host_keys import HostKeyError, PinnedKey, parse_host_key
from devices.rules.known_hosts import MOST_BYTES, BadLine, KnownHost, parse_known_hosts


class KnownHostsForm(forms.Form):
    """A known_hosts file, pasted or uploaded."""

    text = forms.CharField(
        required=False,
        max_length=MOST_BYTES,
        label="Lines of known_hosts",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "code-input"}),
        help_text="Also what ssh-keyscan prints. Hashed names count for the devices that they match.",
    )
    file = forms.FileField(required=False, max_length=255, label="Or the file")

    def clean(self) -> dict[str, Any]:
        """Lines that can be used, and those that can't."""
        data = super().clean() or self.cleaned_data
        uploaded = data.get("file")
        if uploaded is not None:
            if uploaded.size > MOST_BYTES:
                self.add_error("file", "This file is larger than 4 MiB.")
                return data
            data["text"] = uploaded.read().decode("utf-8", "replace")
        self.lines: list[KnownHost] = []
        self.bad: list[BadLine] = []
        self.lines, self.bad = parse_known_hosts(data.get("text") or "")
        if not self.lines and not self.bad and not self.errors:
            self.add_error("text", "Paste lines of known_hosts, or choose the file.")
        return data


class HostKeyRuleForm(forms.ModelForm[HostKeyRule]):
    """An authority for host keys, or a key that is never trusted."""

    key = forms.CharField(
        max_length=16_384,
        label="Public key",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "code-input"}),
        help_text="The line of its .pub file.",
    )

    class Meta:
        model = HostKeyRule
        fields = ("kind", "patterns", "comment")
        labels = {"kind": "This key", "patterns": "Hosts"}
        help_texts = {
            "patterns": "Names as devices have them, * and ? stand for anything: *.example.com. Several with commas "
            "between, ! in front leaves one out; [name]:port for ports other than 22.",
        }

    def clean_patterns(self) -> str:
        """Patterns without blanks."""
        patterns = "".join(self.cleaned_data["patterns"].split())
        if not patterns.replace(",", "").replace("!", ""):
            raise forms.ValidationError("Name at least one host, or * for all.")
        return patterns

    def clean_key(self) -> PinnedKey:
        """A public key."""
        try:
            return parse_host_key(self.cleaned_data["key"])
        except HostKeyError as exc:
            raise forms.ValidationError(f"This is no public key that can be used: {exc}.") from exc

    def clean(self) -> dict[str, Any]:
        """Not the same rule twice."""
        data = super().clean() or self.cleaned_data
        key = data.get("key")
        if key is not None:
            self.instance.key_type, self.instance.key_base64 = key.key_type, key.key_base64
            self.instance.fingerprint = key.fingerprint
            same = HostKeyRule.objects.filter(
                kind=data.get("kind"), patterns=data.get("patterns"), fingerprint=key.fingerprint
            )
            if same.exists():
                self.add_error(None, "There is this very rule already.")
        return data
