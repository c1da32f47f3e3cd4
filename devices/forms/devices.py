"""The form of a device with the log-in that it uses. Secrets go in and never come out again."""

from dataclasses import replace
from typing import Any, Final

from django import forms
from django.db import transaction
from django.urls import reverse

from devices.errors import DeviceError
from devices.forms.fields import ScheduleField, ScheduleFields, clean_group_names, clean_host, preview
from devices.forms.logins import SECRETS, LoginFields
from devices.forms.ways import (
    MAX_JUMP_KEYS_BYTES,
    SOCKETS,
    JumpForms,
    clean_user_to_become,
    parse_hop_keys,
    store_jumps,
)
from devices.models import Credential, Device, Jump, TlsIdentity, now
from devices.rules.addresses import AddressError, HostAddress, parse_address
from devices.rules.host_keys import HostKeyError, PinnedKey, parse_host_key
from devices.rules.targets import Authentication, ConnectionTarget
from devices.services import (
    authentication,
    default_credential,
    hops_of,
    may_manage,
    may_use,
    note_configured,
    pinned_keys,
    trust_host_key,
    way_of,
)
from devices.work import plan_all
from ssm.lib.roles import SomeUser

EXISTING, NEW, OF_GROUP = "existing", "new", "group"
SCHEDULES: Final = ("sweep_schedule", "statistics_schedule", "update_schedule")
DEFAULT_PORTS: Final = {
    Device.Transport.SSH.value: 22,
    Device.Transport.TLS.value: 2376,
    Device.Transport.TCP.value: 2375,
}


class DeviceForm(LoginFields, ScheduleFields, forms.ModelForm[Device]):
    """Name, address, log-in, the way there, and how the device is watched."""

    address = forms.CharField(required=False, max_length=255)
    port = forms.IntegerField(required=False, min_value=1, max_value=65535)
    groups = forms.CharField(
        required=False, max_length=1000, help_text="Separate several by commas, for example: production, berlin."
    )
    login = forms.ChoiceField(
        choices=[
            (EXISTING, "Use a stored log-in"),
            (NEW, "Enter a new one"),
            (OF_GROUP, "Use the default of its groups"),
        ],
        initial=NEW,
        required=False,
    )
    credential = forms.ModelChoiceField(Credential.objects.none(), required=False, empty_label="Choose…")
    accept_plain = forms.BooleanField(
        required=False,
        label="I know that this connection is neither encrypted nor protected",
        help_text="Whoever reaches this port is root on the host, and whoever is on the way can read and change all.",
    )
    host_key_type = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    host_key_base64 = forms.CharField(required=False, max_length=8192, widget=forms.HiddenInput)
    hop_keys = forms.CharField(required=False, max_length=MAX_JUMP_KEYS_BYTES, widget=forms.HiddenInput)

    class Meta:
        model = Device
        fields = (
            "name",
            "transport",
            "address",
            "port",
            "tls",
            "tls_server_name",
            "trust_sshfp",
            "address_family",
            "proxy_kind",
            "proxy_address",
            "proxy_port",
            "proxy_credential",
            "docker_socket",
            "become",
            "become_user",
            "docker_credential",
            "forced_channel_kind",
            "connect_timeout_s",
            "request_timeout_s",
            "keepalive_s",
            "legacy_algorithms",
            "compression",
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
        # The log-in that was entered with the device, once stored.
        self.new_credential: Credential | None = None
        self.has_credentials = credentials.exists()
        self.sockets = SOCKETS
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
        self.fields["docker_socket"].widget.attrs["list"] = "socket-paths"
        self.fields["proxy_port"].widget.attrs["placeholder"] = "1080, 3128"
        for name in ("credential", "proxy_credential", "docker_credential"):
            self.fields[name].queryset = credentials  # type: ignore[attr-defined]
        self.fields["tls"].queryset = TlsIdentity.objects.visible_to(user)  # type: ignore[attr-defined]
        # Forms of before these choices, and calls that leave them out, mean what was the only way then.
        for name in ("transport", "address_family", "proxy_kind", "keepalive_s"):
            self.fields[name].required = False
        self.initial.setdefault("login", EXISTING if self.has_credentials else NEW)
        self.initial.setdefault("port", 22)
        if not self.instance._state.adding:
            self.initial["groups"] = ", ".join(self.instance.groups)
            self.initial["credential"] = self.instance.credential_id
            self.initial["login"] = EXISTING if self.instance.credential_id is not None else OF_GROUP
            self.initial["accept_plain"] = self.instance.transport == Device.Transport.TCP
        self.jump_forms = JumpForms(self.data if self.is_bound else None, self.instance, user)

    # ---- one field --------------------------------------------------------------------------------------

    def clean_transport(self) -> str:
        """SSH unless something else was chosen."""
        return self.cleaned_data["transport"] or Device.Transport.SSH

    def clean_address_family(self) -> str:
        """Both unless one was chosen."""
        return self.cleaned_data["address_family"] or Device.AddressFamily.ANY

    def clean_proxy_kind(self) -> str:
        """None unless one was chosen."""
        return self.cleaned_data["proxy_kind"] or Device.ProxyKind.NONE

    def clean_keepalive_s(self) -> int:
        """The usual time unless one was given; 0 is an answer of its own."""
        given: int | None = self.cleaned_data["keepalive_s"]
        return Device._meta.get_field("keepalive_s").default if given is None else given

    def clean_proxy_address(self) -> str:
        """A host name or an IP address."""
        text: str = self.cleaned_data["proxy_address"].strip()
        return clean_host(text) if text else ""

    def clean_tls_server_name(self) -> str:
        """A host name."""
        text: str = self.cleaned_data["tls_server_name"].strip()
        return clean_host(text) if text else ""

    def clean_become_user(self) -> str:
        """A user name, and no option."""
        return clean_user_to_become(self.cleaned_data["become_user"])

    def clean_address(self) -> str:
        """The host alone; a user name and port typed with it go where they belong."""
        self._typed_address: HostAddress | None = None
        text: str = self.cleaned_data["address"].strip()
        if not text and self.cleaned_data.get("transport") == Device.Transport.LOCAL:
            return "localhost"
        try:
            self._typed_address = parse_address(text)
        except AddressError as exc:
            raise forms.ValidationError(str(exc)) from exc
        return self._typed_address.host

    def clean_groups(self) -> list[str]:
        """Distinct names in the order typed: among them one that the user may manage, and none new of others."""
        names = clean_group_names(self.cleaned_data["groups"])
        if not may_manage(self.user, names, kept=self.instance.groups):
            raise forms.ValidationError("Your role is limited to some groups: name one of them, and no other.")
        return names

    def clean_docker_socket(self) -> str:
        """An absolute path."""
        path: str = self.cleaned_data["docker_socket"]
        if not path.startswith("/") or "\x00" in path:
            raise forms.ValidationError("Give the absolute path of the socket, for example /var/run/docker.sock.")
        return path

    def clean_hop_keys(self) -> dict[int, PinnedKey]:
        """Accepted keys of jump hosts by their place on the way."""
        return parse_hop_keys(self.cleaned_data["hop_keys"])

    @property
    def schedules(self) -> list["ScheduleField"]:
        """The three schedules with what their expressions come to now."""
        return [ScheduleField(self[name], preview(str(self[name].value() or ""))) for name in SCHEDULES]

    # ---- several fields together ------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        """Checks that need several fields: a complete log-in, a way that exists, a real host key."""
        data = super().clean() or self.cleaned_data
        typed = getattr(self, "_typed_address", None)
        transport = data.get("transport")
        if typed is not None:
            if typed.username and not data.get("username"):
                data["username"] = typed.username
            if typed.port != 22 and data.get("port") in (22, None):
                data["port"] = typed.port
        # The port of another transport is one that nobody changed.
        if data.get("port") in (None, *(set(DEFAULT_PORTS.values()) - {DEFAULT_PORTS.get(str(transport))})):
            data["port"] = self._default_port(transport, typed)
        if transport == Device.Transport.SSH:
            self._clean_login(data)
        elif transport == Device.Transport.TCP and not data.get("accept_plain"):
            self.add_error("accept_plain", "Confirm this, or choose TLS or SSH.")
        wants_proxy = data.get("proxy_kind") != Device.ProxyKind.NONE
        if wants_proxy and not data.get("proxy_address") and "proxy_address" not in self.errors:
            self.add_error("proxy_address", "Give the address of the proxy.")
        if not self.jump_forms.is_valid():
            self.add_error(None, "Correct the marked jump hosts.")
        self._clean_host_key(data)
        return data

    def _default_port(self, transport: Any, typed: HostAddress | None) -> int:
        if typed is not None and typed.port != 22:
            return typed.port
        return DEFAULT_PORTS.get(str(transport), 22)

    def _clean_login(self, data: dict[str, Any]) -> None:
        login = data.get("login") or NEW
        data["login"] = login
        if login == EXISTING:
            if not data.get("credential"):
                self.add_error("credential", "Choose a stored log-in, or enter a new one.")
        elif login == OF_GROUP:
            self._group_credential = default_credential(data.get("groups") or [])
            if self._group_credential is None:
                self.add_error("groups", "None of these groups has a default log-in: set one under Devices, Groups.")
            elif not may_use(self.user, self._group_credential):
                self.add_error("groups", "The default log-in of these groups is also for devices of others.")
        else:
            self._read_key_file(data)
            self.check_login(data)

    def _clean_host_key(self, data: dict[str, Any]) -> None:
        self.host_key: PinnedKey | None = None
        if data.get("host_key_type") and data.get("host_key_base64"):
            try:
                self.host_key = parse_host_key(f"{data['host_key_type']} {data['host_key_base64']}")
            except HostKeyError:
                self.add_error(None, "The accepted host key is damaged: test the connection again.")

    def _post_clean(self) -> None:
        """Then the way as a whole: it needs the device as the form describes it."""
        super()._post_clean()  # type: ignore[misc]
        self._jumps: list[Jump] = []
        self._hops: list[tuple[ConnectionTarget, Jump | None]] = []
        if self.errors or self.cleaned_data["transport"] != Device.Transport.SSH:
            return
        self._jumps = list(self.jump_forms.jumps())
        try:
            device = None if self.instance._state.adding else self.instance
            self._hops = hops_of(self._plain_target(), self._jumps, device)
        except DeviceError as exc:
            self.add_error(None, str(exc))

    # ---- what to do with it -----------------------------------------------------------------------------

    def target(self) -> ConnectionTarget:
        """What the valid form describes, to be tested. Secrets of a stored log-in are read from the database."""
        target = self._plain_target()
        hops = tuple(hop for hop, _jump in self._hops)
        return replace(target, hops=hops)

    @property
    def accepted_hops(self) -> dict[int, PinnedKey]:
        """Keys of jump hosts that were accepted since the last test, by their place on the way."""
        keys: dict[int, PinnedKey] = self.cleaned_data["hop_keys"]
        return keys

    def _plain_target(self) -> ConnectionTarget:
        data = self.cleaned_data
        adding = self.instance._state.adding
        return ConnectionTarget(
            device_id="",
            name=data.get("name") or data["address"],
            address=data["address"],
            port=data["port"],
            authentication=self._authentication(),
            pinned_keys=() if adding else pinned_keys(self.instance.host_keys.all()),
            socket_path=data["docker_socket"],
            connect_timeout_s=data["connect_timeout_s"],
            request_timeout_s=data["request_timeout_s"],
            transport=data["transport"],
            **way_of(self.instance),
        )

    def _authentication(self) -> Authentication:
        data = self.cleaned_data
        if data["transport"] != Device.Transport.SSH:
            return Authentication("")
        if data["login"] == EXISTING:
            return authentication(data["credential"])
        if data["login"] == OF_GROUP and self._group_credential is not None:
            return authentication(self._group_credential)
        return Authentication(
            username=data["username"],
            password=data["password"] or None,
            private_key=data["private_key"] or None,
            passphrase=data["passphrase"] or None,
            sudo=data["use_sudo"],
            certificate=data["certificate"],
            agent=data["use_agent"],
        )

    def store(self) -> Device:
        """Write the device, a new log-in, its jump hosts, and the accepted host keys: all or nothing."""
        data = self.cleaned_data
        device: Device = self.instance
        is_new = device._state.adding
        device.groups = data["groups"]
        device.port = data["port"]
        device.configured_at = now()
        with transaction.atomic(durable=True):
            if data["transport"] == Device.Transport.SSH:
                device.credential = self._chosen_credential()
            if not is_new:
                plan_all(device)
            device.save()
            store_jumps(device, self._jumps, self._keys_of_jumps(), self.user)
            if self.host_key is not None:
                # Whoever accepts a key for a device knows it by that key from then on.
                device.host_keys.exclude(key_type=self.host_key.key_type).delete()
                trust_host_key(device, self.host_key, self.user)
        if not is_new:
            note_configured(Device.objects.filter(pk=device.pk))
        return device

    def _keys_of_jumps(self) -> dict[int, PinnedKey]:
        """Accepted keys by the place of the jump host among the form's rows."""
        accepted = self.accepted_hops
        rows = enumerate(jump for _hop, jump in self._hops)
        return {self._jumps.index(jump): accepted[at] for at, jump in rows if jump is not None and at in accepted}

    def _chosen_credential(self) -> Credential | None:
        data = self.cleaned_data
        if data["login"] == OF_GROUP:
            return None
        chosen: Credential = data["credential"] if data["login"] == EXISTING else self._store_credential()
        return chosen

    def _store_credential(self) -> Credential:
        data = self.cleaned_data
        wanted = f"{data['username']}@{data['name']}"[:90]
        taken = set(Credential.objects.filter(name__startswith=wanted).values_list("name", flat=True))
        names = [wanted, *(f"{wanted} ({number})" for number in range(2, len(taken) + 3))]
        self.new_credential = Credential.objects.create(
            name=next(name for name in names if name not in taken),
            username=data["username"],
            private_key=data["private_key"],
            passphrase=data["passphrase"],
            password=data["password"],
            certificate=data["certificate"],
            use_agent=data["use_agent"],
            passwordless=data["passwordless"],
            use_sudo=data["use_sudo"],
            key_fingerprint=self.key_fingerprint,
            public_key=self.public_key,
        )
        return self.new_credential


class ConnectionTestForm(DeviceForm):
    """The same fields for a test before saving: the name may be missing or taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False

    def validate_unique(self) -> None:
        """A test stores nothing."""
