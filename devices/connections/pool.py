"""The warm connections of this process: one per device, opened on demand, given up when idle or dead."""

import copy
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager

from devices.connections.breaker import Breaker, ConnectionState
from devices.connections.opening import open_engine
from devices.docker.engine import Engine
from devices.errors import ConnectionLost, DeviceError
from devices.rules.targets import ConnectionTarget
from ssm.lib.presence import add_source

logger = logging.getLogger(__name__)

MOST_HANDSHAKES = 16
MOST_CONNECTIONS = 1000
IDLE_S = 900.0
TIDY_EVERY_S = 15.0
# A connection lost this soon after it was opened counts as a failure, or a host that drops each one at once would be
# asked again without a pause.
SHORT_LIFE_S = 5.0


class _Slot:
    """One device's connection. ``lock`` guards the fields and is never held while the host is asked."""

    __slots__ = ("breaker", "engine", "flight", "last_used", "lock", "opened_at", "version")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.breaker = Breaker()
        self.version = ""
        self.engine: Engine | None = None
        self.flight: Future[Engine] | None = None
        self.opened_at = 0.0
        self.last_used = 0.0


class ConnectionPool:
    """Engines by device. Thread-safe; every method but `engine` returns at once."""

    def __init__(
        self,
        *,
        opener: Callable[[ConnectionTarget, AbstractContextManager[object]], Engine] = open_engine,
        most_handshakes: int = MOST_HANDSHAKES,
        most_connections: int = MOST_CONNECTIONS,
        idle_s: float = IDLE_S,
        tidy_every_s: float = TIDY_EVERY_S,
    ) -> None:
        self._opener = opener
        self._tidy_every_s = tidy_every_s
        self.configure(most_handshakes=most_handshakes, most_connections=most_connections, idle_s=idle_s)
        self._lock = threading.Lock()
        self._slots: dict[str, _Slot] = {}
        self._opened = self._failed = 0
        self._tidier: threading.Thread | None = None
        self._tidier_end = threading.Event()

    def configure(self, *, most_handshakes: int, most_connections: int, idle_s: float) -> None:
        """Set the limits of this process, before the first connection."""
        self._handshakes = threading.BoundedSemaphore(most_handshakes)
        self._most_connections = most_connections
        self._idle_s = idle_s

    def engine(self, target: ConnectionTarget) -> Engine:
        """The device's engine: the warm one, or a new connection, which all threads that ask meanwhile share.

        Blocks for the target's connect time-out at most plus some seconds for finding the socket. Raises the
        DeviceError of what failed, or CircuitOpen while the host is left alone after a failure. A target whose
        address, credential, keys or socket path changed gets a new connection.
        """
        if not target.device_id:
            raise ValueError("a device that is not saved has no place in the pool: use diagnose")
        slot = self._slot(target.device_id)
        with slot.lock:
            engine = self._usable_engine(slot, target)
            if engine is not None:
                return engine
            flight = slot.flight
            if flight is None:
                slot.breaker.check(target.label)
                own = slot.flight = Future()
        if flight is not None:
            return self._await(flight)
        return self._open(slot, target, own)

    def state(self, device_id: str) -> ConnectionState:
        """What is known of a device's connection in this process."""
        slot = self._slots.get(device_id)
        if slot is None:
            return ConnectionState(open=False, failures=0, next_try_at=None, last_error=None, channel_kind="")
        with slot.lock:
            engine = slot.engine if slot.engine is not None and slot.engine.is_open else None
            return ConnectionState(
                open=engine is not None,
                failures=slot.breaker.failures,
                next_try_at=slot.breaker.next_try_at,
                last_error=slot.breaker.last_error,
                channel_kind=engine.channel_kind if engine else "",
            )

    def reset(self, device_id: str) -> None:
        """Try now: forget the device's failures, so that the next `engine` call asks the host."""
        slot = self._slots.get(device_id)
        if slot is not None:
            with slot.lock:
                slot.breaker.reset()

    def forget(self, device_id: str) -> None:
        """Close a device's connection and forget all about it (it was deleted or disabled)."""
        with self._lock:
            slot = self._slots.pop(device_id, None)
        if slot is not None:
            self._drop(slot)

    def close_all(self) -> None:
        """Close every connection. The pool can be used again afterwards."""
        with self._lock:
            slots, self._slots = list(self._slots.values()), {}
            self._tidier_end.set()
            self._tidier = None
        for slot in slots:
            self._drop(slot)

    def tidy(self) -> None:
        """Close idle connections, least recently used first; called by the pool's own thread every few seconds."""
        now = time.monotonic()
        with self._lock:
            slots = list(self._slots.values())
        live = sorted((slot for slot in slots if slot.engine is not None), key=lambda slot: slot.last_used)
        surplus = len(live) - self._most_connections
        for slot in live:
            engine = slot.engine
            if engine is None or engine.is_busy:
                continue
            if not engine.is_open or surplus > 0 or now - slot.last_used > self._idle_s:
                self._drop(slot, engine)
                surplus -= 1
            else:
                engine.tidy()

    def figures(self) -> dict[str, float]:
        """How many connections are open, busy, being opened and left alone after failures; how many were, ever."""
        with self._lock:
            slots, opened, failed = list(self._slots.values()), self._opened, self._failed
        engines = [engine for slot in slots if (engine := slot.engine) is not None and engine.is_open]
        return {
            "open": len(engines),
            "busy": sum(engine.is_busy for engine in engines),
            "opening": sum(slot.flight is not None for slot in slots),
            "resting": sum(slot.breaker.wait_s > 0 for slot in slots),
            "opened": opened,
            "failed": failed,
        }

    # ---- inner workings

    def _slot(self, device_id: str) -> _Slot:
        with self._lock:
            return self._slots.setdefault(device_id, _Slot())

    def _usable_engine(self, slot: _Slot, target: ConnectionTarget) -> Engine | None:
        """The slot's engine if it still serves the target; what does not is dropped. The slot's lock is held."""
        version = target.version
        if slot.version != version:
            if slot.engine is not None:
                self._close_later(slot.engine)
            slot.engine, slot.flight, slot.version = None, None, version
            slot.breaker.reset()
            return None
        engine = slot.engine
        if engine is None:
            return None
        if engine.is_open:
            slot.last_used = time.monotonic()
            engine.target = target
            return engine
        slot.engine = None
        self._close_later(engine)
        if time.monotonic() - slot.opened_at < SHORT_LIFE_S:
            slot.breaker.record_failure(
                engine.end_reason or ConnectionLost(f"{target.label}: the connection was lost at once."),
                random.random(),  # noqa: S311  (spreads retries, guards nothing)
            )
        return None

    def _open(self, slot: _Slot, target: ConnectionTarget, flight: "Future[Engine]") -> Engine:
        try:
            engine = self._opener(target, self._handshakes)
        except BaseException as exc:
            with self._lock:
                self._failed += 1
            with slot.lock:
                if slot.flight is flight:
                    slot.flight = None
                    if isinstance(exc, DeviceError):
                        slot.breaker.record_failure(exc, random.random())  # noqa: S311
            flight.set_exception(exc)
            raise
        with slot.lock:
            is_wanted = slot.flight is flight
            if is_wanted:
                slot.flight, slot.engine = None, engine
                slot.opened_at = slot.last_used = time.monotonic()
                if slot.breaker.wait_s <= 0:
                    slot.breaker.reset()
        with self._lock:
            self._opened += 1
        flight.set_result(engine)
        if is_wanted:
            logger.info("connected", extra={"device": target.device_id, "channel_kind": engine.channel_kind})
            self._start_tidier()
        else:
            # The device was edited or forgotten meanwhile: whoever asked for this connection may not use it.
            engine.close()
        return engine

    @staticmethod
    def _await(flight: "Future[Engine]") -> Engine:
        try:
            return flight.result()
        except DeviceError as exc:
            # Each thread gets its own: raising one object in many threads mixes their tracebacks.
            raise copy.copy(exc) from exc

    def _drop(self, slot: _Slot, only: Engine | None = None) -> None:
        with slot.lock:
            engine = slot.engine
            if only is not None and engine is not only:
                return
            slot.engine = None
            if only is None:
                slot.flight = None
        if engine is not None:
            engine.close()

    @staticmethod
    def _close_later(engine: Engine) -> None:
        # Closing writes to the network, which may block while the link is down; the caller holds a lock.
        threading.Thread(target=engine.close, name="close-connection", daemon=True).start()

    def _start_tidier(self) -> None:
        with self._lock:
            if self._tidier is None or not self._tidier.is_alive():
                self._tidier_end = end = threading.Event()
                self._tidier = threading.Thread(
                    target=self._tidy_until, args=(end,), name="tidy-connections", daemon=True
                )
                self._tidier.start()

    def _tidy_until(self, end: threading.Event) -> None:
        """Tidy every few seconds until ``end``, or until there is no connection left."""
        while not end.wait(self._tidy_every_s):
            self.tidy()
            with self._lock:
                if not end.is_set() and not any(slot.engine is not None for slot in self._slots.values()):
                    self._tidier = None
                    return


pool = ConnectionPool()
add_source("ssh", pool.figures)
