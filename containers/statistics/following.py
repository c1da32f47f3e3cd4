"""Live figures of one container, once a second or two, through cuts, stops and recreation. Blocking; for a thread.

Docker sends them as an endless answer, once a second. Podman sends them every five seconds only, but answers at once
when asked, so it is asked every other second.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import Any, Final, Literal, TypedDict

from django.db import close_old_connections

from containers.models import Container, ContainerUsage
from containers.rules.events import EventDecoder, EventStreamError
from containers.rules.statistics import Reading, Usage, parse_reading, usage_between
from devices.connections import Engine, EngineStream, pool
from devices.errors import CircuitOpen, DeviceError, EngineConflict, EngineNotFound
from devices.rules.backoff import delay_s
from devices.rules.targets import ConnectionTarget
from devices.services import connection_target
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

StateName = Literal["connecting", "live", "stopped", "offline", "removed"]
_ONE_SHOT: Final = {"stream": "false", "one-shot": "true"}
_FAULT_RETRY_S: Final = 30.0


class LiveState(TypedDict):
    """How the source stands; ``message`` and ``fix`` are for people."""

    type: Literal["state"]
    state: StateName
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A container as our rows know it: how to reach its engine, its id there, and whether its host counts block I/O."""

    target: ConnectionTarget
    engine_id: str
    counts_blocks: bool


@dataclass(frozen=True, slots=True)
class LiveSample:
    """What a container uses. ``time``: our clock, Unix seconds. ``has_gap``: something is missing before it."""

    time: float
    usage: Usage
    has_gap: bool


@dataclass(frozen=True, slots=True)
class FollowLimits:
    """Times in seconds. ``silence_s``: an engine that sends nothing for so long is asked anew."""

    poll_s: float = 2.0
    # Engines send one a second; more often than this helps nobody.
    least_s: float = 0.5
    silence_s: float = 15.0
    look_s: float = 2.0
    first_retry_s: float = 1.0
    longest_retry_s: float = 30.0


def locate(container_id: str) -> LiveSource | None:
    """Where a container's figures come from, None when the row is gone. Blocking, four queries; for threads."""
    close_old_connections()
    try:
        container = Container.objects.select_related("device__credential").only("engine_id", "device")
        found = container.filter(pk=container_id, removed_at=None).first()
        if found is None:
            return None
        counted = ContainerUsage.objects.filter(container__device=found.device_id, block_read_bytes_per_s__isnull=False)
        return LiveSource(connection_target(found.device), found.engine_id, counted.exists())
    finally:
        close_old_connections()


class LiveFollower:
    """Calls ``sampled`` with each sample and ``changed`` when `state` became another, both in the thread of `run`."""

    def __init__(
        self,
        container_id: str,
        locate_source: Callable[[str], LiveSource | None],
        *,
        limits: FollowLimits,
        sampled: Callable[[LiveSample], None],
        changed: Callable[[], None],
    ) -> None:
        self._container_id = container_id
        self._locate = locate_source
        self._limits = limits
        self._sampled = sampled
        self._changed = changed
        self._lock = Lock()
        self._stream: EngineStream | None = None
        self._nudge = Event()
        self._is_closing = False
        self._failures = 0
        self._before: Reading | None = None
        self._has_gap = False
        self._last_at = 0.0
        self.state: LiveState = {"type": "state", "state": "connecting", "message": "", "fix": ""}

    def run(self) -> None:
        """Follow until `close`. Every failure ends in a state that viewers see, and another try."""
        while not self._is_closing:
            try:
                self._follow()
            except DeviceError as error:
                self._offline(error)
            except EventStreamError as error:
                self._failed(SsmError(f"The Engine's figures can't be read: {error}."))
            except Exception:
                logger.exception("live statistics failed", extra={"container": self._container_id})
                self._failed(
                    SsmError(
                        "Live figures failed because of a fault in this program.",
                        fix="See the web process's output for the details.",
                    )
                )

    def close(self) -> None:
        """End the thread soon; from any thread. Blocks for as long as the connection needs to send that."""
        self._is_closing = True
        self._nudge.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    # ---- one connection

    def _follow(self) -> None:
        source = self._locate(self._container_id)
        if source is None:
            self._removed()
            return
        engine = pool.engine(source.target)
        self._break_off()
        try:
            if not _is_running(engine, source.engine_id):
                self._set_state("stopped", "The container does not run.")
                self._wait(self._limits.look_s)
            elif engine.product.startswith("Podman"):
                self._poll(engine, source)
            else:
                self._read(engine, source)
        except EngineNotFound:
            # Removed, or recreated under its name: the row will tell.
            self._removed()

    def _read(self, engine: Engine, source: LiveSource) -> None:
        stream = engine.stream(
            f"/containers/{source.engine_id}/stats", {"stream": "true"}, read_timeout_s=self._limits.silence_s
        )
        with self._lock:
            self._stream = stream
        decoder = EventDecoder()
        with stream:
            if self._is_closing:
                return
            for chunk in stream:
                for answer in decoder.feed(chunk):
                    if not self._take(answer, source):
                        return
        # The Engine ended it: the container was removed, or the Engine is stopping.
        self._wait(self._limits.first_retry_s)

    def _poll(self, engine: Engine, source: LiveSource) -> None:
        path = f"/containers/{source.engine_id}/stats"
        while not self._is_closing:
            try:
                answer = engine.get_json(path, _ONE_SHOT, timeout_s=self._limits.silence_s)
            except EngineConflict:
                return  # stopped
            if not self._take(answer, source):
                return
            self._wait(self._limits.poll_s)

    def _take(self, answer: Any, source: LiveSource) -> bool:
        """Pass one answer on; False when it tells that the container does not run."""
        reading = parse_reading(answer)
        if reading.is_empty:
            return False
        if source.counts_blocks and reading.read_bytes is None:
            reading = replace(reading, read_bytes=0, written_bytes=0)
        self._failures = 0
        self._set_state("live")
        moment = time.time()
        if moment - self._last_at < self._limits.least_s:
            return True
        usage = usage_between(self._before, reading)
        self._before, self._last_at = reading, moment
        self._sampled(LiveSample(moment, usage, self._has_gap))
        self._has_gap = False
        return True

    def _break_off(self) -> None:
        """What comes next is compared with nothing before it, and stands apart."""
        self._has_gap = self._has_gap or self._before is not None
        self._before = None

    # ---- what viewers are told

    def _removed(self) -> None:
        self._set_state("removed", "The container is no longer on its host.")
        self._wait(self._limits.look_s)

    def _offline(self, error: DeviceError) -> None:
        self._failures += 1
        retry_at = time.time() + delay_s(
            self._failures,
            random.random(),  # noqa: S311  (spreads load, hides nothing)
            first_s=self._limits.first_retry_s,
            longest_s=self._limits.longest_retry_s,
        )
        if isinstance(error, CircuitOpen):
            retry_at = float(error.details.get("retry_at") or retry_at)
        self._set_state("offline", error.message, error.fix)
        self._wait(max(retry_at - time.time(), 0.05))

    def _failed(self, error: SsmError) -> None:
        self._set_state("offline", error.message, error.fix)
        self._wait(_FAULT_RETRY_S)

    def _set_state(self, state: StateName, message: str = "", fix: str = "") -> None:
        new: LiveState = {"type": "state", "state": state, "message": message, "fix": fix}
        if new != self.state:
            self.state = new
            self._changed()

    def _wait(self, seconds: float) -> None:
        self._nudge.wait(seconds)


def _is_running(engine: Engine, engine_id: str) -> bool:
    answer = engine.get_json(f"/containers/{engine_id}/json")
    state = answer.get("State") if isinstance(answer, dict) else None
    return isinstance(state, dict) and bool(state.get("Running"))
