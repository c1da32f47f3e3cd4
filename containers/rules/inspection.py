"""From the Engine's answers to facts about a container. Every value is attacker-controlled: typed, cut, cleaned.

Shapes are those of the Docker Engine API 1.41 to 1.51 (ContainerInspect, ContainerList) and of podman's
compatible answers, which use a few other words for states.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from containers.rules.labels import LabelWarning, compose, display, label_warnings
from containers.rules.masking import clean_text, masked, scalar_text
from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference

_STATES: Final = {
    "created": "created",
    "configured": "created",
    "initialized": "created",
    "running": "running",
    "stopping": "running",
    "paused": "paused",
    "restarting": "restarting",
    "removing": "removing",
    "exited": "exited",
    "stopped": "exited",
    "dead": "dead",
}
_HEALTHS: Final = frozenset({"starting", "healthy", "unhealthy"})
_MAX_LABELS: Final = 500
_MAX_ITEMS: Final = 500
# "Up 3 hours (healthy)": all but the age, which changes without the container having changed.
_AGE: Final = re.compile(
    r"(?:about )?(?:an?|\d+|less than a) (?:second|minute|hour|day|week|month|year)s?(?: ago)?", re.IGNORECASE
)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
# Not str.isdigit(), which takes "²" and a thousand digits for a number.
_PORT: Final = re.compile(r"[0-9]{1,5}")
_PORT_RANGE: Final = re.compile(r"[0-9]{1,5}-[0-9]{1,5}")
_NETWORK_ID: Final = re.compile(r"[0-9a-f]{64}|[0-9a-z]{25}")
_ENGINE_ID: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")
# A time beyond it (the year 2262) does not fit into a column of 64 bits.
_LAST_NS: Final = 2**63 - 1


class PortBinding(TypedDict):
    """A port of the container; ``host_port`` is None when it is exposed but not published."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int | None


class PortClaim(TypedDict):
    """A port of the host that the container takes when it runs: one, any of a range ("8000-8010"), or any at all."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int | None
    host_range: str


class MountPoint(TypedDict):
    """A mount: kind is bind, volume, tmpfs or npipe; source a path or a volume's name."""

    kind: str
    source: str
    destination: str
    read_only: bool


class Attachment(TypedDict):
    """A network that the container is attached to; addresses are empty while it does not run.

    ``network_id`` is empty where the engine tells a name alone; ``fixed`` and ``fixed6`` are addresses that were asked
    for, which it gets again with each start.
    """

    name: str
    network_id: str
    address: str
    address6: str
    mac: str
    aliases: list[str]
    fixed: str
    fixed6: str


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """All that a container's row holds; times are aware, ``latest_ns`` is the newest of them in ns since 1970."""

    engine_id: str
    name: str
    image_reference: str
    image_id: str
    registry: str
    repository: str
    tag: str
    digest: str
    state: str
    health: str
    exit_code: int | None
    oom_killed: bool
    restart_count: int
    restart_policy: str
    error: str
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    command: str
    labels: dict[str, str]
    ports: list[PortBinding]
    port_claims: list[PortClaim]
    mounts: list[MountPoint]
    networks: list[Attachment]
    inspect: dict[str, Any]
    variables: list[tuple[str, str]]
    display_name: str
    display_icon: str
    compose_project: str
    compose_service: str
    label_warnings: list[LabelWarning]
    latest_ns: int


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value[:_MAX_ITEMS] if isinstance(value, list) else []


def _text(value: Any, limit: int = 255) -> str:
    return clean_text(value, limit) if isinstance(value, str) else ""


def _exact(value: Any, limit: int) -> str:
    """Text for a column of that length: cut without a mark."""
    return clean_text(value[:limit], limit) if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else None


def time_ns(text: Any) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 time, below 2**63; None for Docker's zero time (year 1) and for garbage."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if not match or match[1] < "1970-01-02":
        return None
    try:
        whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError:
        return None
    ns = int(whole.timestamp()) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))
    return ns if ns <= _LAST_NS else None


def time_from_ns(ns: int | None) -> datetime | None:
    """An aware time of that many nanoseconds since 1970; None for None and for what no calendar holds."""
    if ns is None:
        return None
    try:
        return datetime.fromtimestamp(ns / 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def is_engine_id(text: object) -> bool:
    """Whether this can be an object's id in a request: what else an engine calls an id is not asked for."""
    return isinstance(text, str) and _ENGINE_ID.fullmatch(text) is not None and text.strip(".") != ""


def container_facts(answer: Mapping[str, Any], *, engine_id: str = "") -> ContainerFacts:
    """Facts from ``GET /containers/{id}/json``. Never raises on odd values: they become empty ones.

    ``engine_id`` is the id that was asked for; it counts, whatever the answer calls itself.
    """
    state, config, host_config = (
        _dict(answer.get("State")),
        _dict(answer.get("Config")),
        _dict(answer.get("HostConfig")),
    )
    status = _STATES.get(_text(state.get("Status")).lower(), "dead" if state.get("Dead") is True else "created")
    health = _text(_dict(state.get("Health") or state.get("Healthcheck")).get("Status")).lower()
    labels = {
        clean_text(str(key), 512): clean_text(scalar_text(value), 4096)
        for key, value in list(_dict(config.get("Labels")).items())[:_MAX_LABELS]
    }
    times = [time_ns(answer.get("Created")), time_ns(state.get("StartedAt")), time_ns(state.get("FinishedAt"))]
    reference_text = _exact(config.get("Image"), 512)
    reference = normal_reference(reference_text)
    shown, project = display(labels), compose(labels)
    ended = status in ("exited", "dead")
    name = _exact(answer.get("Name"), 256).lstrip("/")[:255]
    engine_id = engine_id or _exact(answer.get("Id"), 64)
    return ContainerFacts(
        engine_id=engine_id,
        name=name or engine_id[:12],
        image_reference=reference_text,
        image_id=_exact(answer.get("Image"), 80),
        registry=reference.registry if reference else "",
        repository=reference.repository if reference else "",
        tag=(reference.tag or "") if reference else "",
        digest=(reference.digest or "") if reference else "",
        state=status,
        health=health if health in _HEALTHS else "none",
        exit_code=_number(state.get("ExitCode")) if ended else None,
        oom_killed=state.get("OOMKilled") is True,
        restart_count=max(0, _number(answer.get("RestartCount")) or 0),
        restart_policy=_exact(_dict(host_config.get("RestartPolicy")).get("Name"), 40),
        error=_text(state.get("Error"), 1000),
        created_at=time_from_ns(times[0]),
        started_at=time_from_ns(times[1]),
        finished_at=time_from_ns(times[2]) if status != "created" else None,
        command=_command(answer, config),
        labels=masked(labels),
        ports=_ports(_dict(answer.get("NetworkSettings")), config),
        port_claims=_port_claims(host_config),
        mounts=_mounts(answer),
        networks=_networks(_dict(answer.get("NetworkSettings"))),
        inspect=masked(dict(answer)),
        variables=_variables(config),
        display_name=shown.name,
        display_icon=shown.icon,
        compose_project=project.project,
        compose_service=project.service,
        label_warnings=label_warnings(labels),
        latest_ns=max((ns for ns in times if ns is not None), default=0),
    )


def normal_reference(text: str) -> ImageReference | None:
    """The normal form of an image's reference; None for an image id and for what is none."""
    try:
        found = parse_reference(text)
    except InvalidReferenceError:
        return None
    return found if isinstance(found, ImageReference) else None


def list_digest(entry: Mapping[str, Any]) -> str:
    """Hex SHA-256 of what matters in an entry of ``GET /containers/json``: equal digests need no new inspection.

    The age in ``Status`` is left out; its exit code and health stay in. Every start makes new endpoints in the
    networks, by which a container is known that was restarted while nobody listened.
    """
    keys = ("Id", "Names", "Image", "ImageID", "Command", "Created", "Labels", "State", "Ports", "Mounts", "HostConfig")
    kept = {key: entry.get(key) for key in keys}
    kept["Status"] = _AGE.sub("", _text(entry.get("Status")))
    kept["Networks"] = {
        name: [_dict(network).get(key) for key in ("NetworkID", "EndpointID", "IPAddress", "GlobalIPv6Address")]
        for name, network in _dict(_dict(entry.get("NetworkSettings")).get("Networks")).items()
    }
    ports = kept["Ports"]
    if isinstance(ports, list):  # the Engine tells them in no fixed order
        kept["Ports"] = sorted(json.dumps(port, sort_keys=True) for port in ports)
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _command(answer: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    parts = [answer.get("Path"), *_list(answer.get("Args"))]
    if not isinstance(parts[0], str):
        parts = [*_list(config.get("Entrypoint")), *_list(config.get("Cmd"))]
    words = masked([part for part in parts if isinstance(part, str)])
    return clean_text(" ".join(words), 2000)


def _variables(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = (scalar_text(entry).partition("=") for entry in _list(config.get("Env")))
    return [(clean_text(name, 512), clean_text(value)) for name, _equals, value in pairs]


def _ports(settings: Mapping[str, Any], config: Mapping[str, Any]) -> list[PortBinding]:
    found: list[PortBinding] = []
    for spec, bindings in {**_dict(config.get("ExposedPorts")), **_dict(settings.get("Ports"))}.items():
        number, _slash, protocol = str(spec).partition("/")
        if not _PORT.fullmatch(number) or int(number) > 65535:
            continue
        base = {"container_port": int(number), "protocol": _exact(protocol, 10) or "tcp"}
        published = [binding for binding in _list(bindings) if isinstance(binding, dict)]
        for binding in published:
            port = scalar_text(binding.get("HostPort"))
            host_port = int(port) if _PORT.fullmatch(port) and int(port) <= 65535 else None
            found.append(PortBinding(**base, host_ip=_exact(binding.get("HostIp"), 64), host_port=host_port))  # type: ignore[typeddict-item]
        if not published:
            found.append(PortBinding(**base, host_ip="", host_port=None))  # type: ignore[typeddict-item]
    return sorted(found, key=lambda port: (port["host_port"] is None, port["container_port"], port["host_ip"]))[:100]


def _port_claims(host_config: Mapping[str, Any]) -> list[PortClaim]:
    found: list[PortClaim] = []
    for spec, bindings in _dict(host_config.get("PortBindings")).items():
        number, _slash, protocol = str(spec).partition("/")
        if not _PORT.fullmatch(number) or int(number) > 65535:
            continue
        for binding in _list(bindings):
            text = scalar_text(_dict(binding).get("HostPort"))
            single = _PORT.fullmatch(text) and 0 < int(text) <= 65535
            found.append(
                PortClaim(
                    container_port=int(number),
                    protocol=_exact(protocol, 10) or "tcp",
                    host_ip=_exact(_dict(binding).get("HostIp"), 64),
                    host_port=int(text) if single else None,
                    host_range=text if _PORT_RANGE.fullmatch(text) else "",
                )
            )
    return sorted(found, key=lambda claim: (claim["host_port"] or 0, claim["container_port"], claim["host_ip"]))[:100]


def _mounts(answer: Mapping[str, Any]) -> list[MountPoint]:
    return [
        MountPoint(
            kind=_exact(mount.get("Type"), 20),
            source=_text(mount.get("Name") or mount.get("Source"), 1000),
            destination=_text(mount.get("Destination"), 1000),
            read_only=mount.get("RW") is False,
        )
        for mount in _list(answer.get("Mounts"))
        if isinstance(mount, dict)
    ]


def _networks(settings: Mapping[str, Any]) -> list[Attachment]:
    return [_attachment(name, _dict(network)) for name, network in list(_dict(settings.get("Networks")).items())[:100]]


def _attachment(name: str, network: Mapping[str, Any]) -> Attachment:
    # Podman tells the name in place of the id; ids of swarm networks have 25 letters.
    network_id = _exact(network.get("NetworkID"), 64)
    asked_for = _dict(network.get("IPAMConfig"))
    return Attachment(
        name=_text(name),
        network_id=network_id if _NETWORK_ID.fullmatch(network_id) else "",
        address=_exact(network.get("IPAddress"), 64),
        address6=_exact(network.get("GlobalIPv6Address"), 64),
        mac=_exact(network.get("MacAddress"), 32),
        aliases=[_text(alias) for alias in _list(network.get("Aliases"))][:20],
        fixed=_exact(asked_for.get("IPv4Address"), 64),
        fixed6=_exact(asked_for.get("IPv6Address"), 64),
    )
