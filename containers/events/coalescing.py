"""Handle what people wait to see at once, and what comes with it within a moment together.

A start is create, connect, start within 50 ms, a stop is kill, die, stop: each handled alone would inspect the
container three times and redraw it three times in every open page.
"""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

logger = logging.getLogger(__name__)

Lane = TypeVar("Lane", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
QUIET_S: Final = 0.1
# A host that hangs holds its threads until its requests time out: the others must find free ones.
BATCHES_AT_ONCE: Final = 3
# A host that tells faster than can be written is read no further, which stops it by its SSH window.
MOST_WAITING: Final = 5000


@dataclass(slots=True)
class _Object(Generic[Item]):
    """Work on one object: what waits, whether a thread is at it, and when the next batch may start."""

    waiting: list[Item] = field(default_factory=list)
    busy: bool = False
    not_before: float = 0.0
    due_at: float | None = None


@dataclass(slots=True)
class _LaneState(Generic[Key]):
    """Work of one host: batches at work, keys whose turn came while there were enough, and items that wait."""

    running: int = 0
    ready: deque[Key] = field(default_factory=deque)
    waiting: int = 0


class Coalescer(Generic[Lane, Key, Item]):
    """Calls ``handle(lane, key, items)`` in a pool of threads: never twice at once for one key, in order of arrival.

    An urgent item of a quiet key goes at once, with all that waits; further ones wait until 100 ms after the last
    batch began (or as many seconds as ``handle`` gives), and one that is not urgent waits as long for company. A lane
    (a host) has three batches at work and 5,000 items waiting at most; who submits more is held up. Keys that are
    quiet again are forgotten.
    """

    def __init__(
        self,
        handle: Callable[[Lane, Key, list[Item]], float | None],
        *,
        threads: int,
        quiet_s: float = QUIET_S,
        batches_at_once: int = BATCHES_AT_ONCE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._handle = handle
        self._quiet_s = quiet_s
        self._batches_at_once = batches_at_once
        self._most_waiting = most_waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="event")
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._objects: dict[tuple[Lane, Key], _Object[Item]] = {}
        self._lanes: dict[Lane, _LaneState[Key]] = {}
        self._due: list[tuple[float, int, Lane, Key]] = []
        self._order = 0
        self._closed = False
        threading.Thread(target=self._run, name="coalescer", daemon=True).start()

    def submit(self, lane: Lane, key: Key, item: Item, *, urgent: bool = True) -> None:
        """Hand in one item; blocks while too many of the lane wait. After ``close`` it does nothing."""
        with self._lock:
            while not self._closed and self._lane(lane).waiting >= self._most_waiting:
                self._room.wait()
            if self._closed:
                return
            self._lane(lane).waiting += 1
            entry = self._objects.setdefault((lane, key), _Object())
            entry.waiting.append(item)
            self._consider(lane, key, entry, urgent=urgent)

    def close(self) -> None:
        """Stop taking work; batches that have begun are finished."""
        with self._lock:
            self._closed = True
            self._wake.notify_all()
            self._room.notify_all()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _lane(self, lane: Lane) -> _LaneState[Key]:
        return self._lanes.setdefault(lane, _LaneState())

    def _consider(self, lane: Lane, key: Key, entry: _Object[Item], *, urgent: bool) -> None:
        """Start a batch now, or put it on the clock. Called with the lock held."""
        if entry.busy or not entry.waiting or self._closed:
            return
        moment = time.monotonic()
        start_at = max(entry.not_before, moment if urgent else moment + self._quiet_s)
        if start_at <= moment:
            self._begin(lane, key, entry, moment)
        elif entry.due_at is None or start_at < entry.due_at:
            self._clock(lane, key, entry, start_at)

    def _clock(self, lane: Lane, key: Key, entry: _Object[Item], at: float) -> None:
        entry.due_at = at
        self._order += 1
        heapq.heappush(self._due, (at, self._order, lane, key))
        self._wake.notify()

    def _begin(self, lane: Lane, key: Key, entry: _Object[Item], moment: float) -> None:
        state = self._lane(lane)
        entry.busy, entry.due_at, entry.not_before = True, None, moment + self._quiet_s
        if state.running >= self._batches_at_once:
            state.ready.append(key)
        else:
            state.running += 1
            self._executor.submit(self._work, lane, key, entry)

    def _work(self, lane: Lane, key: Key, entry: _Object[Item]) -> None:
        with self._lock:
            batch, entry.waiting = entry.waiting, []
            self._lane(lane).waiting -= len(batch)
            self._room.notify_all()
        began, pause_s = time.monotonic(), None
        try:
            pause_s = self._handle(lane, key, batch)
        except Exception:
            logger.exception("events not handled", extra={"key": str(key)})
        finally:
            with self._lock:
                entry.busy = False
                if pause_s is not None:
                    entry.not_before = max(entry.not_before, began + pause_s)
                self._next_of(lane)
                if entry.waiting:
                    self._consider(lane, key, entry, urgent=True)
                else:
                    # The mark that keeps the next item back for a moment goes by the clock too.
                    self._clock(lane, key, entry, entry.not_before)

    def _next_of(self, lane: Lane) -> None:
        """Hand the thread of a batch that has ended to the lane's next one."""
        state = self._lane(lane)
        if state.ready and not self._closed:
            key = state.ready.popleft()
            self._executor.submit(self._work, lane, key, self._objects[lane, key])
            return
        state.running -= 1
        if not state.running and not state.waiting:
            del self._lanes[lane]

    def _run(self) -> None:
        with self._lock:
            while not self._closed:
                moment = time.monotonic()
                while self._due and self._due[0][0] <= moment:
                    at, _order, lane, key = heapq.heappop(self._due)
                    self._look_at(lane, key, at, moment)
                self._wake.wait(self._due[0][0] - moment if self._due else None)

    def _look_at(self, lane: Lane, key: Key, at: float, moment: float) -> None:
        entry = self._objects.get((lane, key))
        if entry is None or entry.busy or entry.due_at != at:
            return  # forgotten, at work, or put on the clock anew
        entry.due_at = None
        if entry.waiting:
            self._begin(lane, key, entry, moment)
        elif entry.not_before <= moment:
            del self._objects[lane, key]
