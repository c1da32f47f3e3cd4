"""The Engine's event stream: JSON objects in chunks of any size, to facts about events.

Source: Docker Engine API, ``GET /events``; podman's compatible stream uses a few other action words. What an event
means, in words, is told by ``describe`` (containers.rules.sentences).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from containers.rules.masking import MASK, clean_text, is_secret_name, scalar_text
from containers.rules.sentences import Severity, describe

__all__ = ["EngineEvent", "EventDecoder", "EventStreamError", "Severity", "describe", "engine_events"]

# An event is a few hundred bytes plus the labels of its object.
MAX_EVENT_BYTES: Final = 1024 * 1024
_MAX_ATTRIBUTES: Final = 100
# Podman's words for what Docker calls otherwise.
_ACTIONS: Final = {"died": "die", "remove": "destroy", "init": "create"}
# Health checks and terminals run a command every few seconds: no news about the container.
_NOISE: Final = (
    "exec_create",
    "exec_start",
    "exec_die",
    "exec_detach",
    "exec_died",
    "exec",
    "top",
    "resize",
    "cleanup",
)
# After these the container differs from what was known.
_TURNING: Final = frozenset(
    ["start", "die", "stop", "oom", "pause", "unpause", "restart", "rename", "destroy", "health_status"]
)
# These too, but what people wait to see nearly always follows within a moment: a start, or the end of its processes.
_ANNOUNCING: Final = frozenset(["create", "kill", "update"])
_NETWORK_CHANGES: Final = frozenset(["connect", "disconnect"])


class EventStreamError(ValueError):
    """The stream is not what an Engine sends; its text says why."""


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One event. ``time_ns`` is the Engine's clock (ns since 1970); ``actor_id`` is the object's id or name."""

    kind: str
    action: str
    actor_id: str
    actor_name: str
    attributes: dict[str, str]
    time_ns: int

    @property
    def container_id(self) -> str:
        """The container that it concerns: itself, or the one that a network was connected to; empty for none."""
        if self.kind == "network" and self.action in _NETWORK_CHANGES:
            return self.attributes.get("container", "")[:64]
        return self.actor_id if self.kind == "container" else ""

    @property
    def changes_container(self) -> bool:
        """Whether the container must be looked at anew."""
        return bool(self.container_id) and (self.is_urgent or self.kind == "network" or self._word in _ANNOUNCING)

    @property
    def is_urgent(self) -> bool:
        """Whether somebody may be waiting to see it; the others go along with what follows, or a moment later."""
        return self.kind == "container" and self._word in _TURNING

    @property
    def _word(self) -> str:
        return self.action.partition(":")[0]


class EventDecoder:
    """Cuts a stream of newline-separated JSON objects; holds at most one incomplete object (1 MiB)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """The objects that are complete now. Raises EventStreamError on garbage and on an endless object."""
        first, *lines = chunk.split(b"\n")
        self._hold(first)
        for line in lines:
            whole = b"".join(self._parts)
            self._parts, self._size = [], 0
            self._hold(line)
            value = _decoded(whole)
            if value is not None:
                yield value

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > MAX_EVENT_BYTES:
            raise EventStreamError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        self._parts.append(part)


def _decoded(line: bytes) -> dict[str, Any] | None:
    """The object on a line; None for an empty line and for a JSON value that is no object."""
    if not line.strip():
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise EventStreamError("an event that is not JSON") from exc
    return value if isinstance(value, dict) else None


def engine_events(objects: Iterable[dict[str, Any]]) -> Iterator[EngineEvent]:
    """Facts of the events worth keeping; odd values become empty ones, noise is left out."""
    for value in objects:
        actor = value.get("Actor")
        actor = actor if isinstance(actor, dict) else {}
        action = scalar_text(value.get("Action") or value.get("status")).strip()
        word = action.partition(":")[0].strip()
        if not word or word in _NOISE:
            continue
        action = _ACTIONS.get(action, action)
        attributes = actor.get("Attributes")
        pairs = list(attributes.items())[:_MAX_ATTRIBUTES] if isinstance(attributes, dict) else []
        yield EngineEvent(
            kind=clean_text(scalar_text(value.get("Type")) or "container", 20)[:20],
            action=clean_text(action, 120)[:120],
            actor_id=clean_text(scalar_text(actor.get("ID") or value.get("id")), 255)[:255],
            actor_name=clean_text(scalar_text(dict(pairs).get("name")), 255)[:255],
            attributes={
                clean_text(str(key), 200): MASK if is_secret_name(str(key)) else clean_text(scalar_text(item), 1000)
                for key, item in pairs
            },
            time_ns=_time_ns(value),
        )


def _time_ns(value: dict[str, Any]) -> int:
    precise, seconds = value.get("timeNano"), value.get("time")
    if isinstance(precise, int) and 0 < precise < 2**63:
        return precise
    return seconds * 1_000_000_000 if isinstance(seconds, int) and 0 < seconds < 2**33 else 0
