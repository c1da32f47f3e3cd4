"""Devices as a document: log-ins without their secrets, groups, devices with jump hosts and host keys."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import Model

from devices.models import Credential, Device, DeviceGroup, Jump, TlsIdentity
from ssm.lib.roles import Right, SomeUser
from ssm.lib.transfer import VERSION

WHAT: Final = "devices"
LOGIN, GROUP, DEVICE = "login", "group", "device"
# What of a log-in is no secret. The key that an agent holds is named, the certificate is public.
LOGIN_COLUMNS: Final = ("username", "use_agent", "agent_key", "passwordless", "use_sudo", "certificate")
COLUMNS: Final = (
    *("address", "port", "transport", "groups", "docker_socket", "connect_timeout_s", "request_timeout_s"),
    *("tls_server_name", "trust_sshfp", "address_family", "proxy_kind", "proxy_address", "proxy_port", "keepalive_s"),
    *("legacy_algorithms", "compression", "become", "become_user", "forced_channel_kind", "watch_enabled"),
    *("watch_events", "sweep_schedule", "statistics_enabled", "statistics_schedule", "watch_by_default"),
    *("watch_stopped", "update_schedule"),
)
# Always written, as the rest is only where it differs from what a new device has.
_ALWAYS: Final = frozenset({"address", "port", "groups"})
# Columns that name another row, by the word of the document.
LINKS: Final[Mapping[str, tuple[str, type[Model]]]] = {
    "login": ("credential", Credential),
    "proxy_login": ("proxy_credential", Credential),
    "docker_login": ("docker_credential", Credential),
    "tls": ("tls", TlsIdentity),
}


def document(user: SomeUser) -> dict[str, Any]:
    """All devices that the user manages, with the log-ins and groups that he manages too. Seven queries."""
    rows = Device.objects.permitted(user, Right.MANAGE_DEVICES)
    devices = rows.select_related("credential", "proxy_credential", "docker_credential", "tls")
    devices = devices.prefetch_related("jumps__via", "jumps__credential", "host_keys").order_by("name")
    logins = Credential.objects.visible_to(user).only("name", *LOGIN_COLUMNS).order_by("name")
    groups = DeviceGroup.objects.visible_to(user).select_related("credential").order_by("name")
    return {
        "ssm": WHAT,
        "version": VERSION,
        "exported_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "logins": [{"name": row.name, **_differing(row, LOGIN_COLUMNS, {"username"})} for row in logins],
        "groups": [{"name": row.name, "login": row.credential.name if row.credential else None} for row in groups],
        "devices": [_of_device(device) for device in devices],
    }


def _of_device(device: Device) -> dict[str, Any]:
    told = {"name": device.name, **_differing(device, COLUMNS, _ALWAYS)}
    for word, (column, _model) in LINKS.items():
        if (linked := getattr(device, column)) is not None:
            told[word] = linked.name
    if jumps := [of_jump(jump) for jump in device.jumps.all()]:
        told["jumps"] = jumps
    if keys := [f"{key.key_type} {key.key_base64}" for key in device.host_keys.all()]:
        told["host_keys"] = keys
    return told


def of_jump(jump: Jump) -> dict[str, Any]:
    if jump.via is not None:
        return {"device": jump.via.name}
    place: dict[str, Any] = {"address": jump.address, "port": jump.port}
    return {**place, "login": jump.credential.name} if jump.credential is not None else place


def _differing(row: Model, columns: Sequence[str], always: Collection[str]) -> dict[str, Any]:
    return {
        name: value
        for name in columns
        if (value := getattr(row, name)) != default_of(type(row), name) or name in always
    }


def default_of(model: type[Model], name: str) -> Any:
    """What a new row has in a column."""
    column: Any = model._meta.get_field(name)
    return column.get_default()
