"""Networks as their host tells of them, and the single requests that change them; each refusal with what to do.

The engine lists only running containers under a network, and lets a network go that stopped ones are on, which then
cannot be started any more. So who is on a network is read from the containers themselves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from containers import sync
from containers.network_sync import announce_of, refresh_network
from containers.rules.endpoints import is_named_by_id, kept_endpoint
from containers.rules.inspection import is_engine_id
from containers.rules.masking import clean_text
from containers.rules.networks import fix_of
from containers.runs.run import Run
from devices.connections import Engine
from devices.errors import EngineError, EngineNotFound, NotDocker
from ssm.lib.errors import SsmError

# Drivers of plugins may have to ask somebody else; the Engine's own take milliseconds.
PATIENCE_S: Final = 120


class NetworkInUse(SsmError):
    """Containers are on the network, so it stays. details: containers (their names)."""

    code = "network_in_use"
    status = 409


class NetworkGone(SsmError):
    """The host has no such network any more."""

    code = "network_gone"
    status = 404


class NetworkNameTaken(SsmError):
    """The host has a network of that name."""

    code = "network_name_taken"
    status = 409


class NotConnected(SsmError):
    """Some of the containers could not be connected or disconnected; the message has each reason."""

    code = "network_not_connected"
    status = 409


@dataclass(frozen=True, slots=True)
class Attached:
    """A container on a network: ``key`` is the network's name for the container, ``endpoint`` how it is there."""

    engine_id: str
    name: str
    is_running: bool
    key: str
    endpoint: dict[str, Any]
    # Its network mode is the network's id, so it could be on no other network once that is gone.
    is_named_by_id: bool

    def as_json(self) -> dict[str, Any]:
        """For a journal."""
        return {"id": self.engine_id, "name": self.name, "key": self.key, "endpoint": self.endpoint}


# ---- what the host says -------------------------------------------------------------------------------------------


def attached_to(engine: Engine, network_id: str, name: str) -> list[Attached]:
    """The containers on a network, stopped ones too. One request, and one for each of them. Raises DeviceError.

    The list tells who is on it, but neither aliases nor links; only a container's own answer has those.
    """
    listed = engine.get_json("/containers/json", {"all": "1"})
    if not isinstance(listed, list):
        raise NotDocker(f"{engine.target.label}: the engine's list of containers is no list.")
    entries = [entry for entry in listed if isinstance(entry, dict) and _place(entry, network_id, name) is not None]
    looked_at = [look_at(engine, str(entry.get("Id", "")), network_id, name) for entry in entries]
    return [attached for attached in looked_at if attached is not None]


def _place(answer: Mapping[str, Any], network_id: str, name: str) -> tuple[str, dict[str, Any]] | None:
    """Under which key an answer about a container has the network, and its EndpointConfig there."""
    settings = answer.get("NetworkSettings")
    networks = settings.get("Networks") if isinstance(settings, dict) else None
    for key, value in networks.items() if isinstance(networks, dict) else ():
        place = value if isinstance(value, dict) else {}
        told = place.get("NetworkID") or ""
        # Podman tells the name, and containers that were never started nothing, in place of the id.
        if told == network_id or (key == name and told in ("", name)):
            return str(key), kept_endpoint(place, str(answer.get("Id", "")))
    return None


def find_container(engine: Engine, engine_id: str) -> dict[str, Any] | None:
    """The engine's own answer about a container; None when there is none of that id."""
    if not is_engine_id(engine_id):
        return None
    try:
        answer = engine.get_json(f"/containers/{engine_id}/json")
    except EngineNotFound:
        return None
    return answer if isinstance(answer, dict) else None


def look_at(engine: Engine, container_id: str, network_id: str, name: str) -> Attached | None:
    """How a container is on the network now; None when it is not, or is gone. Raises DeviceError."""
    answer = find_container(engine, container_id)
    place = _place(answer, network_id, name) if answer is not None else None
    if answer is None or place is None:
        return None
    state = answer.get("State")
    running = isinstance(state, dict) and state.get("Running") is True
    host_config = answer.get("HostConfig")
    mode = str(host_config.get("NetworkMode") or "") if isinstance(host_config, dict) else ""
    name_told = clean_text(str(answer.get("Name", "")).lstrip("/")[:255], 255)
    return Attached(
        container_id,
        name_told or container_id[:12],
        running,
        *place,
        is_named_by_id=is_named_by_id(mode, network_id, name),
    )


# ---- single requests ----------------------------------------------------------------------------------------------


def explained(exc: EngineError) -> EngineError:
    """The engine's refusal with what to do about it, if that is known."""
    fix = fix_of(exc.engine_message)
    return type(exc)(exc.message, fix=fix, details=exc.details) if fix else exc


def post_connect(engine: Engine, network_id: str, container_id: str, endpoint: Mapping[str, Any]) -> None:
    """Connect a container; EngineError with a fix when the engine refuses."""
    body = {"Container": container_id, "EndpointConfig": dict(endpoint)}
    try:
        engine.post(f"/networks/{network_id}/connect", body=body, timeout_s=PATIENCE_S)
    except EngineError as exc:
        raise explained(exc) from exc


def post_disconnect(engine: Engine, network: str, container_id: str, *, force: bool = False) -> None:
    """Disconnect a container from a network, by the network's id or, of one that is gone, its name."""
    body = {"Container": container_id, "Force": force}
    try:
        engine.post(f"/networks/{quote(network, safe='')}/disconnect", body=body, timeout_s=PATIENCE_S)
    except EngineError as exc:
        if "is not connected" not in exc.engine_message.lower():
            raise explained(exc) from exc


def delete_network(engine: Engine, network_id: str) -> None:
    """Remove a network; one that is gone already is no error. EngineError with a fix when the engine refuses."""
    try:
        engine.delete(f"/networks/{network_id}", timeout_s=PATIENCE_S)
    except EngineNotFound:
        return
    except EngineError as exc:
        raise explained(exc) from exc


def of_name(engine: Engine, name: str) -> list[str]:
    """Ids of the networks of exactly that name. Raises DeviceError."""
    listed = engine.get_json("/networks")
    if not isinstance(listed, list):
        raise NotDocker(f"{engine.target.label}: the engine's list of networks is no list.")
    return [
        entry["Id"]
        for entry in listed
        if isinstance(entry, dict) and entry.get("Name") == name and is_engine_id(str(entry.get("Id", "")))
    ]


def show(run: Run, network_id: str, containers: Iterable[str]) -> None:
    """Bring the rows of the network and of these containers up to date: no page may show old facts beside "done"."""
    for container_id in containers:
        sync.refresh(run.device, run.engine, container_id)
    refresh_network(run.device, run.engine, network_id)
    announce_of(run.device, network_id)


def post_create(run: Run, body: Mapping[str, Any]) -> str:
    """Make a network; its id. EngineError with a fix when the engine refuses; its warnings go into the output."""
    try:
        _status, answer = run.engine.post("/networks/create", body=dict(body), timeout_s=PATIENCE_S)
    except EngineError as exc:
        raise explained(exc) from exc
    engine_id = answer.get("Id") if isinstance(answer, dict) else None
    if not isinstance(engine_id, str) or not is_engine_id(engine_id):
        raise NotDocker(f"{run.device.name}: the engine made a network but did not tell its id.")
    warning = answer.get("Warning")
    if isinstance(warning, str) and warning.strip():
        run.say(f"The engine warns: {clean_text(warning, 1000)}")
    return engine_id


def in_use(name: str, device: str, attached: Iterable[Attached]) -> NetworkInUse:
    """The refusal to remove a network that containers are on, with their names."""
    names = [item.name if item.is_running else f"{item.name} (stopped)" for item in attached]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return NetworkInUse(
        f"{name} on {device} is used by {shown}.",
        fix="Disconnect them first. A stopped container could not be started any more once its network is gone.",
        details={"containers": names[:100]},
    )
