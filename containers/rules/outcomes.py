"""Whether an act took place, told from how the container was before it and how it is now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from containers.rules.inspection import ContainerFacts
from containers.rules.limits import has_limits

# Acts on what a container is called and how it is limited, not on whether it runs.
_SETTINGS = ("rename", "configure")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a container stands: its state, and when it last started and ended (RFC 3339 text, empty for never).

    Its name and the Engine's HostConfig are there on a fresh look alone; they are not stored.
    """

    state: str
    started_at: str
    finished_at: str
    name: str = ""
    host_config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: ContainerFacts) -> Self:
        """The standing that an inspection shows."""
        return cls(
            state=facts.state,
            started_at=facts.started_at.isoformat() if facts.started_at else "",
            finished_at=facts.finished_at.isoformat() if facts.finished_at else "",
            name=facts.name,
            host_config=facts.inspect.get("HostConfig") or {},
        )

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self | None:
        """The standing that ``as_json`` stored; None when nothing was."""
        if not stored:
            return None
        state, started_at, finished_at = (str(stored.get(key, "")) for key in ("state", "started_at", "finished_at"))
        return cls(state, started_at, finished_at)

    def as_json(self) -> dict[str, str]:
        """A JSON object of the three fields."""
        return {"state": self.state, "started_at": self.started_at, "finished_at": self.finished_at}

    @property
    def is_running(self) -> bool:
        """Whether its processes exist."""
        return self.state in ("running", "paused", "restarting")


def already_so(kind: str, now: Standing | None, parameters: Mapping[str, Any] | None = None) -> bool:
    """Whether nothing is left to do before the act: what it would bring about is so. Never for restart."""
    if now is None:
        return kind == "remove"
    if kind in _SETTINGS:
        return _is_set(kind, now, parameters or {})
    return {
        "start": now.state == "running",
        "stop": not now.is_running,
        "pause": now.state == "paused",
        "unpause": now.state == "running",
    }.get(kind, False)


def _is_set(kind: str, now: Standing, parameters: Mapping[str, Any]) -> bool:
    if kind == "rename":
        return now.name == parameters.get("name")
    return has_limits(now.host_config, parameters)


def took_place(
    kind: str, before: Standing | None, now: Standing | None, parameters: Mapping[str, Any] | None = None
) -> bool:
    """Whether the act was done between the two looks. ``before`` is None when nobody had looked before."""
    if now is None:
        return kind == "remove"
    if already_so(kind, now, parameters):
        return True
    if before is None or kind in _SETTINGS:
        return False
    if kind == "kill":
        return not now.is_running or now.started_at != before.started_at or now.finished_at != before.finished_at
    if kind == "restart":
        return now.is_running and now.started_at != before.started_at
    if kind == "stop":  # a restart policy, or somebody else, started it again
        return now.finished_at != before.finished_at
    if kind == "start":  # it ran, and ended by itself
        return now.started_at != before.started_at
    return False
