"""What the API tells of devices, and what it takes to add or change one."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, SecretStr, StringConstraints

from devices.models import Device, HostKey, ShownKey
from ssm.lib.api.forms import Text

# Groups stand in one field of the form, with commas between them.
GroupName = Annotated[str, StringConstraints(pattern=r"^[^,\x00-\x1f]+$", max_length=50, strip_whitespace=True)]


class Named(Schema):
    """An object by id and name."""

    id: uuid.UUID
    name: str


class DeviceFilter(Schema):
    """Which devices; all that are given must hold."""

    q: Text = Field("", description="Part of the name, address or operating system.", max_length=200)
    group: Text = Field("", max_length=50, examples=["production"])
    state: Literal["", "unknown", "connecting", "online", "unreachable", "disabled"] = ""
    sort: Literal["name", "-name", "state", "-state", "engine", "-engine", "added", "-added"] = "name"


class DeviceEntry(Schema):
    """A server, and how the connection to it stands."""

    id: uuid.UUID
    name: str = Field(examples=["web-1"])
    address: str = Field(examples=["web-1.example.com"])
    port: int = Field(examples=[22])
    transport: str = Field(description="ssh, tls, tcp or local.", examples=["ssh"])
    groups: list[str] = Field(examples=[["production"]])
    state: str = Field(examples=["online"])
    state_since: datetime
    state_message: str
    state_fix: str
    next_attempt_at: datetime | None = Field(description="When an unreachable one is tried next.")
    last_seen_at: datetime | None
    engine_product: str
    engine_version: str = Field(examples=["28.0.1"])
    api_version: str
    operating_system: str
    architecture: str
    cpus: int | None
    memory_bytes: int | None
    last_sweep_at: datetime | None
    last_sweep_error: str

    @classmethod
    def of(cls, device: Device) -> "DeviceEntry":
        """From its row."""
        return cls(**{name: getattr(device, name) for name in DeviceEntry.model_fields})


class JumpEntry(Schema):
    """A jump host: another device, or an address."""

    via: Named | None
    address: str
    port: int
    credential: Named | None = Field(description="Null: the device's own.")


class Settings(Schema):
    """How a device is reached and watched; secrets are not among it."""

    credential: Named | None = Field(description="Null: the default of its groups.")
    jumps: list[JumpEntry]
    tls: Named | None
    tls_server_name: str
    trust_sshfp: bool
    address_family: str
    proxy_kind: str
    proxy_address: str
    proxy_port: int | None
    proxy_credential: Named | None
    docker_socket: str
    become: str
    become_user: str
    docker_credential: Named | None
    forced_channel_kind: str
    connect_timeout_s: int
    request_timeout_s: int
    keepalive_s: int
    legacy_algorithms: bool
    compression: bool
    watch_enabled: bool
    watch_events: bool
    sweep_schedule: str
    statistics_enabled: bool
    statistics_schedule: str
    update_schedule: str
    watch_by_default: bool
    watch_stopped: bool

    @classmethod
    def of(cls, device: Device) -> "Settings":
        """From its row. Reads what it refers to."""
        rows = ("credential", "tls", "proxy_credential", "docker_credential")
        values: dict[str, Any] = {
            name: getattr(device, name) for name in cls.model_fields if name not in (*rows, "jumps")
        }
        jumps = [
            JumpEntry(via=named(jump.via), address=jump.address, port=jump.port, credential=named(jump.credential))
            for jump in device.jumps.select_related("via", "credential")
        ]
        values |= {name: named(getattr(device, name)) for name in rows}
        return cls(**values, jumps=jumps)


class KeyEntry(Schema):
    """A host key that somebody accepted for a device."""

    id: int
    device: Named
    key_type: str = Field(examples=["ssh-ed25519"])
    fingerprint: str = Field(examples=["SHA256:uNiVztksCsDhcc0u9e8BrKV6yH2SMnY…"])
    accepted_by: str
    accepted_at: datetime
    source: str = Field(description="Empty: compared by a person; known_hosts; dns.")

    @classmethod
    def of(cls, key: HostKey) -> "KeyEntry":
        """From its row with the device and who accepted it."""
        return cls(
            id=key.pk,
            device=Named(id=key.device_id, name=key.device.name),
            key_type=key.key_type,
            fingerprint=key.fingerprint,
            accepted_by=key.accepted_by.get_username() if key.accepted_by else "",
            accepted_at=key.accepted_at,
            source=key.source,
        )


class ShownEntry(Schema):
    """A key that a device shows and that is refused until somebody accepts it."""

    device: Named
    key_type: str
    fingerprint: str
    public_key: str = Field(description="To be sent back to `POST /devices/{id}/host-key` once it was compared.")
    first_shown_at: datetime
    last_shown_at: datetime
    accepted: list[str] = Field(description="Fingerprints that are accepted for the device.")

    @classmethod
    def of(cls, shown: ShownKey) -> "ShownEntry":
        """From its row with the device and its keys."""
        return cls(
            device=Named(id=shown.device_id, name=shown.device.name),
            key_type=shown.key_type,
            fingerprint=shown.fingerprint,
            public_key=f"{shown.key_type} {shown.key_base64}",
            first_shown_at=shown.first_shown_at,
            last_shown_at=shown.last_shown_at,
            accepted=[key.fingerprint for key in shown.device.host_keys.all()],
        )


class DeviceDetail(DeviceEntry):
    """A device with its settings, for those who manage it, and what SSM may do there."""

    container_count: int
    running_count: int
    access_grade: str = Field(description="nothing, watch, operate or everything; empty: not looked at yet.")
    access_abilities: list[str]
    host_keys: list[str] = Field(description="Fingerprints of the accepted keys.")
    settings: Settings | None = Field(description="Null for those who may not manage the device.")

    @classmethod
    def with_all(cls, device: Device, *, manages: bool) -> "DeviceDetail":
        """From a row with counts."""
        return cls(
            **DeviceEntry.of(device).model_dump(),
            container_count=getattr(device, "container_count", 0),
            running_count=getattr(device, "running_count", 0),
            access_grade=device.access_grade,
            access_abilities=device.access_abilities,
            host_keys=[key.fingerprint for key in device.host_keys.all()],
            settings=Settings.of(device) if manages else None,
        )


class NewLogin(Schema):
    """A log-in that is stored with the device. Secrets are never told again."""

    model_config = ConfigDict(extra="forbid")

    username: str = Field(max_length=64, examples=["deploy"])
    private_key: SecretStr = Field(SecretStr(""), description="OpenSSH, PEM or PKCS #8 text.")
    passphrase: SecretStr = SecretStr("")
    password: SecretStr = SecretStr("")
    certificate: str = Field("", description="The line of the -cert.pub file.")
    use_agent: bool = False
    passwordless: bool = False
    use_sudo: bool = False


class NewJump(Schema):
    """A jump host: `via` another device, or an `address`."""

    model_config = ConfigDict(extra="forbid")

    via: uuid.UUID | None = None
    address: str = Field("", max_length=255)
    port: int = Field(22, ge=1, le=65535)
    credential: uuid.UUID | None = Field(None, description="Null: the device's own.")


class DeviceChange(Schema):
    """What to change of a device; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=100, examples=["web-1"])
    address: str | None = Field(None, max_length=255, examples=["web-1.example.com"])
    port: int | None = Field(None, ge=1, le=65535)
    groups: list[GroupName] | None = Field(None, max_length=20)
    transport: Device.Transport | None = None
    accept_plain: bool | None = Field(None, description="tcp: I know that whoever reaches this port is root there.")
    credential: uuid.UUID | None = Field(None, description="A stored log-in.")
    login: NewLogin | None = Field(None, description="A new log-in instead, which is stored too.")
    use_group_login: bool | None = Field(None, description="The default log-in of its groups instead.")
    jumps: list[NewJump] | None = Field(None, max_length=8, description="Jump hosts, the nearest to SSM first.")
    host_key: str | None = Field(
        None, max_length=9000, description="Accept this key: type and base64, as in its .pub file, after comparing it."
    )
    tls: uuid.UUID | None = None
    tls_server_name: str | None = Field(None, max_length=255)
    trust_sshfp: bool | None = None
    address_family: Device.AddressFamily | None = None
    proxy_kind: Device.ProxyKind | None = None
    proxy_address: str | None = Field(None, max_length=255)
    proxy_port: int | None = Field(None, ge=1, le=65535)
    proxy_credential: uuid.UUID | None = None
    docker_socket: str | None = Field(None, max_length=255, examples=["/var/run/docker.sock"])
    become: Device.Become | None = None
    become_user: str | None = Field(None, max_length=64)
    docker_credential: uuid.UUID | None = None
    forced_channel_kind: Device.ChannelKind | None = None
    connect_timeout_s: int | None = Field(None, ge=1, le=120)
    request_timeout_s: int | None = Field(None, ge=1, le=600)
    keepalive_s: int | None = Field(None, ge=0, le=3600)
    legacy_algorithms: bool | None = None
    compression: bool | None = None
    watch_enabled: bool | None = None
    watch_events: bool | None = None
    sweep_schedule: str | None = Field(None, max_length=100, examples=["*/5 * * * *"])
    statistics_enabled: bool | None = None
    statistics_schedule: str | None = Field(None, max_length=100)
    update_schedule: str | None = Field(None, max_length=100)
    watch_by_default: bool | None = None
    watch_stopped: bool | None = None


class NewDevice(DeviceChange):
    """A device to add. Without `credential` and `login` it uses the default log-in of its groups."""

    name: str = Field(max_length=100, examples=["web-1"])


def named(row: Any) -> Named | None:
    """A row by id and name; None for none."""
    return None if row is None else Named(id=row.pk, name=str(row.name))
