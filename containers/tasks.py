"""Celery's entries: each takes ids, calls one function, and leaves what happened in rows."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from celery import shared_task
from django.conf import settings
from django.db import OperationalError

from containers import backup_plans, execution, operations, sync
from containers.events import loops
from containers.models import LONG_KINDS, Event, IdempotentRequest, Operation
from containers.push import publish
from containers.statistics import rollup, sampling
from containers.updates import applying, cycle
from containers.volume_sync import measure_volumes
from devices import work
from devices.connections import pool
from devices.models import Device
from devices.services import connection_target, doubt_silent_devices
from ssm.lib.errors import SsmError
from ssm.lib.jobs import enqueue

logger = logging.getLogger(__name__)

_CHUNK: Final = 5000


@shared_task(name="containers.hand_out_due_work")
def hand_out_due_work() -> None:
    """Hand out the sweeps, samples of statistics and update checks that are due."""
    work.hand_out()


@shared_task(name=work.SWEEP.task)
def sweep_device(device_id: str) -> None:
    """Sweep one device. One at a time: a request that comes meanwhile leaves it due, and the next tick hands it out."""
    work.perform(work.SWEEP, device_id, _sweep)


def _sweep(device_id: str) -> None:
    device = Device.objects.select_related("credential").prefetch_related("host_keys").filter(pk=device_id).first()
    if device is None or not device.watch_enabled:
        return
    started_at = datetime.now(UTC)
    try:
        changes = sync.sweep(device, pool.engine(connection_target(device)))
    except SsmError as exc:
        logger.warning("sweep failed: %s", exc, extra={"device": device_id})
        sync.record_sweep(device, started_at=started_at, error=str(exc), is_complete=False)
    except OperationalError:
        raise  # nothing can be noted; it stays due and is handed out again
    except Exception as exc:
        logger.exception("sweep failed unexpectedly", extra={"device": device_id})
        error = f"SSM failed at this sweep ({type(exc).__name__}): see its log."
        sync.record_sweep(device, started_at=started_at, error=error, is_complete=False)
    else:
        unread = f"{len(changes.unread)} could not be inspected: " + "; ".join(changes.unread[:5])
        sync.record_sweep(device, started_at=started_at, error=unread[:2000] if changes.unread else "")


@shared_task(name="containers.end_loops")
def end_loops() -> None:
    """End the restart loops of containers that stay up."""
    loops.end_loops()


@shared_task(name="containers.run_operation")
def run_operation(operation_id: str) -> None:
    """Perform one operation."""
    execution.run(operation_id)


@shared_task(name="containers.run_transfer")
def run_transfer(operation_id: str) -> None:
    """Perform one operation that moves much or waits long."""
    execution.run(operation_id)


@shared_task(name="containers.settle_operations")
def settle_operations() -> None:
    """Find out what became of operations without a worker, send forgotten ones again, doubt silent devices."""
    operations.resend_forgotten()
    for device in doubt_silent_devices():
        publish("device", device.pk, [device.pk])
    for orphan in operations.orphans():
        if orphan.kind in LONG_KINDS:
            enqueue("containers.settle_transfer", str(orphan.pk))
        else:
            enqueue("containers.settle_operation", str(orphan.pk))


@shared_task(name="containers.settle_operation")
def settle_operation(operation_id: str) -> None:
    """Settle one orphan, if it still is one."""
    orphan = next((operation for operation in operations.orphans() if str(operation.pk) == operation_id), None)
    if orphan is not None:
        execution.settle(orphan)


@shared_task(name="containers.settle_transfer")
def settle_transfer(operation_id: str) -> None:
    """Settle one orphan among the long acts, if it still is one."""
    settle_operation(operation_id)


@shared_task(name="containers.discard_kept")
def discard_kept() -> None:
    """Ask for the removal of old containers that were kept for long enough."""
    applying.discard_overdue()


@shared_task(name="containers.expire_history")
def expire_history() -> None:
    """Delete events, operations and keys of requests that are older than their retention, in chunks."""
    for model, column, days in (
        (Event, "received_at__lt", settings.SSM_EVENT_RETENTION_DAYS),
        (Operation, "finished_at__lt", settings.SSM_OPERATION_RETENTION_DAYS),
        (IdempotentRequest, "created_at__lt", 1),
    ):
        limit = datetime.now(UTC) - timedelta(days=days)
        while True:
            old = list(model.objects.filter(**{column: limit}).values_list("pk", flat=True)[:_CHUNK])
            if not old:
                break
            model.objects.filter(pk__in=old).delete()


@shared_task(name=work.STATISTICS.task)
def sample_device(device_id: str) -> None:
    """Read and store what one device and its containers use."""
    work.perform(work.STATISTICS, device_id, sampling.sample)


@shared_task(name="containers.keep_statistics")
def keep_statistics() -> None:
    """Make partitions ahead, roll up the days that ended, drop what is too old."""
    rollup.keep(datetime.now(UTC))


@shared_task(name=work.UPDATE_CHECK.task)
def check_device_updates(device_id: str) -> None:
    """Decide about updates of one device's containers and have registries asked for what is too old."""
    work.perform(work.UPDATE_CHECK, device_id, cycle.check_device)


@shared_task(name="containers.evaluate_updates")
def evaluate_updates() -> None:
    """Decide anew about updates where something moved."""
    cycle.evaluate_moved()


@shared_task(name="containers.plan_backups")
def plan_backups() -> None:
    """Ask for the backups that are due, and have those deleted that no rule keeps."""
    backup_plans.tick()


@shared_task(name=backup_plans.DELETE_TASK)
def delete_backup(backup_id: str) -> None:
    """Delete the files and the row of a backup."""
    backup_plans.delete(backup_id)


@shared_task(name=backup_plans.VERIFY_TASK)
def verify_backup(backup_id: str) -> None:
    """Compare the stored archive of a backup with its checksum."""
    backup_plans.verify(backup_id)


@shared_task(name="containers.measure_volumes")
def measure_device_volumes(device_id: str) -> None:
    """Ask a device's engine for the sizes of its volumes."""
    device = Device.objects.filter(pk=device_id).first()
    if device is None:
        return
    try:
        measure_volumes(device, pool.engine(connection_target(device)))
    except SsmError as exc:
        logger.warning("volumes not measured: %s", exc, extra={"device": device_id})
