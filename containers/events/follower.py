"""Follow one device: connect, listen, and after every loss come back and make up for what was missed."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from django.db import Error as DatabaseError

from containers.models import Event
from containers.push import publish
from containers.rules.events import EngineEvent, EventDecoder, EventStreamError, engine_events
from containers.rules.inspection import time_ns
from containers.rules.masking import clean_text, scalar_text
from devices.connections import Engine, EngineStream, pool
from devices.errors import ConnectionLost, DeviceError, NotDocker
from devices.models import Device
from devices.rules.targets import ConnectionTarget
from devices.services import connection_target, keep_key_by_dns, note_connecting, note_online, note_unreachable
from devices.work import SWEEP, request_now
from ssm.lib.database import database_work
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

# Events of the last moments may still have been under way when the stream broke; doubles are dropped on writing.
OVERLAP_NS: Final = 5_000_000_000
# After an error that has no back-off of its own (the database away, a stream of garbage).
PAUSE_S: Final = 3.0
REOPEN_S: Final = 0.2
# How soon a lost connection without a stream is noticed.
STAY_LOOK_S: Final = 5.0

Result = TypeVar("Result")
Submit = Callable[[Device, Engine, EngineEvent], None]


@dataclass(frozen=True, slots=True)
class _Open:
    """A connection that is open, with the stream if the device's events are followed."""

    device: Device
    target: ConnectionTarget
    engine: Engine
    stream: EngineStream | None


def _apart(work: Callable[[], Result]) -> Result:
    """Do it in a thread that ends with it. Raises what the work raises.

    Connecting and the database go deep: done by the thread that then waits for events for weeks, its stack and its
    handle of the database would stay in memory, for each of hundreds of devices.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="connect") as executor:
        return executor.submit(work).result()


class Follower:
    """One thread that holds one device's event stream until it is stopped."""

    def __init__(self, device_id: str, submit: Submit) -> None:
        self.device_id = device_id
        self._submit = submit
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._lost: DeviceError | None = None
        self._asked: Engine | None = None
        self._since_ns: int | None = None
        self._engine: Engine | None = None
        self._stream: EngineStream | None = None
        self._thread = threading.Thread(target=self._run, name=f"follow-{device_id[:8]}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        self._stopped.set()
        self._wake.set()
        self._close_stream()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def retry_now(self) -> None:
        """End a back-off at once: somebody asked for it."""
        pool.reset(self.device_id)
        self._wake.set()

    @property
    def is_connected(self) -> bool:
        """Whether the device is connected to now (and its stream open, if it is to be followed)."""
        engine = self._engine
        return engine is not None and engine.is_open

    def drop(self) -> None:
        """Give up the connection; the thread reconnects at once."""
        pool.forget(self.device_id)
        self._close_stream()
        self._wake.set()

    def ping(self, patience_s: float) -> bool:
        """Ask the engine for a sign of life; one that is silent is called lost until the thread has reconnected."""
        engine = self._engine
        if engine is None:
            return False
        # An engine that finds its connection dead closes it, and so ends the stream before we hear of it here.
        self._asked = engine
        try:
            engine.ping(timeout_s=patience_s)
        except DeviceError as exc:
            with self._lock:
                is_followed = self._engine is engine
                if is_followed:
                    self._lost = exc
            if is_followed:
                self.drop()
            return False
        self._asked = None
        return True

    def _close_stream(self) -> None:
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow()
                # It had been open: come back at once, a restarted engine or sshd may be there already.
                delay = REOPEN_S
            except DeviceError as exc:
                delay = self._noted(exc)
            except SsmError as exc:  # a secret that cannot be decrypted
                delay = self._noted(DeviceError(exc.message, fix=exc.fix))
            except (DatabaseError, EventStreamError) as exc:
                logger.warning("following interrupted: %s", exc, extra={"device": self.device_id})
                delay = PAUSE_S
            except Exception:
                logger.exception("following failed", extra={"device": self.device_id})
                delay = PAUSE_S
            if delay:
                self._wake.wait(delay)
            self._wake.clear()

    def _follow(self) -> None:
        lost: DeviceError | None = None
        try:
            open_now = _apart(self._connect)
            if open_now is None:
                # It was deleted: the listener's next look ends this thread.
                self._stopped.wait(PAUSE_S)
                return
            if open_now.stream is not None:
                self._listen(open_now.device, open_now.engine, open_now.stream)
            else:
                self._stay_connected(open_now.target)
        except ConnectionLost as exc:
            engine = self._engine
            if engine is None:  # it was never open
                raise
            logger.info("stream lost: %s", exc, extra={"device": self.device_id})
            if self._asked is engine or engine.fell_silent:
                lost = exc
        finally:
            with self._lock:
                stream, self._engine, self._stream = self._stream, None, None
            if stream is not None:
                stream.close()
        lost, self._lost = self._lost or lost, None
        if lost is not None:
            _apart(lambda: self._note_failure(lost))

    def _connect(self) -> "_Open | None":
        """Connect, open the stream if the device is to be followed, and note that it is online; None if it is gone."""
        with database_work():
            devices = Device.objects.select_related("credential").prefetch_related("host_keys")
            device = devices.filter(pk=self.device_id).first()
            target = connection_target(device) if device is not None else None
            if device is not None and note_connecting(device):
                publish("device", device.pk, [device.pk])
        if device is None or target is None:
            return None
        engine = pool.engine(target)
        info = engine.get_json("/info")
        if not isinstance(info, dict):
            raise NotDocker(f"{device.name}: the engine tells nothing about itself.")
        stream = None
        if device.watch_events:
            since = self._since(device, time_ns(info.get("SystemTime")))
            stream = engine.stream("/events", since, read_timeout_s=None)
        with self._lock:
            self._engine, self._stream = engine, stream
        if self._stopped.is_set():  # it was stopped before there was a stream to close
            return None
        with database_work():
            keep_key_by_dns(device, target, engine.host_key)
            note_online(device, engine=engine_columns(engine, info), channel_kind=engine.channel_kind)
            publish("device", device.pk, [device.pk])
            request_now(SWEEP, device)
        logger.info("following %s", device.name, extra={"device": self.device_id})
        return _Open(device, target, engine, stream)

    def _listen(self, device: Device, engine: Engine, stream: EngineStream) -> None:
        decoder = EventDecoder()
        for chunk in stream:
            for event in engine_events(decoder.feed(chunk)):
                self._submit(device, engine, event)

    def _stay_connected(self, target: ConnectionTarget) -> None:
        """Without the event stream: keep the connection in use until it breaks, which raises, or somebody wakes us."""
        while not self._stopped.is_set() and not self._wake.wait(STAY_LOOK_S):
            if not pool.engine(target).is_open:
                return

    def _since(self, device: Device, clock_ns: int | None) -> dict[str, str]:
        """Where to take up the stream, by the Engine's own clock; from now on when it was never open.

        A host that never told anything is asked for all since this thread first heard it. An event from the future
        was told by a clock that has been set back since: what comes now is "before" it.
        """
        with database_work():
            last = Event.objects.filter(device=device).order_by("-time_ns").values_list("time_ns", flat=True).first()
        if last is None:
            last, self._since_ns = self._since_ns, self._since_ns or clock_ns
        if last is None:
            return {}
        since_ns = max(0, min(last, clock_ns or last) - OVERLAP_NS)
        return {"since": f"{since_ns // 1_000_000_000}.{since_ns % 1_000_000_000:09d}"}

    def _noted(self, error: DeviceError) -> float:
        return _apart(lambda: self._note_failure(error))

    def _note_failure(self, error: DeviceError) -> float:
        """Record why and when the next try is; gives the seconds until then."""
        if self._stopped.is_set():
            return 0.0
        state = pool.state(self.device_id)
        cause = state.last_error or error
        wait_s = max(0.5, state.next_try_at - time.time()) if state.next_try_at else PAUSE_S
        try:
            with database_work():
                device = Device.objects.filter(pk=self.device_id).first()
                if device is None:
                    return wait_s
                next_try = datetime.fromtimestamp(time.time() + wait_s, UTC)
                if note_unreachable(device, cause, next_try):
                    publish("device", device.pk, [device.pk])
                    logger.warning("%s", cause, extra={"device": self.device_id, "code": cause.code})
        except DatabaseError as exc:
            logger.warning("state of the device not written: %s", exc, extra={"device": self.device_id})
        return wait_s


def engine_columns(engine: Engine, info: dict[str, Any]) -> dict[str, Any]:
    """Columns of Device from ``/version`` and ``/info``; what the host says is cut and cleaned."""
    version = engine.version

    def text(value: object, limit: int) -> str:
        return clean_text(value[:limit], limit)[:limit] if isinstance(value, str) else ""

    components = version.get("Components")
    parts = components if isinstance(components, list) else []
    names = [scalar_text(part.get("Name")) for part in parts if isinstance(part, dict)]
    cpus, memory = info.get("NCPU"), info.get("MemTotal")
    return {
        "engine_id": text(info.get("ID"), 128),
        "engine_product": "podman" if any("podman" in name.lower() for name in names) else "docker",
        "engine_version": text(version.get("Version"), 60),
        "api_version": text(engine.api_version, 20),
        "operating_system": text(info.get("OperatingSystem"), 120),
        "architecture": text(info.get("Architecture"), 40),
        "kernel_version": text(info.get("KernelVersion"), 120),
        "cpus": cpus if isinstance(cpus, int) and 0 < cpus < 100_000 else None,
        "memory_bytes": memory if isinstance(memory, int) and 0 < memory < 2**60 else None,
    }
