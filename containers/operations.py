"""Record, claim, keep alive and finish an Operation. Database only: no host is spoken to here.

An operation is queued → running → succeeded | failed | lost. Delivery is at least once, so each step is a conditional
update that only one worker wins.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from containers.errors import OperationTakenOver
from containers.models import LONG_KINDS, Operation
from containers.push import publish
from containers.querysets import OperationQuerySet
from devices.models import now
from ssm.lib import tallies
from ssm.lib.errors import SsmError
from ssm.lib.jobs import enqueue
from ssm.lib.roles import SomeUser

logger = logging.getLogger(__name__)

RUN_TASK: Final = "containers.run_operation"
TRANSFER_TASK: Final = "containers.run_transfer"
HEARTBEAT: Final = timedelta(seconds=5)
# Three missed heartbeats: its worker is gone, or has lost the database.
ORPHANED_AFTER: Final = timedelta(seconds=16)
# One that was let go of, as its host could not be asked, is at nobody's hands: it is looked at again sooner.
_LOOKED_AT_AGAIN: Final = timedelta(seconds=4)
# A queued operation that nobody took by then has lost its message.
RESENT_AFTER: Final = timedelta(seconds=15)
# Again and again: a broker that is away for long, or comes back without its last second, loses also what was resent.
RESENT_EVERY: Final = timedelta(seconds=20)


def create(**columns: Any) -> Operation:
    """One row, and its message once that is committed. IntegrityError when its place is taken."""
    with transaction.atomic():
        operation = Operation.objects.create(**columns)
        if operation.wave == 0:
            _hand_on(operation)
        announce(operation, what="appeared")
    return operation


def _hand_on(operation: Operation) -> None:
    enqueue(TRANSFER_TASK if operation.kind in LONG_KINDS else RUN_TASK, str(operation.pk))


def claim(operation_id: str, worker: str) -> Operation | None:
    """Take a queued operation for this worker; None when another one has it, it has ended, or its wave is not due."""
    moment = now()
    taken = (
        Operation.objects.filter(pk=operation_id, state=Operation.State.QUEUED)
        .due()
        .update(state=Operation.State.RUNNING, worker=worker, started_at=moment, heartbeat_at=moment, attempts=1)
    )
    return _taken(operation_id) if taken else None


def adopt(operation: Operation, worker: str) -> Operation | None:
    """Take over a running operation whose worker is silent; None when somebody else was quicker."""
    taken = Operation.objects.filter(
        pk=operation.pk, state=Operation.State.RUNNING, heartbeat_at=operation.heartbeat_at, worker=operation.worker
    ).update(worker=worker, heartbeat_at=now(), attempts=operation.attempts + 1)
    return _taken(operation.pk) if taken else None


def _taken(operation_id: Any) -> Operation:
    operation = Operation.objects.select_related("device__credential", "container").get(pk=operation_id)
    announce(operation)
    return operation


def beat(operation_ids: Iterable[str], worker: str) -> None:
    """Tell that this worker is still at these operations. One query."""
    Operation.objects.filter(pk__in=list(operation_ids), worker=worker, state=Operation.State.RUNNING).update(
        heartbeat_at=now()
    )


def note_before(operation: Operation, standing: dict[str, str]) -> None:
    """Keep how the container stood before the act; only the first look counts."""
    if not operation.observed_before:
        operation.observed_before = standing
        operation.save(update_fields=["observed_before"])


def note_progress(operation: Operation, text: str) -> None:
    """Show a step of the work; written and announced only when it changed."""
    text = text[:255]
    if operation.progress != text:
        operation.progress = text
        operation.save(update_fields=["progress"])
        announce(operation)


def note(operation: Operation, **columns: Any) -> None:
    """Write columns of a running operation and announce them. Raises OperationTakenOver when it is not ours any more.

    Durable before it returns, so that what is noted before a step is known to whoever comes after a crash.
    """
    with transaction.atomic():
        kept = Operation.objects.filter(pk=operation.pk, state=Operation.State.RUNNING, worker=operation.worker).update(
            **columns
        )
        if not kept:
            raise OperationTakenOver(str(operation.pk))
        announce(operation)
    for name, value in columns.items():
        setattr(operation, name, value)


def wants_cancel(operation: Operation) -> bool:
    """Whether somebody called it off meanwhile. Raises OperationTakenOver when it is not ours any more. One query."""
    asked = (
        Operation.objects.filter(pk=operation.pk, state=Operation.State.RUNNING, worker=operation.worker)
        .values_list("cancel_requested_at", flat=True)
        .first()
    )
    if asked is None and not Operation.objects.filter(pk=operation.pk, worker=operation.worker).exists():
        raise OperationTakenOver(str(operation.pk))
    return asked is not None


def request_cancel(user: SomeUser, operation: Operation) -> bool:
    """Call an operation off: at once while it waits, else as soon as its worker looks. False when that is in vain."""
    who = user.get_username()[:150]
    if cancel_queued(Operation.objects.filter(pk=operation.pk), f"Cancelled by {who} before it began."):
        return True
    if operation.kind not in LONG_KINDS:
        return False
    asked = Operation.objects.filter(pk=operation.pk, state=Operation.State.RUNNING, cancel_requested_at=None).update(
        cancel_requested_at=now(), cancel_requested_by=who
    )
    if asked:
        announce(operation)
    return bool(asked)


def cancelled(operation: Operation, outcome: str = "") -> bool:
    """End as called off, after its worker has undone what it had begun."""
    by = Operation.objects.filter(pk=operation.pk).values_list("cancel_requested_by", flat=True).first()
    return _finish(operation, Operation.State.CANCELLED, outcome=(outcome or f"Cancelled by {by or 'its user'}.")[:255])


def release(operation: Operation, text: str) -> None:
    """Let go of an operation whose host cannot be asked: it stays running and is looked at again later."""
    due = now() - ORPHANED_AFTER + _LOOKED_AT_AGAIN
    Operation.objects.filter(pk=operation.pk, worker=operation.worker).update(worker="", heartbeat_at=due)
    note_progress(operation, text)


def succeed(operation: Operation, outcome: str = "") -> bool:
    """End well; ``outcome`` says what was out of the ordinary."""
    return _finish(operation, Operation.State.SUCCEEDED, outcome=outcome[:255])


def fail(operation: Operation, error: SsmError) -> bool:
    """End with an error, kept with the sentence and the fix."""
    return _finish(
        operation,
        Operation.State.FAILED,
        error_code=error.code[:40],
        error_message=error.message[:4000],
        error_fix=error.fix[:4000],
    )


def lose(operation: Operation, message: str) -> bool:
    """End without knowing: nobody can tell any more what became of it."""
    return _finish(operation, Operation.State.LOST, error_code="outcome_unknown", error_message=message)


def _finish(operation: Operation, state: str, **columns: Any) -> bool:
    """Conditional on being ours, so that a worker that was given up for dead cannot overwrite its successor."""
    with transaction.atomic(durable=True):
        ended = Operation.objects.filter(
            pk=operation.pk, state=Operation.State.RUNNING, worker=operation.worker
        ).update(state=state, finished_at=now(), progress="", **columns)
        if ended:
            announce(operation)
            transaction.on_commit(lambda: _count(operation, state))
            # After the commit: of two that end at once, the later one sees that both have.
            transaction.on_commit(lambda: _go_on(operation, state))
    return bool(ended)


def cancel_queued(chosen: OperationQuerySet, reason: str) -> int:
    """Cancel those of the operations that nobody has begun with; returns how many."""
    cancelled = 0
    for operation in chosen.filter(state=Operation.State.QUEUED).select_related("batch"):
        with transaction.atomic():
            ended = Operation.objects.filter(pk=operation.pk, state=Operation.State.QUEUED).update(
                state=Operation.State.CANCELLED, finished_at=now(), outcome=reason[:255]
            )
            if ended:
                announce(operation)
        if ended:
            _count(operation, Operation.State.CANCELLED)
        cancelled += ended
    return cancelled


def _count(operation: Operation, state: str) -> None:
    """For the log and the metrics: how it ended, and how long that took since somebody asked."""
    seconds = (now() - operation.created_at).total_seconds()
    tallies.count("operations", (operation.kind, state), seconds)
    ids = {"operation": str(operation.pk), "device": str(operation.device_id or "")}
    logger.info("%s %s after %.1f s", operation, state, seconds, extra=ids)


def _go_on(operation: Operation, state: str) -> None:
    """After an operation of a batch has ended: hand on the next wave, or call off what is left after a failure."""
    batch = operation.batch
    if batch is None:
        return
    if batch.stops_on_failure and state != Operation.State.SUCCEEDED:
        cancel_queued(batch.operations.all(), "Not begun, because another one of the batch had failed.")
    waiting = batch.operations.filter(state=Operation.State.QUEUED, wave__gt=0, lane=operation.lane).due()
    for following in waiting.only("pk", "kind"):
        _hand_on(following)


def orphans() -> list[Operation]:
    """Running operations whose worker is silent, the oldest first."""
    before = datetime.now(UTC) - ORPHANED_AFTER
    return list(Operation.objects.orphaned(before).select_related("device").order_by("created_at")[:200])


def resend_forgotten() -> int:
    """Hand queued operations, whose message was lost, to the workers again; a double one finds nothing to claim.

    Each at most every 20 seconds (their heartbeat is that of the last message): they may also wait for a free worker.
    """
    moment = datetime.now(UTC)
    forgotten = Operation.objects.filter(
        Q(heartbeat_at=None) | Q(heartbeat_at__lt=moment - RESENT_EVERY),
        state=Operation.State.QUEUED,
        created_at__lt=moment - RESENT_AFTER,
    ).due()
    waiting = list(forgotten.order_by("created_at").only("pk", "kind")[:200])
    Operation.objects.filter(pk__in=[operation.pk for operation in waiting], state=Operation.State.QUEUED).update(
        heartbeat_at=moment
    )
    for operation in waiting:
        _hand_on(operation)
    return len(waiting)


def announce(operation: Operation, what: Any = "updated") -> None:
    publish("operation", operation.device_id, [operation.pk], what=what)
    if operation.container_id is not None:
        publish("container", operation.device_id, [operation.container_id])
    if operation.batch_id is not None:
        publish("batch", operation.device_id, [operation.batch_id])
