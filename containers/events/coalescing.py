"""Handle the first event of an object at once, and those that follow within a moment together.

A start is create, attach, connect, start within 50 ms: each handled alone would inspect the container four times and
redraw it four times in every open page.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
QUIET_S = 0.1


@dataclass(slots=True)
class _Object(Generic[Item]):
    """Work on one object: what waits, whether a thread is at it, and when the next batch may start."""

    waiting: list[Item] = field(default_factory=list)
    busy: bool = False
    not_before: float = 0.0
    scheduled: bool = False


class Coalescer(Generic[Key, Item]):
    """Calls ``handle(key, items)`` in a pool of threads: never twice at once for one key, in order of arrival.

    The first item of a quiet key goes at once; further ones wait until 100 ms after the last batch began. Memory is
    bounded by the items that wait; keys that are quiet again are forgotten.
    """

    def __init__(self, handle: Callable[[Key, list[Item]], None], *, threads: int, quiet_s: float = QUIET_S) -> None:
        self._handle = handle
        self._quiet_s = quiet_s
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="event")
        self._wake = threading.Condition()
        self._objects: dict[Key, _Object[Item]] = {}
        self._due: list[tuple[float, int, Key]] = []
        self._order = 0
        self._closed = False
        threading.Thread(target=self._run, name="coalescer", daemon=True).start()

    def submit(self, key: Key, item: Item) -> None:
        """Hand in one item; never blocks."""
        with self._wake:
            entry = self._objects.setdefault(key, _Object())
            entry.waiting.append(item)
            self._consider(key, entry)

    def close(self) -> None:
        """Stop taking work; batches that have begun are finished."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _consider(self, key: Key, entry: _Object[Item]) -> None:
        """Start a batch now, or put it on the clock. Called with the lock held."""
        if entry.busy or entry.scheduled or not entry.waiting or self._closed:
            return
        moment = time.monotonic()
        if entry.not_before <= moment:
            self._start(key, entry, moment)
            return
        entry.scheduled = True
        self._order += 1
        heapq.heappush(self._due, (entry.not_before, self._order, key))
        self._wake.notify()

    def _start(self, key: Key, entry: _Object[Item], moment: float) -> None:
        batch, entry.waiting = entry.waiting, []
        entry.busy, entry.not_before = True, moment + self._quiet_s
        self._executor.submit(self._work, key, entry, batch)

    def _work(self, key: Key, entry: _Object[Item], batch: list[Item]) -> None:
        try:
            self._handle(key, batch)
        except Exception:
            logger.exception("events not handled", extra={"key": str(key)})
        finally:
            with self._wake:
                entry.busy = False
                self._consider(key, entry)
                if not entry.busy and not entry.waiting:
                    # The mark that keeps the next item back for a moment goes by the clock too.
                    self._order += 1
                    heapq.heappush(self._due, (entry.not_before, self._order, key))
                    self._wake.notify()

    def _run(self) -> None:
        with self._wake:
            while not self._closed:
                moment = time.monotonic()
                while self._due and self._due[0][0] <= moment:
                    self._look_at(heapq.heappop(self._due)[2], moment)
                self._wake.wait(self._due[0][0] - moment if self._due else None)

    def _look_at(self, key: Key, moment: float) -> None:
        entry = self._objects.get(key)
        if entry is None:
            return
        entry.scheduled = False
        if entry.waiting:
            self._consider(key, entry)
        elif not entry.busy and entry.not_before <= moment:
            del self._objects[key]
