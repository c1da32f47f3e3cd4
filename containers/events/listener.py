"""One process's share of the fleet: which devices it follows, and whether they still answer."""

import logging
import math
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Final

from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from containers.events.coalescing import Coalescer
from containers.events.follower import Follower
from containers.events.footprint import give_back_memory
from containers.events.leases import Leases
from containers.events.recording import record, record_unseen
from containers.push import publish
from containers.rules.events import EngineEvent
from devices.connections import Engine, pool
from devices.errors import DeviceError
from devices.models import Device
from devices.services import note_alive, note_disabled
from devices.work import SWEEP, request_now
from ssm.lib.database import database_work

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
# Leases last three times as long: two lost round trips in a row do no harm.
HOLD_EVERY_S: Final = 5.0
NOTE_EVERY_S: Final = 20.0
TRIM_EVERY_S: Final = 60.0
# A host that vanished is noticed by its connection (devices.ssh.life). An engine that hangs is found by asking it: each
# one this often in a small fleet, and so many in a second, one after the other, in a large one.
PING_EVERY_S: Final = 10.0
PINGS_PER_S: Final = 2.0
PING_PATIENCE_S: Final = 6.0
HANDLERS: Final = 32
# A container that restarts every second is looked at less often than it does so.
LOOP_PAUSE_S: Final = 2.0
PINGERS: Final = 16

_LOOKED_AT: Final = (
    *("pk", "state", "next_attempt_at"),
    # What a connection is made by, and what is done with it.
    *("configured_at", "address", "port", "credential_id", "credential__updated_at", "docker_socket", "watch_events"),
)
_Key = tuple[str, str]
_Work = tuple[Device, Engine, EngineEvent]


class Listener:
    """Follows every watched device that this process holds the lease of."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._followers: dict[str, Follower] = {}
        self._watched: dict[str, tuple[object, ...]] = {}
        self._coalescer: Coalescer[str, _Key, _Work] = Coalescer(self._handle, threads=HANDLERS)
        self._pingers = ThreadPoolExecutor(PINGERS, thread_name_prefix="ping")
        self._stopped = threading.Event()
        self._seen = ""
        self._next_hold = 0.0
        self._next_note = 0.0
        self._next_trim = time.monotonic() + TRIM_EVERY_S
        self._pinged: dict[str, float] = {}

    def run(self) -> None:
        """Work until ``stop``; survives PostgreSQL and Redis being away."""
        while not self._stopped.is_set():
            try:
                self._look()
                self._note_alive()
            except (DatabaseError, RedisError, OSError) as exc:
                logger.warning("cannot look for devices: %s", exc)
                self._seen = ""
            self._ping_some()
            if time.monotonic() >= self._next_trim:
                self._next_trim = time.monotonic() + TRIM_EVERY_S
                give_back_memory()
            self._stopped.wait(LOOK_EVERY_S)
        self._end()

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End the loop; safe in a signal handler."""
        self._stopped.set()

    def _look(self) -> None:
        """See whether anything about devices changed, by one small query; leases are renewed every few seconds."""
        with database_work():
            seen = Device.objects.watched().fingerprint(*_LOOKED_AT)
        if seen != self._seen or time.monotonic() >= self._next_hold:
            self._next_hold = time.monotonic() + HOLD_EVERY_S
            self._arrange()
            self._seen = seen

    def _arrange(self) -> None:
        """Start and stop followers as devices come, change and go: one query and one round trip to Redis."""
        with database_work():
            rows = {str(row[0]): row[1:] for row in Device.objects.watched().values_list(*_LOOKED_AT)}
        mine = self._leases.hold(set(rows), already=set(self._followers))
        for device_id in set(self._followers) - mine:
            self._leave(device_id, watched=device_id in rows)
        for device_id in mine:
            state, next_attempt_at, *connection = rows[device_id]
            follower = self._followers.get(device_id)
            if follower is None:
                follower = self._followers[device_id] = Follower(device_id, self._submit)
                follower.start()
            elif self._watched.get(device_id) != tuple(connection):
                follower.drop()
                follower.retry_now()
            elif state == Device.State.UNREACHABLE and next_attempt_at and self._asked_for(device_id, next_attempt_at):
                follower.retry_now()
            self._watched[device_id] = tuple(connection)

    @staticmethod
    def _asked_for(device_id: str, next_attempt_at: object) -> bool:
        """Whether somebody set the next try to an earlier time than the breaker's ("try now")."""
        planned = pool.state(device_id).next_try_at
        return planned is not None and next_attempt_at.timestamp() < planned - 1.0  # type: ignore[attr-defined]

    def _leave(self, device_id: str, *, watched: bool) -> None:
        follower = self._followers.pop(device_id)
        self._watched.pop(device_id, None)
        follower.stop()
        pool.forget(device_id)
        if not watched:
            with database_work():
                device = Device.objects.filter(pk=device_id).first()
                if device is not None and note_disabled(device):
                    publish("device", device.pk, [device.pk])

    def _submit(self, device: Device, engine: Engine, event: EngineEvent) -> None:
        key = ("container", event.container_id) if event.container_id else (event.kind, event.actor_id)
        urgent = event.is_urgent or not event.changes_container
        self._coalescer.submit(str(device.pk), key, (device, engine, event), urgent=urgent)

    def _handle(self, device_id: str, _key: _Key, work: list[_Work]) -> float | None:
        """Write the events of one object; gives the seconds that the next ones wait for company, None for the usual."""
        device, engine, _event = work[-1]
        events = [event for _device, _engine, event in work]
        try:
            with database_work():
                try:
                    return LOOP_PAUSE_S if record(device, engine, events) else None
                except DeviceError as exc:
                    logger.warning("events not recorded: %s", exc, extra={"device": device_id})
                    if engine.is_open:
                        record_unseen(device, events)
                        request_now(SWEEP, device)
                    # Else the stream broke with the connection: the events are told again, and a sweep follows.
        except DatabaseError as exc:
            # What could not be written is asked for anew once the stream is taken up from the last stored event.
            logger.warning("events not written: %s", exc, extra={"device": device_id})
            follower = self._followers.get(device_id)
            if follower is not None:
                follower.drop()
        return None

    def _note_alive(self) -> None:
        """Vouch for the devices whose connection is open."""
        if time.monotonic() < self._next_note:
            return
        self._next_note = time.monotonic() + NOTE_EVERY_S
        alive = [device_id for device_id, follower in self._followers.items() if follower.is_connected]
        with database_work():
            note_alive(alive)

    def _ping_some(self) -> None:
        """Ask those engines for a sign of life that were not asked for the longest; a silent one is dropped."""
        moment = time.monotonic()
        followed = [device_id for device_id, follower in self._followers.items() if follower.is_connected]
        self._pinged = {device_id: self._pinged.get(device_id, moment) for device_id in followed}
        every_s = max(PING_EVERY_S, len(followed) / PINGS_PER_S)
        at_once = math.ceil(len(followed) / every_s * LOOK_EVERY_S)
        due = [device_id for device_id, pinged in self._pinged.items() if moment - pinged >= every_s]
        for device_id in sorted(due, key=self._pinged.__getitem__)[:at_once]:
            self._pinged[device_id] = moment
            self._pingers.submit(self._followers[device_id].ping, PING_PATIENCE_S)

    def _end(self) -> None:
        for follower in self._followers.values():
            follower.stop()
        deadline = time.monotonic() + 3
        for follower in self._followers.values():
            follower.join(max(0.0, deadline - time.monotonic()))
        self._pingers.shutdown(wait=False, cancel_futures=True)
        self._coalescer.close()
        self._leases.release_all()
        pool.close_all()


def run_until_signal(leases: Leases) -> None:
    """Follow the fleet until SIGTERM or SIGINT."""
    listener = Listener(leases)
    signal.signal(signal.SIGTERM, listener.stop)
    signal.signal(signal.SIGINT, listener.stop)
    listener.run()
