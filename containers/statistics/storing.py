"""What a device and its containers used at one moment → rows: the sample, and the latest figures. In bulk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from containers.models.statistics import RECENT_LENGTH
from containers.rules.packing import pack_row
from containers.rules.series import CONTAINER_COLUMNS, HOST_COLUMNS, totals
from containers.rules.statistics import USAGE_COLUMNS, Usage
from containers.statistics import partitions
from devices.models import Device


@dataclass(frozen=True, slots=True)
class HostFigures:
    """What a host uses, and how it is known; None for what is not available, ``reason`` then tells why."""

    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    load_1: float | None = None
    load_5: float | None = None
    load_15: float | None = None
    disk_used_bytes: int | None = None
    disk_total_bytes: int | None = None
    source: str = ""
    reason: str = ""

    def row(self) -> list[float | None]:
        """The figures in the order of `HOST_COLUMNS`."""
        return [getattr(self, name) for name in HOST_COLUMNS]


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a device. ``usages`` are of the containers that told something, by the id of their row."""

    sampled_at: datetime
    host: HostFigures = field(default_factory=HostFigures)
    usages: Mapping[UUID, Usage] = field(default_factory=dict)


_INSERT: Final = """
INSERT INTO containers_usage_sample (device_id, sampled_at, host, containers, figures) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (device_id, sampled_at) DO UPDATE
SET host = EXCLUDED.host, containers = EXCLUDED.containers, figures = EXCLUDED.figures
"""
_KINDS: Final = {
    name: "bigint" if name in ("memory_bytes", "memory_limit_bytes", "pids") else "float8" for name in USAGE_COLUMNS
}


def _shifted(column: str) -> str:
    """The list with the new value at its end, and as many before it as there is room for."""
    return f"(u.{column} || EXCLUDED.{column})[greatest(1, cardinality(u.{column}) + 2 - {RECENT_LENGTH}):]"


# Column names are constants of ours; values are parameters. A container that was deleted meanwhile is passed over.
_LATEST: Final = f"""
INSERT INTO containers_containerusage AS u
  (container_id, sampled_at, {", ".join(USAGE_COLUMNS)}, recent_cpu, recent_memory)
SELECT f.container_id, %s, {", ".join(f"f.{name}" for name in USAGE_COLUMNS)},
  ARRAY[f.cpu_percent], ARRAY[f.memory_bytes::float8]
FROM unnest(%s::uuid[], {", ".join(f"%s::{_KINDS[name]}[]" for name in USAGE_COLUMNS)})
  AS f(container_id, {", ".join(USAGE_COLUMNS)})
WHERE EXISTS (SELECT 1 FROM containers_container c WHERE c.id = f.container_id)
ON CONFLICT (container_id) DO UPDATE SET sampled_at = EXCLUDED.sampled_at,
  {", ".join(f"{name} = EXCLUDED.{name}" for name in USAGE_COLUMNS)},
  recent_cpu = {_shifted("recent_cpu")}, recent_memory = {_shifted("recent_memory")}
"""  # noqa: S608
# Those that told nothing: not available, and a gap in the small lines until these are gaps alone.
_GAPS: Final = f"""
UPDATE containers_containerusage u SET {", ".join(f"{name} = NULL" for name in USAGE_COLUMNS)},
  recent_cpu = (u.recent_cpu || NULL::float8)[greatest(1, cardinality(u.recent_cpu) + 2 - {RECENT_LENGTH}):],
  recent_memory = (u.recent_memory || NULL::float8)[greatest(1, cardinality(u.recent_memory) + 2 - {RECENT_LENGTH}):]
FROM containers_container c
WHERE c.id = u.container_id AND c.device_id = %s AND NOT (u.container_id = ANY(%s::uuid[]))
  AND (array_remove(u.recent_cpu, NULL) <> '{{}}' OR array_remove(u.recent_memory, NULL) <> '{{}}'
    OR u.memory_bytes IS NOT NULL OR u.pids IS NOT NULL)
"""  # noqa: S608
_HOST: Final = f"""
INSERT INTO containers_hostusage AS u (device_id, sampled_at, source, reason, {", ".join(HOST_COLUMNS)},
  recent_cpu, recent_memory, data_folder, refused_target)
SELECT d.id, %s, %s, %s, {", ".join("%s" for _ in HOST_COLUMNS)}, ARRAY[%s::float8], ARRAY[%s::float8], '', ''
FROM devices_device d WHERE d.id = %s
ON CONFLICT (device_id) DO UPDATE SET sampled_at = EXCLUDED.sampled_at, source = EXCLUDED.source,
  reason = EXCLUDED.reason, {", ".join(f"{name} = EXCLUDED.{name}" for name in HOST_COLUMNS)},
  recent_cpu = {_shifted("recent_cpu")}, recent_memory = {_shifted("recent_memory")}
"""  # noqa: S608


def store(device: Device, sample: Sample) -> None:
    """Write one sample and the latest figures it gives, in one transaction and four statements.

    One writer per device at a time. A missing partition is made.
    """
    try:
        with transaction.atomic():
            _write(device, sample)
    except IntegrityError as exc:
        if not partitions.is_missing(exc):
            raise
        # The scheduler did not run for days.
        partitions.make(partitions.SAMPLES, sample.sampled_at)
        with transaction.atomic():
            _write(device, sample)


def _write(device: Device, sample: Sample) -> None:
    ids = list(sample.usages)
    usages = list(sample.usages.values())
    columns = [[getattr(usage, name) for usage in usages] for name in USAGE_COLUMNS]
    packed = b"".join(pack_row(getattr(usage, name) for name in CONTAINER_COLUMNS) for usage in usages)
    host = sample.host
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [device.pk, sample.sampled_at, pack_row([*host.row(), *totals(usages)]), ids, packed])
        if ids:
            cursor.execute(_LATEST, [sample.sampled_at, ids, *columns])
        cursor.execute(_GAPS, [device.pk, ids])
        cursor.execute(
            _HOST,
            [
                *(sample.sampled_at, host.source, host.reason, *host.row()),
                *(host.cpu_percent, host.memory_used_bytes, device.pk),
            ],
        )
