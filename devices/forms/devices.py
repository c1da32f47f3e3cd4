"""The form of a device with the log-in that it uses. Secrets go in and never come out again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django import forms
from django.db import transaction
from django.urls import reverse

from devices.connections.keys import private_key_fingerprint
from devices.errors import KeyUnreadable
from devices.models import Credential, Device, now
from devices.rules.addresses import AddressError, parse_address
from devices.rules.host_keys import HostKeyError, PinnedKey, parse_host_key
from devices.rules.schedules import ScheduleError, check_schedule
from devices.rules.targets import Authentication, ConnectionTarget
from devices.services import authentication, request_attempt_now, trust_host_key
from devices.work import plan_all
from ssm.lib.roles import SomeUser

MAX_GROUPS: Final = 20
# The largest RSA keys are some 13 kB of text.
MAX_KEY_BYTES: Final = 64 * 1024
EXISTING, NEW = "existing", "new"
SECRETS: Final = ("private_key", "private_key_file", "passphrase", "password")


SCHEDULES: Final = ("sweep_schedule", "statistics_schedule", "update_schedule")


def clean_cron(expression: str) -> str:
    """The expression without blanks around it; ValidationError that says what is wrong with it."""
    expression = expression.strip()
    try:
        check_schedule(expression, now())
    except ScheduleError as exc:
        raise forms.ValidationError(str(exc)) from exc
    return expression


@dataclass(frozen=True, slots=True)
class Preview:
    """What a cron expression comes to: its next three runs (UTC), or what is wrong with it."""

    runs: tuple[datetime, ...] = ()
    error: str = ""


def preview(expression: str) -> Preview:
    """What the expression comes to now; nothing for an empty one."""
    if not expression.strip():
        return Preview()
    try:
        return Preview(runs=tuple(check_schedule(expression.strip(), now())))
    except ScheduleError as exc:
        return Preview(error=str(exc))


@dataclass(frozen=True, slots=True)
class ScheduleField:
    """A field of the form and what its expression comes to."""

    field: forms.BoundField
    preview: Preview


class WriteOnlyTextarea(forms.Textarea):
    """A text area that never shows a value, not even the one just typed."""

    def format_value(self, value: Any) -> str | None:
        """Nothing, whatever is given."""
        return None


class DeviceForm(forms.ModelForm[Device]):
    """Name, address, log-in, and how the device is watched."""

    port = forms.IntegerField(min_value=1, max_value=65535, initial=22)
    groups = forms.CharField(
        required=False, max_length=1000, help_text="Separate several by commas, for example: production, berlin."
    )
    login = forms.ChoiceField(choices=[(EXISTING, "Use a stored log-in"), (NEW, "Enter a new one")], initial=NEW)
    credential = forms.ModelChoiceField(Credential.objects.none(), required=False, empty_label="Choose…")
    username = forms.CharField(required=False, max_length=64, label="User name")
    private_key = forms.CharField(
        required=False,
        max_length=MAX_KEY_BYTES,
        widget=WriteOnlyTextarea(attrs={"rows": 5}),
        help_text="OpenSSH or PEM text of type Ed25519, ECDSA or RSA.",
    )
    private_key_file = forms.FileField(required=False, max_length=255, label="Or its file")
    passphrase = forms.CharField(
        required=False, strip=False, widget=forms.PasswordInput, help_text="Of the private key."
    )
    password = forms.CharField(required=False, strip=False, widget=forms.PasswordInput)
    use_sudo = forms.BooleanField(
        required=False,
        label="Use sudo if the user may not open the socket",
        help_text="Without a password, or with the one above.",
    )
    host_key_type = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    host_key_base64 = forms.CharField(required=False, max_length=8192, widget=forms.HiddenInput)

    class Meta:
        model = Device
        fields = (
            "name",
            "address",
            "port",
            "docker_socket",
            "connect_timeout_s",
            "request_timeout_s",
            "watch_enabled",
            "watch_events",
            "sweep_schedule",
            "statistics_enabled",
            "statistics_schedule",
            "update_schedule",
            "watch_by_default",
            "watch_stopped",
        )
        error_messages = {"name": {"unique": "Another device has this name."}}

    def __init__(self, *args: Any, user: SomeUser, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        credentials = Credential.objects.visible_to(user)
        self.user = user
        self.has_credentials = credentials.exists()
        for name in SECRETS:
            # What was typed stays in the browser when a faulty form comes back: it is never sent back from here.
            self.fields[name].widget.attrs["hx-preserve"] = "true"
        for name in SCHEDULES:
            self.fields[name].widget.attrs |= {
                "spellcheck": "false",
                "autocomplete": "off",
                "hx-get": reverse("devices:schedule"),
                "hx-trigger": "input changed delay:300ms",
                "hx-target": f"#{name}-preview",
                "hx-swap": "innerHTML",
                "hx-sync": "this:replace",
            }
        self.fields["credential"].queryset = credentials  # type: ignore[attr-defined]
        self.initial.setdefault("login", EXISTING if self.has_credentials else NEW)
        if not self.instance._state.adding:
            self.initial["groups"] = ", ".join(self.instance.groups)
            self.initial["credential"] = self.instance.credential_id
            self.initial["login"] = EXISTING

    # ---- one field --------------------------------------------------------------------------------------

    def clean_address(self) -> str:
        """The host alone; a user name and port typed with it go where they belong."""
        try:
            parsed = parse_address(self.cleaned_data["address"])
        except AddressError as exc:
            raise forms.ValidationError(str(exc)) from exc
        self._typed_address = parsed
        return parsed.host

    def clean_groups(self) -> list[str]:
        """Distinct names in the order typed."""
        names = list(dict.fromkeys(name.strip() for name in self.cleaned_data["groups"].split(",") if name.strip()))
        if len(names) > MAX_GROUPS or any(len(name) > 50 for name in names):
            raise forms.ValidationError(f"At most {MAX_GROUPS} groups of at most 50 characters each.")
        return names

    def clean_docker_socket(self) -> str:
        """An absolute path."""
        path: str = self.cleaned_data["docker_socket"]
        if not path.startswith("/") or "\x00" in path:
            raise forms.ValidationError("Give the absolute path of the socket, for example /var/run/docker.sock.")
        return path

    def clean_sweep_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["sweep_schedule"])

    def clean_statistics_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["statistics_schedule"])

    def clean_update_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["update_schedule"])

    @property
    def schedules(self) -> list["ScheduleField"]:
        """The three schedules with what their expressions come to now."""
        return [ScheduleField(self[name], preview(str(self[name].value() or ""))) for name in SCHEDULES]

    # ---- the log-in and the host key --------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        """Checks that need several fields: a complete log-in, a readable key, a real host key."""
        data = super().clean() or self.cleaned_data
        typed = getattr(self, "_typed_address", None)
        if typed is not None:
            if typed.username and not data.get("username"):
                data["username"] = typed.username
            if typed.port != 22 and data.get("port") == 22:
                data["port"] = typed.port
        if data.get("login") == EXISTING:
            if not data.get("credential"):
                self.add_error("credential", "Choose a stored log-in, or enter a new one.")
        else:
            self._clean_login(data)
        self._clean_host_key(data)
        return data

    def _clean_login(self, data: dict[str, Any]) -> None:
        uploaded = data.get("private_key_file")
        if uploaded is not None:
            if uploaded.size > MAX_KEY_BYTES:
                self.add_error("private_key_file", "This file is too large to be a private key.")
                return
            data["private_key"] = uploaded.read().decode("utf-8", "replace")
        if not data.get("username"):
            self.add_error("username", "Give the user name to log in with.")
        if "private_key" in self.errors or "private_key_file" in self.errors:
            return
        if not data.get("private_key") and not data.get("password"):
            self.add_error("private_key", "Give a private key, a password, or both.")
        self.key_fingerprint = ""
        if data.get("private_key"):
            try:
                self.key_fingerprint = private_key_fingerprint(
                    data["private_key"], data.get("passphrase") or None, data.get("name") or "The log-in"
                )
            except KeyUnreadable as exc:
                self.add_error("passphrase" if "passphrase" in exc.message else "private_key", str(exc))

    def _clean_host_key(self, data: dict[str, Any]) -> None:
        self.host_key: PinnedKey | None = None
        if data.get("host_key_type") and data.get("host_key_base64"):
            try:
                self.host_key = parse_host_key(f"{data['host_key_type']} {data['host_key_base64']}")
            except HostKeyError:
                self.add_error(None, "The accepted host key is damaged: test the connection again.")

    # ---- what to do with it -----------------------------------------------------------------------------

    def target(self) -> ConnectionTarget:
        """What the valid form describes, to be tested. Secrets of a stored log-in are read from the database."""
        data = self.cleaned_data
        pinned: tuple[PinnedKey, ...] = ()
        if not self.instance._state.adding:
            pinned = tuple(PinnedKey(key.key_type, key.key_base64) for key in self.instance.host_keys.all())
        return ConnectionTarget(
            device_id="",
            name=data.get("name") or data["address"],
            address=data["address"],
            port=data["port"],
            authentication=self._authentication(),
            pinned_keys=pinned,
            socket_path=data["docker_socket"],
            connect_timeout_s=data["connect_timeout_s"],
            request_timeout_s=data["request_timeout_s"],
        )

    def _authentication(self) -> Authentication:
        data = self.cleaned_data
        if data["login"] == EXISTING:
            return authentication(data["credential"])
        return Authentication(
            username=data["username"],
            password=data["password"] or None,
            private_key=data["private_key"] or None,
            passphrase=data["passphrase"] or None,
            sudo=data["use_sudo"],
        )

    def store(self) -> Device:
        """Write the device, a new log-in, and the accepted host key: all or nothing."""
        data = self.cleaned_data
        device: Device = self.instance
        is_new = device._state.adding
        device.groups = data["groups"]
        with transaction.atomic(durable=True):
            device.credential = data["credential"] if data["login"] == EXISTING else self._store_credential()
            if not is_new:
                plan_all(device)
            device.save()
            if self.host_key is not None:
                # Whoever accepts a key for a device knows it by that key from then on.
                device.host_keys.exclude(key_type=self.host_key.key_type).delete()
                trust_host_key(device, self.host_key, self.user)
        if not is_new:
            request_attempt_now(device)
        return device

    def _store_credential(self) -> Credential:
        data = self.cleaned_data
        wanted = f"{data['username']}@{data['name']}"[:90]
        taken = set(Credential.objects.filter(name__startswith=wanted).values_list("name", flat=True))
        names = [wanted, *(f"{wanted} ({number})" for number in range(2, len(taken) + 3))]
        return Credential.objects.create(
            name=next(name for name in names if name not in taken),
            username=data["username"],
            private_key=data["private_key"].replace("\r\n", "\n"),
            passphrase=data["passphrase"],
            password=data["password"],
            use_sudo=data["use_sudo"],
            key_fingerprint=self.key_fingerprint,
        )


class ConnectionTestForm(DeviceForm):
    """The same fields for a test before saving: the name may be missing or taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False

    def validate_unique(self) -> None:
        """A test stores nothing."""
