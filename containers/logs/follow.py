"""Following one container's log through cuts, stops, restarts and recreation. Blocking; runs in its own thread."""

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Lock
from typing import Any, Literal

from containers.logs.limits import LogLimits
from containers.logs.messages import MarkerMessage, StateMessage
from containers.logs.pace import Pace
from containers.logs.ring import Ring
from containers.logs.sources import LogSource, Sighting, look
from containers.rules.logframes import (
    NO_RECORDS,
    FrameDecoder,
    LogDecoder,
    LogFormatError,
    LogStreamError,
    RawDecoder,
    Records,
)
from containers.rules.logresume import Resumer, engine_time, resume_point
from devices.connections import Engine, EngineStream, pool
from devices.errors import CircuitOpen, DeviceError, EngineError, EngineNotFound
from devices.rules.backoff import delay_s
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 1024
_KNOWN_LINES = 20_000  # looked through to resume; more than any margin of lines out of order
_SPARE_LINES = 2_000
_AFTER_END_S = 0.3
# While lines pour in, bytes are left to gather for this long: an Engine sends each line by itself, and a hundred
# lines cost hardly more than one. A line that comes after a silence is passed on at once.
_GATHER_S = 0.016
_UNREADABLE_RETRY_S = 60.0

StateName = Literal["connecting", "live", "stopped", "offline", "unreadable", "removed"]


class _AskAgainFromTheStart(Exception):
    """The cheap way to resume (the newest lines only) did not reach back to the last line known."""


class Follower:
    """Fills a ring with one container's log until closed.

    ``changed`` is called, in this thread, after the ring or ``state`` changed.
    """

    def __init__(
        self,
        container_id: str,
        locate: Callable[[str], LogSource | None],
        ring: Ring,
        *,
        tail: int | Literal["all"],
        limits: LogLimits,
        changed: Callable[[], None],
    ) -> None:
        self._container_id = container_id
        self._locate = locate
        self._ring = ring
        self._tail = tail
        self._limits = limits
        self._changed = changed
        self._pace = Pace(limits.lag_s)
        self._lock = Lock()
        self._stream: EngineStream | None = None
        self._nudge = Event()
        self._is_closing = False
        self._device_id = ""
        self._seen: Sighting | None = None
        self._own_first_record = 0
        self._told_stop = ""
        self._told_removed = False
        self._lost_at: datetime | None = None
        self._failures = 0
        self.is_tty: bool | None = None
        self.state: StateMessage = {"type": "state", "state": "connecting", "message": "", "fix": ""}

    def run(self) -> None:
        """Follow until `close`. Every failure but that ends in a state that viewers see and another try."""
        while not self._is_closing:
            try:
                self._follow()
            except _AskAgainFromTheStart:
                continue
            except EngineError as error:
                self._unreadable(error)
            except DeviceError as error:
                self._offline(error)
            except (LogFormatError, LogStreamError) as error:
                self._unreadable(
                    SsmError(
                        f"The log can't be read: {error}.",
                        fix="See the Engine's own log on the host; the container's log file may be damaged.",
                    )
                )
            except Exception:
                logger.exception("log follower failed", extra={"container": self._container_id})
                self._unreadable(
                    SsmError(
                        "The log can't be followed because of a fault in this program.",
                        fix="See the web process's output for the details; it is tried again in a minute.",
                    )
                )

    def close(self) -> None:
        """End the thread soon; from any thread."""
        self._is_closing = True
        self._nudge.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def retry(self) -> None:
        """Try at once instead of waiting; from any thread."""
        if self._device_id:
            pool.reset(self._device_id)
        self._nudge.set()

    # ---- one connection

    def _follow(self) -> None:
        source = self._locate(self._container_id)
        if source is None:
            self._removed()
            return
        self._device_id = source.target.device_id
        engine = pool.engine(source.target)
        try:
            seen = look(engine, source.engine_id)
        except EngineNotFound:
            self._removed()
            return
        self._announce(seen)
        if _loses_lines_after_a_tail(engine):
            if not self._ring.next_record:
                self._read(engine, seen, {"tail": self._tail})
            self._read(engine, seen, {"follow": 1})
        else:
            try:
                self._read(engine, seen, {"follow": 1}, tailed=True)
            except _AskAgainFromTheStart:
                self._read(engine, seen, {"follow": 1})
        if not self._is_closing:
            self._after_end(engine, seen)

    def _announce(self, seen: Sighting) -> None:
        """Mark what happened to the container since it was last looked at."""
        before, self._seen = self._seen, seen
        self.is_tty = seen.is_tty
        self._told_removed = False
        if before is None:
            return
        if before.engine_id != seen.engine_id:
            self._own_first_record = self._ring.next_record
            self._mark("recreated", "Container recreated", at=seen.started_at)
        elif seen.started_at and seen.started_at != before.started_at:
            self._mark("started", "Container started", at=seen.started_at)

    def _read(self, engine: Engine, seen: Sighting, chosen: dict[str, Any], *, tailed: bool = False) -> None:
        """Read one stream to its end: from after the last line known, if there is one.

        With ``tailed`` only the newest lines are asked for. DeviceError, LogFormatError, LogStreamError.
        """
        parameters: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1} | chosen
        known = min(self._ring.next_record - self._own_first_record, _KNOWN_LINES)
        point = resume_point(self._ring.last_records(known)) if known else None
        resumer: Resumer | None = None
        if point is not None:
            resumer = Resumer(point)
            parameters["since"] = engine_time(point.since_ns)
            if tailed and point.is_exact:
                # Without it the Engine reads a log of gigabytes from its beginning to find the time. Only where the
                # first record tells at once whether enough was asked for.
                parameters["tail"] = len(point.known) + _SPARE_LINES
        elif tailed and not self._own_first_record:
            parameters["tail"] = self._tail
        stream = engine.stream(f"/containers/{seen.engine_id}/logs", parameters, read_timeout_s=None)
        with self._lock:
            self._stream = stream
        try:
            if self._is_closing:
                return
            self._opened(stream, complete=resumer is None)
            decoder: LogDecoder = RawDecoder() if seen.is_tty else FrameDecoder()
            try:
                self._pump(stream, decoder, resumer, tailed=tailed)
            except (LogFormatError, LogStreamError):
                self._push(decoder.finish())
                raise
            rest = decoder.finish()
            self._push(resumer.filter(rest) if resumer else rest)
        finally:
            stream.close()

    def _opened(self, stream: EngineStream, *, complete: bool) -> None:
        self._pace.opened(stream.headers.get("date", ""))
        self._failures = 0
        if complete:
            self._resumed(complete=True)
        self._set_state("live")

    def _pump(self, stream: EngineStream, decoder: LogDecoder, resumer: Resumer | None, *, tailed: bool) -> None:
        now = last = time.monotonic()
        while True:
            if now - last < _GATHER_S:
                time.sleep(_GATHER_S)
            last = time.monotonic()
            chunk = next(stream, None)
            if chunk is None:
                return
            now = time.monotonic()
            self._pace.read_took(now - last)
            for start in range(0, len(chunk), _PIECE_BYTES):
                records = decoder.feed(chunk[start : start + _PIECE_BYTES] if len(chunk) > _PIECE_BYTES else chunk)
                if resumer is not None:
                    records = resumer.filter(records)
                    if resumer.matched is False and tailed:
                        raise _AskAgainFromTheStart
                    if resumer.matched is not None:
                        self._resumed(complete=resumer.matched)
                    if resumer.is_done:
                        resumer = None
                self._push(records)

    def _push(self, records: Records) -> None:
        if records is NO_RECORDS or not records.count or self._is_closing:
            return
        self._pace.give_way(self._ring, records)
        self._ring.append(records)
        self._changed()

    def _after_end(self, engine: Engine, before: Sighting) -> None:
        """The Engine ended the stream: tell why, and wait until there is more to read."""
        seen = look(engine, before.engine_id)
        if seen.is_running and seen.started_at == before.started_at:
            # Seen when the engine restarts below running containers, and with some log drivers on rotation.
            self._wait(_AFTER_END_S)
            return
        if seen.finished_at and seen.finished_at != self._told_stop:
            self._told_stop = seen.finished_at
            self._mark("stopped", _end_text(seen), at=seen.finished_at)
        while not seen.is_running and seen.started_at == before.started_at and not self._is_closing:
            self._set_state("stopped", _end_text(seen) if seen.finished_at else "Container was never started")
            self._wait(self._limits.look_s)
            if not self._is_closing:
                seen = look(engine, before.engine_id)

    # ---- what viewers are told

    def _removed(self) -> None:
        if not self._told_removed and self._seen is not None:
            self._told_removed = True
            self._mark("removed", "Container removed from its host")
        self._set_state("removed", "The container is no longer on its host.", "Its log went with it.")
        self._wait(self._limits.look_s)

    def _offline(self, error: DeviceError) -> None:
        if self.state["state"] in ("live", "stopped"):
            self._lost_at = datetime.now(UTC)
        self._failures += 1
        retry_at = time.time() + delay_s(
            self._failures,
            random.random(),  # noqa: S311  (spreads load, hides nothing)
            first_s=self._limits.first_retry_s,
            longest_s=self._limits.longest_retry_s,
        )
        if isinstance(error, CircuitOpen):
            retry_at = float(error.details.get("retry_at") or retry_at)
        self._set_state("offline", error.message, error.fix, retry_at=retry_at)
        self._wait(max(retry_at - time.time(), 0.05))

    def _unreadable(self, error: SsmError) -> None:
        if isinstance(error, EngineNotFound):
            self._removed()
            return
        fix = error.fix
        if isinstance(error, EngineError) and "does not support reading" in error.engine_message:
            fix = "Give the container a log driver that can be read, such as json-file, local or journald."
        self._set_state("unreadable", error.message, fix)
        self._wait(_UNREADABLE_RETRY_S)

    def _resumed(self, *, complete: bool) -> None:
        """Mark the gap in the connection that ends here, if one was open."""
        if self._lost_at is None:
            return
        lost_at, self._lost_at = self._lost_at, None
        text = "Connection lost and resumed, no line lost" if complete else "Connection lost; lines may be missing"
        self._mark("gap", text, at=_iso(datetime.now(UTC)), lost_at=_iso(lost_at), complete=complete)

    def _mark(
        self,
        kind: Literal["gap", "started", "stopped", "recreated", "removed"],
        text: str,
        **facts: Any,
    ) -> None:
        message: MarkerMessage = {"type": "marker", "kind": kind, "text": text}
        message.update({key: value for key, value in facts.items() if value != ""})  # type: ignore[typeddict-item]
        self._ring.mark(message)
        self._changed()

    def _set_state(self, state: StateName, message: str = "", fix: str = "", *, retry_at: float | None = None) -> None:
        new: StateMessage = {"type": "state", "state": state, "message": message, "fix": fix}
        if retry_at is not None:
            new["retry_at"] = retry_at
        if new != self.state:
            self.state = new
            self._changed()

    def _wait(self, seconds: float) -> None:
        """Wait, but not past `close` or `retry`."""
        self._nudge.wait(seconds)
        if not self._is_closing:
            self._nudge.clear()


def _loses_lines_after_a_tail(engine: Engine) -> bool:
    """Podman follows from the end of the file, so that what is written after it read the tail is never sent (4.3)."""
    return engine.product.startswith("Podman")


def _end_text(seen: Sighting) -> str:
    cause = ", out of memory" if seen.is_oom_killed else ""
    return f"Container exited with code {seen.exit_code}{cause}"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
