"""Perform an operation on its host: look, act, look again.

A message may come twice and a worker may die anywhere, so whoever works on an operation looks at the host before
acting, and how the container stood before is kept in the row. Whether the act took place is told from the two looks
(containers.rules.outcomes), never from having sent it.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import Error as DatabaseError

from containers import operations, sync
from containers.errors import OperationCancelled, OperationTakenOver
from containers.models import Operation
from containers.rules.inspection import ContainerFacts
from containers.rules.outcomes import Standing, already_so, took_place
from containers.runs.run import Run
from containers.runs.table import RUNS, Perform
from devices.connections import Engine, pool
from devices.errors import ConnectionLost, DeviceError, EngineTimeout
from devices.models import Device
from devices.services import connection_target
from ssm.lib.database import database_work
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

# This process among all that work on operations, now and later.
WORKER: Final = uuid.uuid4().hex
# An act that was asked for longer ago is not begun late: whoever asked has moved on.
STILL_WANTED: Final = timedelta(minutes=10)
# Ask that long for the outcome of an act before giving up on a host that does not come back.
OUTCOME_WANTED: Final = timedelta(hours=24)
DEFAULT_STOP_TIMEOUT_S: Final = 10
# An act that ended that many workers is not tried again.
MOST_CRASHES: Final = 5
# What the Engine takes beside the container's own time to end: the kill, networks, the new start.
ENGINE_MARGIN: Final = timedelta(seconds=5)
_SURE: Final = "confirmed by looking at the host again"


class ContainerGoneError(SsmError):
    """The container was removed before the act."""

    code = "container_gone"
    status = 409


class ActIneffectiveError(SsmError):
    """The Engine took the act without an error, but the container does not show it."""

    code = "act_ineffective"


class _Heartbeats:
    """Tells the database every few seconds that this process is at work, by one thread for all operations."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._started = False

    @contextmanager
    def of(self, operation: Operation) -> Iterator[None]:
        with self._lock:
            self._ids.add(str(operation.pk))
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="operation-heartbeats", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._ids.discard(str(operation.pk))

    def hold(self, operation_id: str) -> bool:
        """Whether a thread of this process is at that operation."""
        with self._lock:
            return operation_id in self._ids

    def _run(self) -> None:
        while True:
            time.sleep(operations.HEARTBEAT.total_seconds())
            with self._lock:
                ids = set(self._ids)
            if not ids:
                continue
            try:
                with database_work():
                    operations.beat(ids, WORKER)
            except DatabaseError:
                # Too long without the database and another worker takes over: it will look at the host first.
                logger.warning("heartbeat not written", extra={"operations": len(ids)})


_heartbeats = _Heartbeats()


def run(operation_id: str) -> None:
    """Perform a queued operation; does nothing when another worker has it. Never raises DeviceError."""
    operation = operations.claim(operation_id, WORKER)
    if operation is not None:
        with _heartbeats.of(operation):
            _work(operation)


def settle(orphan: Operation) -> None:
    """Find out what became of an operation whose worker is gone, and finish it if it is still wanted.

    One that a thread of this process is at has no heartbeat because the database was away: it is let be.
    """
    if _heartbeats.hold(str(orphan.pk)):
        return
    device = orphan.device
    if device is not None and device.state == Device.State.UNREACHABLE and _age(orphan) < OUTCOME_WANTED:
        operations.note_progress(orphan, f"{device.name} is unreachable: the outcome is known once it answers")
        return
    # One that was let go of had a worker that lives; one that was not has lost it.
    crashes = orphan.journal.get("crashes", 0) + (1 if orphan.worker else 0)
    operation = operations.adopt(orphan, WORKER)
    if operation is None:
        return
    with _heartbeats.of(operation):
        if operation.kind in RUNS and crashes:
            operations.note(operation, journal={**operation.journal, "crashes": crashes})
        if crashes > MOST_CRASHES:
            operations.lose(operation, f"{crashes} workers of SSM have ended while they were at it: look at the host.")
        else:
            _work(operation, is_resumed=True)


def _age(operation: Operation) -> timedelta:
    return datetime.now(UTC) - operation.created_at


def _work(operation: Operation, *, is_resumed: bool = False) -> None:
    """Perform it; whatever ends it is in the row afterwards."""
    perform = RUNS.get(operation.kind)
    try:
        if operation.device is None:
            raise ContainerGoneError(f"{operation.device_name} was removed from SSM.")
        if perform is not None:
            _run(operation, operation.device, perform, is_resumed=is_resumed)
        else:
            _perform(operation, operation.device, pool.engine(connection_target(operation.device)))
    except OperationTakenOver:
        logger.warning("operation was taken over by another worker", extra={"operation": str(operation.pk)})
    except OperationCancelled as exc:
        operations.cancelled(operation, exc.fix)
    except DeviceError as exc:
        _end_unreached(operation, exc)
    except SsmError as exc:
        operations.fail(operation, exc)
    except DatabaseError:
        raise  # the row stays as it is; another worker settles it once the database is back
    except Exception as exc:
        logger.exception("operation failed unexpectedly", extra={"operation": str(operation.pk)})
        operations.fail(operation, SsmError(f"SSM failed at this operation ({type(exc).__name__}): see its log."))


def _run(operation: Operation, device: Device, perform: Perform, *, is_resumed: bool) -> None:
    """Perform a long act; what it still wanted to show is written whatever ends it."""
    run = Run(operation, device, is_resumed=is_resumed)
    try:
        outcome = perform(run)
    except OperationTakenOver:
        raise
    except BaseException:
        run.flush()
        raise
    run.flush()
    operations.succeed(operation, outcome)


def _end_unreached(operation: Operation, error: DeviceError) -> None:
    """The host could not be asked: an act that was not begun has failed; of one that was, the outcome is open."""
    is_begun = bool(operation.observed_before or operation.journal)
    if error.is_answer or not is_begun:
        operations.fail(operation, error)
    elif _age(operation) > OUTCOME_WANTED:
        operations.lose(operation, f"{error.message} What became of it could not be found out within a day.")
    else:
        operations.release(operation, f"{error.message} The outcome is known once it answers.")


def _perform(operation: Operation, device: Device, engine: Engine) -> None:
    before = Standing.from_json(operation.observed_before)
    now = _look(engine, operation)
    if before is not None and took_place(operation.kind, before, now, operation.parameters):
        _show(operation, device, engine)
        operations.succeed(operation, _SURE)
    elif already_so(operation.kind, now, operation.parameters):
        _show(operation, device, engine)
        operations.succeed(operation, "nothing to do: it was so already")
    elif now is None:
        _show(operation, device, engine)
        raise ContainerGoneError(
            f"{operation.target_name} does not exist on {device.name} any more.", fix="Nothing is left to do."
        )
    elif before is not None and _sends_a_mere_signal(operation):
        operations.lose(operation, f"Whether {operation.target_name} got the signal cannot be told from its state.")
    elif before is not None and _may_be_under_way(operation):
        operations.release(operation, f"its first worker is gone, but {device.name} may still be at it")
    elif before is not None and _age(operation) > STILL_WANTED:
        raise ActIneffectiveError(
            f"{operation.target_name} on {device.name} was not reached in time, so it was not begun again.",
            fix="Start it again if it is still wanted.",
        )
    else:
        operations.note_before(operation, now.as_json())
        _act_and_confirm(operation, device, engine, now)


def _sends_a_mere_signal(operation: Operation) -> bool:
    """Whether the act leaves no trace that could be looked for: a signal that ends nothing, and must not come twice."""
    return operation.kind == Operation.Kind.KILL and operation.parameters.get("signal", "SIGKILL") != "SIGKILL"


def _may_be_under_way(operation: Operation) -> bool:
    """Whether the Engine may still be at what a worker that is gone had asked for: it works on without its client.

    Asked for once more meanwhile, a restart would be done twice.
    """
    begun_at = operation.started_at or operation.created_at
    return datetime.now(UTC) - begun_at < timedelta(seconds=_patience_s(operation)) + ENGINE_MARGIN


def _act_and_confirm(operation: Operation, device: Device, engine: Engine, before: Standing) -> None:
    outcome = f"now called {operation.parameters['name']}" if operation.kind == Operation.Kind.RENAME else ""
    try:
        _act(engine, operation)
    except (ConnectionLost, EngineTimeout) as exc:
        # Sent, but not answered: only the host knows. A host that stays away is asked again by the reaper.
        outcome = f"{_SURE}, as {'the connection was cut' if isinstance(exc, ConnectionLost) else 'it took long'}"
        engine = pool.engine(connection_target(device))
        if not took_place(operation.kind, before, _look(engine, operation), operation.parameters):
            raise
    _show(operation, device, engine)
    operations.succeed(operation, outcome)


def _look(engine: Engine, operation: Operation) -> Standing | None:
    facts = sync.inspect(engine, operation.engine_id)
    return Standing.of(facts) if facts is not None else None


def _show(operation: Operation, device: Device, engine: Engine) -> ContainerFacts | None:
    """Bring the row up to date before the operation ends, so that no page shows "done" beside the old state."""
    return sync.refresh(device, engine, operation.engine_id)


def _act(engine: Engine, operation: Operation) -> None:
    """The one request of the act. Parameters come from the callers of request_operation, checked there."""
    parameters = operation.parameters
    path = f"/containers/{operation.engine_id}"
    if operation.kind == Operation.Kind.REMOVE:
        query = {"force": _flag(parameters.get("force")), "v": _flag(parameters.get("volumes"))}
        engine.delete(path, query, timeout_s=120)
    elif operation.kind in (Operation.Kind.STOP, Operation.Kind.RESTART):
        patience = _patience_s(operation)
        # The Engine answers only when the container has ended, or was killed after its time-out.
        engine.post(f"{path}/{operation.kind}", {"t": str(patience)}, timeout_s=patience + 60)
    elif operation.kind == Operation.Kind.KILL:
        engine.post(f"{path}/kill", {"signal": str(parameters.get("signal", "SIGKILL"))}, timeout_s=60)
    elif operation.kind == Operation.Kind.RENAME:
        engine.post(f"{path}/rename", {"name": str(parameters["name"])}, timeout_s=60)
    elif operation.kind == Operation.Kind.CONFIGURE:
        engine.post(f"{path}/update", body=parameters, timeout_s=60)
    else:
        engine.post(f"{path}/{operation.kind}", timeout_s=60)


def _patience_s(operation: Operation) -> int:
    """Seconds that the Engine gives the container's processes to end by themselves; 0 for acts without such a time."""
    if operation.kind not in (Operation.Kind.STOP, Operation.Kind.RESTART):
        return 0
    return int(operation.parameters.get("timeout_s", DEFAULT_STOP_TIMEOUT_S))


def _flag(value: object) -> str:
    return "1" if value else "0"
