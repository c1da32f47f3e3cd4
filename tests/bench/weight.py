"""What the statistics of busy containers weigh in PostgreSQL: a day as samples, and a week rolled up.

Their figures never rest, which is the worst case: what is always the same, or zero, takes next to nothing.
"""

import math
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from django.db import connection

from containers.rules.packing import pack_row
from containers.rules.series import DEVICE_COLUMNS
from containers.statistics import partitions, rollup
from containers.statistics.partitions import HISTORY, SAMPLES
from devices.models import Credential, Device

PER_DEVICE = 20
_NAME = "bench-weight-"
_DAYS = HISTORY.span.days
_HOURS = range(0, 24, int(SAMPLES.span.total_seconds() // 3600))


@dataclass(frozen=True, slots=True)
class Weight:
    """Bytes of one container with its share of everything, indexes included, and seconds to roll its day up."""

    sampled_day: float
    rolled_day: float
    roll_up_s: float


def weigh(count: int) -> Weight:
    """Write and roll up a day of ``count`` containers, repeat that for a week, measure, and remove it all again."""
    week = HISTORY.begin_of(datetime.now(UTC)) - HISTORY.span
    while week in partitions.begins(HISTORY):
        week -= HISTORY.span
    times = [week + timedelta(hours=hour) for hour in _HOURS]
    for moment in times:
        partitions.make(SAMPLES, moment)
    partitions.make(HISTORY, week)
    credential = Credential.objects.create(name=f"{_NAME}key", username="nobody", password="none")
    try:
        devices = [
            Device.objects.create(name=f"{_NAME}{number}", address="127.0.0.1", port=9, credential=credential)
            for number in range(count // PER_DEVICE)
        ]
        for device in devices:
            _write_day(device, [uuid4() for _ in range(PER_DEVICE)], week)
        sampled = sum(_size(SAMPLES.partition(moment)) for moment in times)
        began = time.monotonic()
        for device in devices:
            rollup.roll_up_device(device.pk, week.date())
        roll_up_s = time.monotonic() - began
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO containers_usage_history SELECT subject_id, day + later, step_s, figures"
                " FROM containers_usage_history, generate_series(1, %s) AS later WHERE day = %s",
                [_DAYS - 1, week.date()],
            )
        rolled = _size(HISTORY.partition(week))
    finally:
        for moment in times:
            partitions.drop(SAMPLES, moment)
        partitions.drop(HISTORY, week)
        Device.objects.filter(credential=credential).delete()
        credential.delete()
    made = len(devices) * PER_DEVICE
    return Weight(sampled / made, rolled / made / _DAYS, roll_up_s / made)


def _write_day(device: Device, ids: list[UUID], midnight: datetime) -> None:
    """One sample a minute."""
    walks = [_Walk(number) for number in range(len(ids))]
    host = pack_row([1e6 + place for place in range(len(DEVICE_COLUMNS))])
    rows = []
    for minute in range(24 * 60):
        figures = b"".join(pack_row(walk.next(minute)) for walk in walks)
        rows.append((device.pk, midnight + timedelta(minutes=minute, seconds=7), host, ids, figures))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO containers_usage_sample (device_id, sampled_at, host, containers, figures)"
            " VALUES (%s, %s, %s, %s, %s)",
            rows,
        )


class _Walk:
    """Figures that wander and jump, each minute others."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)  # noqa: S311 - not for secrets
        self._memory = self._random.uniform(2e7, 2e9)
        self._is_quiet_on_disk = number % 2 == 0

    def next(self, minute: int) -> list[float | None]:
        """One row of `CONTAINER_COLUMNS`."""
        chance = self._random
        day = 1 + math.sin(minute / 1440 * 2 * math.pi) * 0.6
        self._memory = max(1e6, self._memory * chance.uniform(0.99, 1.0102))
        disk = 0.0 if self._is_quiet_on_disk and chance.random() < 0.8 else chance.expovariate(1 / 40000)
        return [
            *(chance.lognormvariate(1, 0.5) * day, self._memory, 8 * 2.0**30),
            *(chance.expovariate(1 / 20000) * day, chance.expovariate(1 / 9000) * day),
            *(disk, disk * chance.random()),
            float(chance.randint(5, 9)),
        ]


def _size(table: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s::regclass)", [table])
        return float(cursor.fetchone()[0])
