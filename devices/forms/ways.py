"""The part of a device's form that tells how to get there: jump hosts, their keys, the proxy."""

import re
from collections.abc import Iterator
from typing import Any, Final

from django import forms

from devices.forms.fields import clean_host
from devices.models import Credential, Device, Jump, JumpKey
from devices.rules.host_keys import HostKeyError, PinnedKey, parse_host_key
from devices.services import MOST_HOPS
from ssm.lib.roles import Right, SomeUser

# Names that useradd and directory services make; nothing that a shell or sudo could take for an option.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,63}\Z")
MAX_JUMP_KEYS_BYTES: Final = 64 * 1024
SOCKETS: Final = (
    ("/var/run/docker.sock", "Docker, also from snap"),
    ("/run/user/{uid}/docker.sock", "Docker without root"),
    ("/run/podman/podman.sock", "Podman"),
    ("/run/user/{uid}/podman/podman.sock", "Podman without root"),
)


class JumpForm(forms.Form):
    """One jump host: another device, or an address with a log-in. An empty row is none."""

    via = forms.ModelChoiceField(Device.objects.none(), required=False, empty_label="an address:", label="Through")
    address = forms.CharField(required=False, max_length=255)
    port = forms.IntegerField(required=False, min_value=1, max_value=65535, initial=22)
    credential = forms.ModelChoiceField(
        Credential.objects.none(), required=False, empty_label="the device's own", label="Log-in"
    )

    def __init__(self, *args: Any, devices: Any, credentials: Any, stored: Jump | None = None, **kwargs: Any) -> None:
        if stored is not None:
            kwargs["initial"] = {
                "via": stored.via_id,
                "address": stored.address,
                "port": stored.port,
                "credential": stored.credential_id,
            }
        super().__init__(*args, **kwargs)
        self.fields["via"].queryset = devices  # type: ignore[attr-defined]
        self.fields["credential"].queryset = credentials  # type: ignore[attr-defined]
        self.is_filled = bool(self["via"].value() or self["address"].value())

    def clean_address(self) -> str:
        """A host name or an IP address."""
        text: str = self.cleaned_data["address"].strip()
        return clean_host(text) if text else ""

    def clean(self) -> dict[str, Any]:
        """A device or an address, not both."""
        data = super().clean() or self.cleaned_data
        if data.get("via") and data.get("address"):
            self.add_error("address", "Choose a device or give an address, not both.")
        return data


class JumpForms:
    """The rows of jump hosts of one form, the nearest to SSM first; as many as a way may have."""

    def __init__(self, data: Any, device: Device, user: SomeUser) -> None:
        self._device = device
        self._stored = [] if device._state.adding else list(device.jumps.select_related("via", "credential"))
        devices = Device.objects.permitted(user, Right.MANAGE_DEVICES).filter(transport=Device.Transport.SSH)
        if not device._state.adding:
            devices = devices.exclude(pk=device.pk)
        rows: list[Jump | None] = [*self._stored[:MOST_HOPS]]
        rows += [None] * (MOST_HOPS - len(rows))
        # Evaluated once for all rows, not once for each.
        choices = {"devices": devices.order_by("name"), "credentials": Credential.objects.visible_to(user)}
        self.forms = [
            JumpForm(data, prefix=f"jumps-{number}", stored=None if data is not None else row, **choices)
            for number, row in enumerate(rows)
        ]
        self._share_choices()

    def _share_choices(self) -> None:
        for name in ("via", "credential"):
            first: Any = self.forms[0].fields[name]
            shared = list(first.choices)
            for form in self.forms:
                form.fields[name].widget.choices = shared

    @property
    def filled(self) -> list[JumpForm]:
        """The rows that name a jump host, and the first empty one to fill in."""
        return [form for form in self.forms if form.is_filled]

    @property
    def spare(self) -> list[JumpForm]:
        """The empty rows."""
        return [form for form in self.forms if not form.is_filled]

    def is_valid(self) -> bool:
        """Whether all rows are; each is checked, so that each shows its faults."""
        return all([form.is_valid() for form in self.forms])

    def jumps(self) -> Iterator[Jump]:
        """The jump hosts of the valid rows in order. One that was there keeps its row, and with it its keys."""
        left = list(self._stored)
        position = 0
        for form in self.forms:
            data = form.cleaned_data
            if not data.get("via") and not data.get("address"):
                continue
            port = data.get("port") or 22
            via = data["via"]
            jump = next(
                (
                    old
                    for old in left
                    if old.via_id == (via.pk if via is not None else None)
                    and (via is not None or (old.address, old.port) == (data["address"], port))
                ),
                None,
            )
            if jump is None:
                jump = Jump(device=self._device, address=data["address"])
            else:
                left.remove(jump)
            jump.via, jump.port, jump.position = via, port, position
            jump.credential = data["credential"] if via is None else None
            position += 1
            yield jump


def store_jumps(device: Device, jumps: list[Jump], keys: dict[int, PinnedKey], user: SomeUser) -> None:
    """Write the jump hosts of a device in place of those it had, with keys that were accepted for them.

    ``keys`` are by place in ``jumps``. In the caller's transaction.
    """
    kept = [jump.pk for jump in jumps if jump.pk is not None]
    device.jumps.exclude(pk__in=kept).delete()
    for place, jump in enumerate(jumps):
        jump.device = device
        jump.save()
        key = keys.get(place)
        if key is not None and jump.via is None:
            accept_jump_key(jump, key, user)


def accept_jump_key(jump: Jump, key: PinnedKey, user: SomeUser) -> JumpKey:
    """Trust a key of a jump host in place of all older ones."""
    jump.host_keys.all().delete()
    return JumpKey.objects.create(
        jump=jump,
        key_type=key.key_type,
        key_base64=key.key_base64,
        fingerprint=key.fingerprint,
        accepted_by=user if user.is_authenticated else None,
    )


def parse_hop_keys(text: str) -> dict[int, PinnedKey]:
    """Accepted keys of jump hosts out of lines ``position type base64``. ValidationError when a line is damaged."""
    keys: dict[int, PinnedKey] = {}
    for line in text.splitlines()[:MOST_HOPS]:
        position, _, rest = line.strip().partition(" ")
        if not rest:
            continue
        if not position.isdecimal() or int(position[:4]) >= MOST_HOPS:
            raise forms.ValidationError("The accepted key of a jump host is damaged: test the connection again.")
        try:
            keys[int(position)] = parse_host_key(rest)
        except HostKeyError as exc:
            raise forms.ValidationError(
                "The accepted key of a jump host is damaged: test the connection again."
            ) from exc
    return keys


def clean_user_to_become(text: str) -> str:
    """A user name that sudo and doas take for nothing else."""
    name = text.strip()
    if name and not _USER.match(name):
        raise forms.ValidationError("This is no user name.")
    return name
