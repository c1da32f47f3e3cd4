"""Yesterday's readings, one row for each container: means and peaks of 15 minutes. And the end of what is too old.

A device's day is written in one transaction with the device's own row last, which marks it as done. So it can be cut
off anywhere and begun again, by several workers at once, and doing it twice gives the same rows.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.utils import IntegrityError

from containers.rules.packing import BYTES_EACH, pack_columns, unpack_row
from containers.rules.series import CONTAINER_COLUMNS, DEVICE_COLUMNS, rolled_columns
from containers.rules.series import roll_up as roll_up_rows
from containers.statistics import partitions

logger = logging.getLogger(__name__)

_DAY: Final = timedelta(days=1)
# A reading that began before midnight is stored by then.
_SETTLED_AFTER: Final = timedelta(minutes=10)
# A day that cannot be rolled up, for whatever reason, must not fill the disk.
_GIVE_UP_AFTER: Final = timedelta(days=3)
_ROW_BYTES: Final = len(CONTAINER_COLUMNS) * BYTES_EACH
_DEVICE_BYTES: Final = len(DEVICE_COLUMNS) * BYTES_EACH

_PENDING: Final = """
SELECT d.id FROM devices_device d
WHERE EXISTS (SELECT 1 FROM containers_usage_sample s
    WHERE s.device_id = d.id AND s.sampled_at >= %(start)s AND s.sampled_at < %(end)s)
  AND NOT EXISTS (SELECT 1 FROM containers_usage_history h WHERE h.subject_id = d.id AND h.day = %(day)s)
"""
_SAMPLES: Final = """
SELECT sampled_at, host, containers, figures FROM containers_usage_sample
WHERE device_id = %s AND sampled_at >= %s AND sampled_at < %s ORDER BY sampled_at
"""
_INSERT: Final = """
INSERT INTO containers_usage_history (subject_id, day, step_s, figures) VALUES (%s, %s, %s, %s)
ON CONFLICT (subject_id, day) DO UPDATE SET step_s = EXCLUDED.step_s, figures = EXCLUDED.figures
"""


def keep(now: datetime) -> None:
    """All that is due: partitions ahead, the days that ended, and the end of what is too old. Many queries.

    To be called every hour or so; more often does no harm.
    """
    partitions.make_ahead(now)
    open_days = roll_up(now)
    fine = now - timedelta(hours=settings.SSM_STATISTICS_FINE_HOURS)
    for begin in partitions.begins(partitions.SAMPLES):
        is_open = begin.date() in open_days and begin > now - _GIVE_UP_AFTER
        if begin + partitions.SAMPLES.span <= fine and not is_open and begin.date() < now.date():
            partitions.drop(partitions.SAMPLES, begin)
    coarse = now - timedelta(days=settings.SSM_STATISTICS_COARSE_DAYS)
    for begin in partitions.begins(partitions.HISTORY):
        if begin + partitions.HISTORY.span <= coarse:
            partitions.drop(partitions.HISTORY, begin)


def roll_up(now: datetime) -> list[date]:
    """Roll up every day that ended and still has readings; gives the days that could not be. What failed is logged."""
    days = {begin.date() for begin in partitions.begins(partitions.SAMPLES) if begin <= now}
    still_open = []
    for day in sorted(days):
        if _midnight(day) + _DAY + _SETTLED_AFTER > now:
            continue
        for device_id in _pending(day):
            try:
                roll_up_device(device_id, day)
            except Exception:
                # One device's must not keep the others' from being rolled up, nor the partitions from being dropped.
                logger.exception("statistics were not rolled up", extra={"device": str(device_id), "day": str(day)})
                still_open.append(day)
    return still_open


def roll_up_device(device_id: UUID, day: date) -> int:
    """Write one row for each container that was read on that day, and one for the device; how many rows."""
    step_s = settings.SSM_STATISTICS_COARSE_MINUTES * 60
    rows = list(_rolled_rows(device_id, day, step_s))
    try:
        return _write(rows, device_id, day)
    except IntegrityError as exc:
        if not partitions.is_missing(exc):
            raise
        partitions.make(partitions.HISTORY, _midnight(day))
        return _write(rows, device_id, day)


def _write(rows: Sequence[Sequence[Any]], device_id: UUID, day: date) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        # Two workers at the same day would wait for each other's rows in different orders.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"roll-up {device_id} {day}"])
        cursor.executemany(_INSERT, rows)
    return len(rows)


def _rolled_rows(device_id: UUID, day: date, step_s: int) -> Iterator[tuple[UUID, date, int, bytes]]:
    """The day's rows: the containers', then the device's. Reads the samples one span after the other."""
    spans = -(-24 * 3600 // step_s)
    of_device: list[list[float | None] | None] = [None] * spans
    of_containers: dict[UUID, list[list[float | None] | None]] = {}
    for number in range(spans):
        start = _midnight(day) + timedelta(seconds=number * step_s)
        device, containers = _roll_up_span(
            device_id, start, min(start + timedelta(seconds=step_s), _midnight(day) + _DAY)
        )
        of_device[number] = device
        for container_id, row in containers.items():
            of_containers.setdefault(container_id, [None] * spans)[number] = row
    for container_id, rows in sorted(of_containers.items()):
        yield container_id, day, step_s, _block(rows, CONTAINER_COLUMNS)
    yield device_id, day, step_s, _block(of_device, DEVICE_COLUMNS)


def _roll_up_span(
    device_id: UUID, start: datetime, end: datetime
) -> tuple[list[float | None] | None, dict[UUID, list[float | None]]]:
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, [device_id, start, end])
        samples = cursor.fetchall()
    of_device = [unpack_row(bytes(host)) for _moment, host, _ids, _figures in samples if len(host) == _DEVICE_BYTES]
    of_containers: dict[UUID, list[list[float | None]]] = {}
    for _moment, _host, ids, figures in samples:
        if len(figures) != len(ids) * _ROW_BYTES:
            continue  # of a version with other columns
        for place, container_id in enumerate(ids):
            row = unpack_row(bytes(figures[place * _ROW_BYTES : (place + 1) * _ROW_BYTES]))
            of_containers.setdefault(container_id, []).append(row)
    return (
        roll_up_rows(of_device, DEVICE_COLUMNS) if of_device else None,
        {container_id: roll_up_rows(rows, CONTAINER_COLUMNS) for container_id, rows in of_containers.items()},
    )


def _block(rows: Sequence[list[float | None] | None], columns: Sequence[str]) -> bytes:
    empty: list[float | None] = [None] * len(rolled_columns(columns))
    return pack_columns(list(zip(*(row or empty for row in rows), strict=True)))


def _pending(day: date) -> list[UUID]:
    span = {"start": _midnight(day), "end": _midnight(day) + _DAY, "day": day}
    with connection.cursor() as cursor:
        cursor.execute(_PENDING, span)
        return [device_id for (device_id,) in cursor.fetchall()]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
