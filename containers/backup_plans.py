"""Plans of backups: ask for what is due, note how it ended, delete what no rule keeps. One tick does all of it."""

import logging
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.http import HttpRequest

from containers.backups import store
from containers.backups.packing import Unpacker
from containers.errors import BackupUnusable, OperationRefused, StoreFailed
from containers.models import Backup, BackupPlan, Operation, Volume
from containers.push import publish
from containers.rules.retention import expired
from containers.volume_requests import request_backup
from devices.models import Device, now
from devices.rules.schedules import ScheduleError, next_run
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.jobs import enqueue

logger = logging.getLogger(__name__)

DELETE_TASK: Final = "containers.delete_backup"
VERIFY_TASK: Final = "containers.verify_backup"
# A plan whose volume was busy is tried again after that.
_AGAIN: Final = timedelta(minutes=1)
# Failed ones tell why for so long.
_FAILED_KEPT: Final = timedelta(days=14)
# What should be deleted and is still there after that is handed out again: its message or its worker was lost.
_DELETION_DUE: Final = timedelta(minutes=5)
_AT_ONCE: Final = 200
# Rows of a batch are written shortly before its operations.
_SETTLED_AFTER: Final = timedelta(seconds=20)


def plan_next(plan: BackupPlan, after: datetime) -> datetime | None:
    """When it is due next; None for a schedule that cannot be used. Not saved."""
    with suppress(ScheduleError):
        # Ten minutes apart at most, so that the volumes of a fleet are not read in the same second.
        return next_run(plan.schedule, after, spread_key=zlib.crc32(str(plan.pk).encode()), spread_s=600)
    return None


def store_plan(request: HttpRequest, volume: Volume, made: BackupPlan) -> BackupPlan:
    """Store what a form made of a volume's plan, in place of the one that there is, and record it."""
    kept = BackupPlan.objects.of(volume).first()
    before: dict[str, Any] = snapshot(kept) if kept is not None else {}
    made.device, made.volume_name = volume.device, volume.name
    made.created_by_name = made.created_by_name or request.user.get_username()[:150]
    made.next_at = plan_next(made, now()) if made.is_enabled else None
    made.last_error = ""
    with transaction.atomic():
        made.save()
        verb = "change" if kept is not None else "add"
        record_audit(request.user, f"backupplan.{verb}", made, before=before, after=snapshot(made), request=request)
    return made


def remove_plan(request: HttpRequest, plan: BackupPlan) -> None:
    """Make no more backups by a plan, and record that; those that it made stay."""
    with transaction.atomic():
        record_audit(request.user, "backupplan.remove", plan, before=snapshot(plan), request=request)
        plan.delete()


def tick(moment: datetime | None = None) -> int:
    """Ask for the backups that are due, and tidy up; how many were asked for."""
    moment = moment or datetime.now(UTC)
    asked = sum(_ask(plan, moment) for plan in _due(moment))
    expire(moment)
    return asked


def _due(moment: datetime) -> list[BackupPlan]:
    """Of devices that can be reached; what was missed meanwhile is due once."""
    plans = BackupPlan.objects.filter(
        Q(next_at__lte=moment) | Q(next_at=None),
        is_enabled=True,
        device__state=Device.State.ONLINE,
        device__watch_enabled=True,
    )
    return list(plans.select_related("device").order_by("next_at")[:_AT_ONCE])


def _ask(plan: BackupPlan, moment: datetime) -> int:
    """Claim by moving its time on, if that is still what was read; then ask."""
    planned = plan_next(plan, moment)
    rows = BackupPlan.objects.filter(pk=plan.pk, next_at=plan.next_at)
    if planned is None:
        rows.update(is_enabled=False, last_error=f"Its schedule “{plan.schedule}” cannot be used.")
        return 0
    if not rows.update(next_at=planned, last_at=moment if plan.next_at else None):
        return 0
    if plan.next_at is None:  # new, or just switched on: it begins with its first time
        return 0
    try:
        request_backup(AnonymousUser(), plan.device, plan.volume_name, plan.consistency, plan=plan)
    except OperationRefused as refused:
        logger.info("backup not asked for: %s", refused, extra={"plan": str(plan.pk)})
        BackupPlan.objects.filter(pk=plan.pk).update(next_at=min(planned, moment + _AGAIN), last_error=str(refused))
        return 0
    return 1


def expire(moment: datetime) -> None:
    """Note how backups of plans ended, settle those whose operation is over, hand out deletions."""
    _settle()
    for plan in BackupPlan.objects.filter(backups__state=Backup.State.GOOD).distinct():
        mark_expired(plan)
    _forget_failed(moment)
    due = Backup.objects.filter(state=Backup.State.DELETING, finished_at__lt=moment - _DELETION_DUE)
    for pk in due.values_list("pk", flat=True)[:_AT_ONCE]:
        Backup.objects.filter(pk=pk).update(finished_at=moment)
        enqueue(DELETE_TASK, str(pk))


def _settle() -> None:
    """Backups that nobody makes any more have failed, however their operation ended."""
    over = [Operation.State.FAILED, Operation.State.LOST, Operation.State.CANCELLED, Operation.State.SUCCEEDED]
    # One of a batch gets its operation once that begins; one that was refused has none for ever.
    backups = Operation.objects.active().filter(kind=Operation.Kind.VOLUME_BACKUP)
    waits = backups.annotate(backup=KT("parameters__backup")).filter(backup=Cast(OuterRef("pk"), TextField()))
    left = Backup.objects.filter(
        Q(operation=None) & ~Exists(waits) | Q(operation__state__in=over),
        state=Backup.State.RUNNING,
        origin=Backup.Origin.BACKUP,
        created_at__lt=datetime.now(UTC) - _SETTLED_AFTER,
    )
    for backup in left.select_related("operation")[:_AT_ONCE]:
        operation = backup.operation
        error = (operation.error_message or operation.outcome) if operation else ""
        rows = Backup.objects.filter(pk=backup.pk, state=Backup.State.RUNNING)
        rows.update(state=Backup.State.FAILED, error=error or "It was not made.", finished_at=datetime.now(UTC))
        publish("backup", backup.device_id or "", [backup.pk])
        if backup.file_name:
            with suppress(StoreFailed):
                store.delete(backup.file_name)
    for plan in BackupPlan.objects.filter(backups__isnull=False).distinct()[:_AT_ONCE]:
        last = plan.backups.exclude(state__in=[Backup.State.RUNNING, Backup.State.DELETING]).first()
        if last is not None and plan.last_error != last.error:
            BackupPlan.objects.filter(pk=plan.pk).update(last_error=last.error)


def mark_expired(plan: BackupPlan) -> int:
    """Hand the backups that the plan's rules do not keep to deletion; how many."""
    good = plan.backups.good().filter(is_kept=False).values_list("pk", "created_at")
    old = expired(list(good), plan.retention)
    return sum(request_delete(backup) for backup in Backup.objects.filter(pk__in=old))


def _forget_failed(moment: datetime) -> None:
    failed = Backup.objects.filter(
        state=Backup.State.FAILED, finished_at__lt=moment - _FAILED_KEPT, is_kept=False
    ).exclude(plan=None)
    for backup in failed[:_AT_ONCE]:
        request_delete(backup)


def request_delete(backup: Backup) -> int:
    """Have a backup deleted, its files first; 1, or 0 while it is being made or deleted."""
    rows: Any = Backup.objects.filter(pk=backup.pk).exclude(state__in=[Backup.State.RUNNING, Backup.State.DELETING])
    with transaction.atomic():
        marked: int = rows.update(state=Backup.State.DELETING, finished_at=datetime.now(UTC))
        if marked:
            enqueue(DELETE_TASK, str(backup.pk))
            publish("backup", backup.device_id or "", [backup.pk])
    return marked


def delete(backup_id: str) -> None:
    """Delete the files of a backup that is to go, then its row. A store that fails leaves it to be tried again."""
    backup = Backup.objects.filter(pk=backup_id, state=Backup.State.DELETING).first()
    if backup is None:
        return
    if backup.file_name:
        try:
            store.delete(backup.file_name)
        except StoreFailed as exc:
            logger.warning("backup not deleted: %s", exc, extra={"backup": backup_id})
            Backup.objects.filter(pk=backup.pk).update(error=str(exc)[:4000])
            return
    backup.delete()
    publish("backup", backup.device_id or "", [backup_id], what="vanished")


# ---- checking what is stored


def request_verify(backup: Backup) -> None:
    """Have the stored archive compared with its checksum."""
    enqueue(VERIFY_TASK, str(backup.pk), expires_s=3600)


def verify(backup_id: str) -> bool:
    """Read a stored archive to its end and compare it with its checksum; one that differs is marked as damaged."""
    backup = Backup.objects.filter(pk=backup_id, state__in=[Backup.State.GOOD, Backup.State.DAMAGED]).first()
    if backup is None:
        return False
    error = ""
    try:
        with store.reading(backup.file_name) as file:
            unpacker = Unpacker(file, packing="zstd", root=backup.root, on_progress=lambda _reader: None)
            unpacker.drain()
        if unpacker.sha256 != backup.sha256:
            error = f"Its SHA-256 is {unpacker.sha256}, and was {backup.sha256}: the stored archive has changed."
    except BackupUnusable as exc:
        error = str(exc)
    except StoreFailed as exc:  # says nothing of the archive
        Backup.objects.filter(pk=backup.pk).update(error=str(exc)[:4000])
        publish("backup", backup.device_id or "", [backup.pk])
        return False
    Backup.objects.filter(pk=backup.pk).update(
        state=Backup.State.DAMAGED if error else Backup.State.GOOD, error=error[:4000], verified_at=datetime.now(UTC)
    )
    publish("backup", backup.device_id or "", [backup.pk])
    return not error
