"""Celery's entries: each takes ids, calls one function, and leaves what happened in rows."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from celery import shared_task
from django.conf import settings
from django.core.cache import cache

from containers import execution, operations, sync
from containers.models import Event, Operation
from containers.push import publish
from devices.connections import pool
from devices.models import Device
from devices.services import connection_target, doubt_silent_devices, schedule_next_sweep
from ssm.lib.errors import SsmError
from ssm.lib.jobs import enqueue

logger = logging.getLogger(__name__)

# Longer than any sweep: every request in it has a deadline.
_SWEEP_LOCK_S: Final = 600
_CHUNK: Final = 5000


@shared_task(name="containers.dispatch_due_sweeps")
def dispatch_due_sweeps() -> None:
    """Hand out the sweeps that are due, each once, whoever else ticks; unreachable devices are swept on return."""
    moment = datetime.now(UTC)
    for device in Device.objects.due_for_sweep(moment)[:500]:
        claimed = Device.objects.filter(pk=device.pk, next_sweep_at=device.next_sweep_at).update(
            next_sweep_at=schedule_next_sweep(device, moment)
        )
        if claimed and device.state == Device.State.ONLINE:
            enqueue("containers.sweep_device", str(device.pk))


@shared_task(name="containers.sweep_device")
def sweep_device(device_id: str) -> None:
    """Sweep one device. One at a time: a request that comes meanwhile makes the running one go round again."""
    lock, again = f"sweep:{device_id}", f"sweep-again:{device_id}"
    if not cache.add(lock, 1, _SWEEP_LOCK_S):
        cache.set(again, 1, _SWEEP_LOCK_S)
        return
    try:
        while True:
            cache.delete(again)
            _sweep(device_id)
            if not cache.get(again):
                return
    finally:
        cache.delete(lock)


def _sweep(device_id: str) -> None:
    device = Device.objects.select_related("credential").prefetch_related("host_keys").filter(pk=device_id).first()
    if device is None or not device.watch_enabled:
        return
    started_at = datetime.now(UTC)
    try:
        sync.sweep(device, pool.engine(connection_target(device)))
    except SsmError as exc:
        logger.warning("sweep failed: %s", exc, extra={"device": device_id})
        sync.record_sweep(device, started_at=started_at, error=str(exc))
    else:
        sync.record_sweep(device, started_at=started_at)


@shared_task(name="containers.run_operation")
def run_operation(operation_id: str) -> None:
    """Perform one operation."""
    execution.run(operation_id)


@shared_task(name="containers.settle_operations")
def settle_operations() -> None:
    """Find out what became of operations without a worker, send forgotten ones again, doubt silent devices."""
    operations.resend_forgotten()
    for device in doubt_silent_devices():
        publish("device", device.pk, [device.pk])
    for orphan in operations.orphans():
        enqueue("containers.settle_operation", str(orphan.pk))


@shared_task(name="containers.settle_operation")
def settle_operation(operation_id: str) -> None:
    """Settle one orphan, if it still is one."""
    orphan = next((operation for operation in operations.orphans() if str(operation.pk) == operation_id), None)
    if orphan is not None:
        execution.settle(orphan)


@shared_task(name="containers.expire_history")
def expire_history() -> None:
    """Delete events and operations that are older than their retention, in chunks."""
    for model, column, days in (
        (Event, "received_at__lt", settings.SSM_EVENT_RETENTION_DAYS),
        (Operation, "finished_at__lt", settings.SSM_OPERATION_RETENTION_DAYS),
    ):
        limit = datetime.now(UTC) - timedelta(days=days)
        while True:
            old = list(model.objects.filter(**{column: limit}).values_list("pk", flat=True)[:_CHUNK])  # type: ignore[attr-defined]
            if not old:
                break
            model.objects.filter(pk__in=old).delete()  # type: ignore[attr-defined]
