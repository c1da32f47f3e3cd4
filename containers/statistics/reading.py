"""Figures of the past, for charts: the finest that cover a span of time, in two queries at most."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from containers.models import Container
from containers.rules.packing import BYTES_EACH, PackingError, unpack_columns, unpack_row
from containers.rules.series import (
    CONTAINER_COLUMNS,
    DEVICE_COLUMNS,
    MOST_POINTS,
    Point,
    Series,
    plain_series,
    rolled_columns,
    rolled_series,
    step_for,
)
from devices.models import Device

__all__ = ["Series", "container_series", "device_series"]

_ROW_BYTES: Final = len(CONTAINER_COLUMNS) * BYTES_EACH
# Only the container's own bytes leave the server.
_CONTAINER_SAMPLES: Final = """
SELECT sampled_at, substring(figures FROM (array_position(containers, %(subject)s) - 1) * %(bytes)s + 1 FOR %(bytes)s)
FROM containers_usage_sample
WHERE device_id = %(device)s AND sampled_at >= %(start)s AND sampled_at <= %(end)s ORDER BY sampled_at
"""
_DEVICE_SAMPLES: Final = """
SELECT sampled_at, host FROM containers_usage_sample
WHERE device_id = %(device)s AND sampled_at >= %(start)s AND sampled_at <= %(end)s ORDER BY sampled_at
"""
_HISTORY: Final = """
SELECT day, step_s, figures FROM containers_usage_history
WHERE subject_id = %s AND day >= %s AND day <= %s ORDER BY day
"""
# A span that was chosen as "the last 24 hours" began a moment before the oldest sample that is kept.
_SLACK: Final = timedelta(minutes=30)


def container_series(container: Container, start: datetime, end: datetime) -> Series:
    """Figures of a container between two times (aware): `CONTAINER_COLUMNS` and their peaks.

    Gaps are None: the container did not run, or was not asked. At most some 1,500 points; two queries at most.
    """
    return _series(container.device_id, container.pk, CONTAINER_COLUMNS, start, end)


def device_series(device: Device, start: datetime, end: datetime) -> Series:
    """Figures of a host and the sums over its containers: `DEVICE_COLUMNS` and their peaks. As `container_series`."""
    return _series(device.pk, None, DEVICE_COLUMNS, start, end)


def _series(
    device_id: UUID, container_id: UUID | None, columns: Sequence[str], start: datetime, end: datetime
) -> Series:
    end = min(end, datetime.now(UTC) + timedelta(minutes=1))
    start = min(start, end)
    span_s = (end - start).total_seconds()
    if start >= datetime.now(UTC) - timedelta(hours=settings.SSM_STATISTICS_FINE_HOURS) - _SLACK:
        points = _samples(device_id, container_id, start, end)
        if len(points) <= MOST_POINTS:
            return plain_series(points, columns)
        return rolled_series(points, columns, start.timestamp(), end.timestamp(), step_for(span_s, 60))
    step_s = step_for(span_s, settings.SSM_STATISTICS_COARSE_MINUTES * 60)
    days, points = _history(container_id or device_id, columns, start, end)
    # What was not rolled up yet: today, and the hour after midnight yesterday too.
    rest = datetime.combine(days[-1] + timedelta(days=1), time(), UTC) if days else start
    if rest < end:
        points += _samples(device_id, container_id, max(start, rest), end)
    return rolled_series(points, columns, start.timestamp(), end.timestamp(), step_s)


def _samples(device_id: UUID, container_id: UUID | None, start: datetime, end: datetime) -> list[Point]:
    query = _DEVICE_SAMPLES if container_id is None else _CONTAINER_SAMPLES
    found = {"device": device_id, "subject": container_id, "start": start, "end": end, "bytes": _ROW_BYTES}
    width = len(DEVICE_COLUMNS if container_id is None else CONTAINER_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(query, found)
        return [(moment.timestamp(), _row(packed, width)) for moment, packed in cursor.fetchall()]


def _row(packed: bytes | None, width: int) -> list[float | None] | None:
    """The figures of one moment; None if there are none, or of another version with other columns."""
    if packed is None or len(packed) != width * BYTES_EACH:
        return None
    return unpack_row(bytes(packed))


def _history(
    subject_id: UUID, columns: Sequence[str], start: datetime, end: datetime
) -> tuple[list[date], list[Point]]:
    """The days that are rolled up, and their points."""
    days: list[date] = []
    points: list[Point] = []
    width = len(rolled_columns(columns))
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, [subject_id, start.astimezone(UTC).date(), end.astimezone(UTC).date()])
        for day, step_s, block in cursor.fetchall():
            days.append(day)
            try:
                unpacked = unpack_columns(bytes(block), width)
            except PackingError:
                continue  # of a version with other columns: a gap
            midnight = datetime.combine(day, time(), UTC).timestamp()
            points += [
                (midnight + number * step_s, list(row))
                for number, row in enumerate(zip(*unpacked, strict=True))
                if any(value is not None for value in row)
            ]
    return days, points
