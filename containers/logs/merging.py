"""Several followed logs as one for one browser: merged by the Engines' time, at the browser's pace, in bounded memory.

Lines are held for a moment, so that one of a slower host still finds its place; a line that comes later than that is
sent when it comes. Within one log its own order counts, whatever its stamps. Each log is a `Viewer` of the hub, which
counts what it had to leave out; it gets its acknowledgement only when the browser has taken its lines in.
"""

import asyncio
import heapq
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from containers.logs.choosing import SourceEntry
from containers.logs.hub import LogHub
from containers.logs.viewer import Viewer
from containers.rules.logresume import stamp_ns

HOLD_S: Final = 0.7
# At first all logs tell their last lines at once, some hosts sooner than others.
SETTLE_S: Final = 3.0
# A host's clock that is further ahead of ours does not count: its lines would end the hold of all others.
AHEAD_S: Final = 0.3
MESSAGE_BYTES: Final = 128 * 1024
WINDOW_BYTES: Final = 512 * 1024
_SMALLEST_WINDOW: Final = 64 * 1024
_HELD_BYTES: Final = 4 * 1024 * 1024
_DOCKER_STAMP: Final = 30  # 2026-11-24T10:42:03.123456789Z


@dataclass(slots=True)
class _Log:
    """One of the logs: its viewer, the newest key it gave, what it may acknowledge."""

    entry: SourceEntry
    viewer: Viewer
    task: "asyncio.Task[None] | None" = None
    latest: bytes = b""
    is_settled: bool = False
    acknowledged: int = 0


@dataclass(slots=True, order=True)
class _Held:
    """A record, or a message that stands between records (``text``), waiting for its place."""

    key: bytes
    arrival: int
    source: int = field(compare=False)
    record: bytes = field(compare=False, default=b"")
    number: int = field(compare=False, default=0)
    text: str = field(compare=False, default="")
    # Bytes that its log's viewer gets acknowledged with it.
    credit: int = field(compare=False, default=0)


def share_of(logs: int) -> int:
    """Bytes of one log that may be on their way to a browser which follows so many."""
    return min(WINDOW_BYTES, max(_SMALLEST_WINDOW, 4 * WINDOW_BYTES // max(1, logs)))


class MergedLog:
    """Gives the messages for one browser, in order. Lives on the event loop."""

    def __init__(self, hub: LogHub, *, tail: int | Literal["all"], hold_s: float = HOLD_S) -> None:
        self._hub = hub
        self._tail = tail
        self._hold_s = hold_s
        self._logs: dict[int, _Log] = {}
        self._texts: deque[str] = deque()
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._arrivals = 0
        # When what arrived, and the newest key of it: all up to that key may go once the hold is over.
        self._due: deque[tuple[float, bytes]] = deque()
        self._bound = b""
        self._sent = self._taken = 0
        self._under_way: deque[tuple[int, dict[int, int]]] = deque()
        self._wake = asyncio.Event()
        self._began = time.monotonic()

    def add(self, entry: SourceEntry, *, epoch: str = "", next_record: int = -1, among: int = 1) -> None:
        """Follow one more log; ``among`` how many share this browser's window. TooManyLogs."""
        viewer = self._hub.attach(
            entry["id"],
            tail=self._tail,
            epoch=epoch,
            next_record=next_record,
            window_bytes=share_of(among),
        )
        log = self._logs[entry["index"]] = _Log(entry, viewer)
        log.task = asyncio.ensure_future(self._pump(log))

    def retry(self, source: int) -> None:
        """Try an unreachable host at once. May block for a moment: for threads."""
        if source in self._logs:
            self._logs[source].viewer.upstream.retry()

    def say(self, message: dict[str, Any]) -> None:
        """Send a message of the consumer's own before what comes next."""
        self._texts.append(json.dumps(message, separators=(",", ":")))
        self._wake.set()

    def acknowledge(self, total: int) -> None:
        """The browser has taken in ``total`` bytes of line messages. Values that can't be are ignored."""
        if not self._taken < total <= self._sent:
            return
        self._taken = total
        while self._under_way and self._under_way[0][0] <= total:
            for source, credit in self._under_way.popleft()[1].items():
                log = self._logs[source]
                log.acknowledged += credit
                log.viewer.acknowledge(log.acknowledged)
        self._wake.set()

    async def message(self) -> str | bytes:
        """The next message, waiting until there is one and the browser may be sent it."""
        while True:
            self._wake.clear()
            message = self._take()
            if message is not None:
                return message
            wait = self._next_due()
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                continue

    def close(self) -> None:
        """Leave all logs."""
        for log in self._logs.values():
            if log.task is not None:
                log.task.cancel()
            self._hub.detach(log.viewer)
        self._logs.clear()
        self._held.clear()

    # ---- what comes from the logs

    async def _pump(self, log: _Log) -> None:
        while True:
            message = await log.viewer.message()
            if isinstance(message, bytes):
                self._hold_lines(log, message)
            else:
                self._hold_text(log, json.loads(message))
            self._wake.set()

    def _hold_text(self, log: _Log, message: dict[str, Any]) -> None:
        source = log.entry["index"]
        text = json.dumps(message | {"source": source}, separators=(",", ":"))
        if message["type"] in ("state", "opened"):
            log.is_settled = log.is_settled or message.get("state", "connecting") != "connecting"
            self._texts.append(text)
            return
        self._arrivals += 1
        heapq.heappush(self._held, _Held(log.latest, self._arrivals, source, text=text))
        self._due.append((time.monotonic(), log.latest))

    def _hold_lines(self, log: _Log, message: bytes) -> None:
        head, _newline, data = message.partition(b"\n")
        number = json.loads(head)["first"]
        source = log.entry["index"]
        held: _Held | None = None
        highest = _key_of(time.time_ns() + int(AHEAD_S * 1e9))
        for record in data.split(b"\n")[:-1]:
            log.latest = max(log.latest, min(_key(record), highest))
            self._arrivals += 1
            held = _Held(log.latest, self._arrivals, source, record, number)
            heapq.heappush(self._held, held)
            number += 1
        if held is not None:
            held.credit = len(message)
        log.is_settled = True
        self._held_bytes += len(data)
        self._due.append((time.monotonic(), log.latest))

    # ---- what goes to the browser

    def _take(self) -> str | bytes | None:
        if self._texts:
            return self._texts.popleft()
        if self._sent - self._taken >= WINDOW_BYTES:
            return None
        self._raise_bound()
        if not self._held or self._held[0].key > self._bound:
            return None
        if self._held[0].text:
            return heapq.heappop(self._held).text
        return self._lines()

    def _hold(self) -> float:
        if len(self._logs) < 2:
            return 0.0
        is_settled = all(log.is_settled for log in self._logs.values())
        waited = time.monotonic() - self._began
        return self._hold_s if is_settled or waited > SETTLE_S else max(self._hold_s, SETTLE_S - waited)

    def _raise_bound(self) -> None:
        limit = time.monotonic() - self._hold()
        is_full = self._held_bytes > _HELD_BYTES
        while self._due and (is_full or self._due[0][0] <= limit):
            self._bound = max(self._bound, self._due.popleft()[1])

    def _next_due(self) -> float | None:
        """Seconds until held lines may go; None when only news can change anything."""
        if not self._due or self._sent - self._taken >= WINDOW_BYTES:
            return None
        return max(0.01, self._due[0][0] + self._hold() - time.monotonic())

    def _lines(self) -> bytes:
        parts: list[bytes] = []
        runs: list[list[int]] = []
        owed: dict[int, int] = {}
        size = 0
        while self._held and self._held[0].key <= self._bound and not self._held[0].text and size < MESSAGE_BYTES:
            held = heapq.heappop(self._held)
            parts.append(held.record)
            size += len(held.record) + 1
            last = runs[-1] if runs else None
            if last and last[0] == held.source and last[1] + last[2] == held.number:
                last[2] += 1
            else:
                runs.append([held.source, held.number, 1])
            if held.credit:
                owed[held.source] = owed.get(held.source, 0) + held.credit
        self._held_bytes -= size
        head = json.dumps({"type": "merged", "count": len(parts), "runs": runs}, separators=(",", ":")).encode()
        message = b"".join((head, b"\n", b"\n".join(parts), b"\n"))
        self._sent += len(message)
        self._under_way.append((self._sent, owed))
        return message


def _key(record: bytes) -> bytes:
    """A record's time as bytes that sort like it; empty when it has none."""
    stamp = record[1 : record.find(b" ")]
    if len(stamp) == _DOCKER_STAMP and stamp.endswith(b"Z"):
        return stamp
    moment = stamp_ns(stamp)
    return b"" if moment is None else _key_of(moment)


def _key_of(moment: int) -> bytes:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1_000_000_000))
    return f"{whole}.{moment % 1_000_000_000:09d}Z".encode()
