"""Where a container's log comes from: its row, its host, and how it stands there."""

from dataclasses import dataclass
from typing import Any

from django.db import close_old_connections

from containers.models import Container
from devices.connections import Engine
from devices.rules.targets import ConnectionTarget
from devices.services import connection_target

_NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class LogSource:
    """A container as the Engine knows it now, and how to reach that Engine."""

    target: ConnectionTarget
    engine_id: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What decides how a container's log is read. Times are the Engine's RFC 3339 text, empty for never."""

    engine_id: str
    is_tty: bool
    is_running: bool
    started_at: str
    finished_at: str
    exit_code: int
    is_oom_killed: bool


def locate(container_id: str) -> LogSource | None:
    """Find the source of a container's log, None when the row is gone. Blocking, three queries; for threads.

    A container that was recreated under its name has another engine id in the same row.
    """
    close_old_connections()
    try:
        container = (
            Container.objects.select_related("device__credential").only("engine_id", "device").filter(pk=container_id)
        ).first()
        if container is None:
            return None
        return LogSource(connection_target(container.device), container.engine_id)
    finally:
        close_old_connections()


def look(engine: Engine, engine_id: str) -> Sighting:
    """Ask the Engine how a container stands. Blocking; raises DeviceError (EngineNotFound: it is gone)."""
    answer = engine.get_json(f"/containers/{engine_id}/json")
    state = _mapping(answer, "State")
    return Sighting(
        engine_id=engine_id,
        is_tty=bool(_mapping(answer, "Config").get("Tty")),
        is_running=bool(state.get("Running")),
        started_at=_time(state, "StartedAt"),
        finished_at=_time(state, "FinishedAt"),
        exit_code=state["ExitCode"] if isinstance(state.get("ExitCode"), int) else 0,
        is_oom_killed=bool(state.get("OOMKilled")),
    )


def _mapping(answer: Any, key: str) -> dict[str, Any]:
    value = answer.get(key) if isinstance(answer, dict) else None
    return value if isinstance(value, dict) else {}


def _time(state: dict[str, Any], key: str) -> str:
    value = state.get(key)
    return value[:40] if isinstance(value, str) and value != _NEVER else ""
