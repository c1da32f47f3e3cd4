"""How the API describes a container to be made: as JSON, and from there as the form that is checked."""

import shlex
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from containers.rules.creation_values import FIELDS
from containers.rules.drafts import MOST_ROWS, Draft
from ssm.lib.api.errors import FieldProblem

# Names of rows in requests, by kind of row of the form.
_ROWS: Final = {"env": "environment", "label": "labels", "port": "ports", "mount": "mounts", "network": "networks"}
_FLAGS: Final = ("tty", "stdin", "init", "privileged", "read_only", "auto_remove", "publish_all")
_LINES: Final = ("cap_add", "cap_drop", "security_opt", "group_add", "devices", "dns", "extra_hosts")
_PAIRS: Final = ("sysctls", "ulimits")
_WORDS: Final = ("command", "entrypoint")
_HEALTH: Final = ("kind", "interval", "timeout", "start_period", "retries")


class Port(Schema):
    """A published port, or a range of them."""

    model_config = ConfigDict(extra="forbid")

    container: str = Field(max_length=20, description="In the container.", examples=["80"])
    host: str = Field("", max_length=20, description="Of the host; empty: a free one.", examples=["8080"])
    ip: str = Field("", max_length=100, description="Of the host; empty: all its addresses.")
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"


class Mount(Schema):
    """A volume, a directory of the host, or memory, at a place in the container."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["volume", "bind", "tmpfs"] = "volume"
    source: str = Field("", max_length=4096, description="Name or path; empty: a new volume.", examples=["data"])
    target: str = Field(max_length=4096, examples=["/data"])
    options: str = Field("", max_length=500, description="With commas, such as ro.")


class NetworkPlace(Schema):
    """A network that it is on."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=255, examples=["front"])
    aliases: list[str] = Field([], max_length=50)
    ipv4: str = Field("", max_length=100)
    ipv6: str = Field("", max_length=100)


class Health(Schema):
    """How the engine tells whether it is well."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["image", "shell", "exec", "none"] = Field("image", description="image: as the image says.")
    command: str | list[str] = Field("", description="A line for the shell, or the words of a command (exec).")
    interval: str = Field("", max_length=20, examples=["30s"])
    timeout: str = Field("", max_length=20)
    start_period: str = Field("", max_length=20)
    retries: int | None = Field(None, ge=1, le=1000)


class Description(Schema):
    """A container. What is left out is as the image and the engine have it, or stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=255, examples=["web"])
    image: str | None = Field(None, max_length=1024, examples=["nginx:1.27"])
    command: list[str] | None = Field(None, max_length=500)
    entrypoint: list[str] | None = Field(None, max_length=500)
    environment: dict[str, str | None] | None = Field(
        None,
        max_length=MOST_ROWS,
        description="Variables to set; null removes one. Others stay.",
        examples=[{"TZ": "UTC"}],
    )
    labels: dict[str, str | None] | None = Field(None, max_length=MOST_ROWS, description="As variables.")
    ports: list[Port] | None = Field(
        None, max_length=MOST_ROWS, description="All of them, in place of those there are."
    )
    mounts: list[Mount] | None = Field(None, max_length=MOST_ROWS, description="All of them, as with ports.")
    networks: list[NetworkPlace] | None = Field(None, max_length=MOST_ROWS, description="All of them, as with ports.")
    network_mode: Literal["networks", "host", "none", "container"] | None = None
    network_container: str | None = Field(None, max_length=255, description="Whose network it shares.")
    restart_policy: Literal["no", "always", "unless-stopped", "on-failure"] | None = None
    restart_tries: int | None = Field(None, ge=0, le=1_000_000)
    health: Health | None = None
    log_driver: str | None = Field(None, max_length=100)
    log_options: dict[str, str] | None = Field(None, max_length=100)
    user: str | None = Field(None, max_length=255)
    working_dir: str | None = Field(None, max_length=4096)
    hostname: str | None = Field(None, max_length=255)
    tty: bool | None = None
    stdin: bool | None = None
    stop_signal: str | None = Field(None, max_length=20)
    stop_timeout: int | None = Field(None, ge=0, le=86_400)
    memory: str | None = Field(None, max_length=30, examples=["512m"])
    memory_reservation: str | None = Field(None, max_length=30)
    cpus: str | None = Field(None, max_length=30, examples=["1.5"])
    cpu_shares: int | None = None
    cpuset: str | None = Field(None, max_length=200)
    pids: int | None = None
    shm_size: str | None = Field(None, max_length=30)
    init: bool | None = None
    privileged: bool | None = None
    read_only: bool | None = None
    auto_remove: bool | None = None
    publish_all: bool | None = None
    cap_add: list[str] | None = Field(None, max_length=100)
    cap_drop: list[str] | None = Field(None, max_length=100)
    security_opt: list[str] | None = Field(None, max_length=100)
    group_add: list[str] | None = Field(None, max_length=100)
    devices: list[str] | None = Field(None, max_length=100)
    dns: list[str] | None = Field(None, max_length=100)
    extra_hosts: list[str] | None = Field(None, max_length=100)
    sysctls: dict[str, str] | None = Field(None, max_length=100)
    ulimits: dict[str, str] | None = Field(None, max_length=100, examples=[{"nofile": "1024:4096"}])


class Recreation(Description):
    """What shall be different of a container that is made anew."""

    pulls: bool = Field(False, description="Pull the image first, also if the host has it.")
    anyway: bool = Field(False, description="Although the last news of the host speak against it, as an error told.")


class Creation(Recreation):
    """A container to make."""

    device: uuid.UUID
    source: uuid.UUID | None = Field(None, description="A container whose copy with these changes it is.")
    name: str = Field(max_length=255, examples=["web"])
    starts: bool = Field(True, description="Start it once it is made.")


class Doubts(FieldProblem):
    """What is known of the host speaks against it; its engine would decide."""

    code = "doubtful"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(fields)
        self.fix = "Correct it, or ask with anyway: true."


def fresh() -> Draft:
    """A container of which nothing is said yet, as the page begins it."""
    fields = {"restart_policy": "unless-stopped", "health_kind": "image", "network_mode": "networks"}
    return Draft(fields, {"network": ({"name": "bridge", "aliases": "", "ipv4": "", "ipv6": ""},)})


def filled(base: Draft, order: Description) -> Draft:
    """The form with what the request names. FieldProblem for what cannot stand in it."""
    fields, rows = dict(base.fields), dict(base.rows)
    given = order.model_dump(exclude_none=True)
    for name in [each.name for each in FIELDS]:
        if name in given:
            fields[name] = _text(name, given[name])
    for name in ("name", "image", "network_mode", "network_container", "restart_policy", "restart_tries", "log_driver"):
        if name in given:
            fields[name] = str(given[name])
    if "log_options" in given:
        fields["log_options"] = _lines("log_options", [f"{key}={value}" for key, value in given["log_options"].items()])
    if order.health is not None:
        fields |= _health(order.health)
    for kind, name in (("env", "environment"), ("label", "labels")):
        if name in given:
            rows[kind] = _pairs(base, kind, getattr(order, name))
    for kind, name in (("port", "ports"), ("mount", "mounts")):
        if name in given:
            rows[kind] = tuple(given[name])
    if "networks" in given:
        rows["network"] = tuple({**row, "aliases": ", ".join(row["aliases"])} for row in given["networks"])
    elif fields.get("network_mode", "networks") != "networks":
        rows["network"] = ()
    return Draft(fields, rows)


def told(errors: Mapping[str, str], draft: Draft) -> dict[str, str]:
    """Errors of the form by the names of the request: "port:0:host" is ports.0.host, a variable goes by its name."""
    found = {}
    for key, text in errors.items():
        kind, _colon, rest = key.partition(":")
        place, _colon, column = rest.partition(":")
        name = _ROWS.get(kind, kind)
        if kind in ("env", "label") and place.isdigit() and int(place) < len(draft.of(kind)):
            found[f"{name}.{draft.of(kind)[int(place)]['name'][:100]}"] = text
        elif kind.startswith("health_"):
            found[kind.replace("_", ".", 1)] = text
        else:
            found[".".join(part for part in (name, place, column) if part)] = text
    return found


def _text(name: str, value: Any) -> str:
    if name in _FLAGS:
        return "1" if value else ""
    if name in _WORDS:
        return shlex.join(value)
    if name in _LINES:
        return _lines(name, value)
    if name in _PAIRS:
        return _lines(name, [f"{key}={content}" for key, content in value.items()])
    return str(value)


def _lines(name: str, values: list[str]) -> str:
    if any("\n" in value or "\r" in value for value in values):
        raise FieldProblem({name: "Each entry is one line."})
    return "\n".join(values)


def _health(health: Health) -> dict[str, str]:
    command = health.command if isinstance(health.command, str) else shlex.join(health.command)
    given = {f"health_{name}": str(getattr(health, name) or "") for name in _HEALTH}
    return given | {"health_command": command}


def _pairs(base: Draft, kind: str, wanted: Mapping[str, str | None]) -> tuple[dict[str, str], ...]:
    """Rows with what is wanted set, and what is null removed; in the order in which they stood."""
    values = {row["name"]: row["value"] for row in base.of(kind)}
    for name, value in wanted.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    return tuple({"name": name, "value": value} for name, value in values.items())
