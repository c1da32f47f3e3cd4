"""The volumes that a host holds, to rows: one list with each sweep, one volume after an event about it.

Their sizes cost the engine a walk over all their files, so it is asked for them seldom.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from containers.backups.helpers import find_helpers, inspect_volume, remove_helpers
from containers.models import Operation, Volume
from containers.push import publish
from containers.rules.volume_facts import VolumeFacts, volume_facts, volume_sizes
from devices.connections import Engine
from devices.errors import DeviceError, NotDocker
from devices.models import Device, now

logger = logging.getLogger(__name__)

CHANGING: Final = frozenset({"create", "destroy", "prune", "remove"})
# Walking over many files takes long; nobody waits for it.
_MEASURED_IN_S: Final = 120.0
_COPIED: Final = ["driver", "scope", "mountpoint", "created_at", "labels", "options", "is_anonymous"]


def sweep_volumes(device: Device, engine: Engine) -> int:
    """Bring all volume rows of a device in line with its host; how many were new. Raises DeviceError."""
    started_at = now()
    answer = engine.get_json("/volumes")
    listed = answer.get("Volumes") if isinstance(answer, dict) else None
    # Engines write null for no volumes; anything else is not to be taken for an empty list.
    if not isinstance(answer, dict) or not isinstance(listed, list | None):
        raise NotDocker(f"{engine.target.label}: the engine's list of volumes is no list.")
    facts = {found.name: found for found in map(volume_facts, listed or []) if found is not None}
    with transaction.atomic(durable=True):
        rows = {row.name: row for row in Volume.objects.select_for_update().filter(device=device)}
        # A row that was written after the list was asked for is news that the list does not have.
        gone = [row.pk for name, row in rows.items() if name not in facts and row.seen_at < started_at]
        Volume.objects.filter(pk__in=gone).delete()
        fresh, changed = _write(device, rows, list(facts.values()))
        publish("volume", device.pk, gone, what="vanished")
        publish("volume", device.pk, fresh, what="appeared")
        publish("volume", device.pk, changed)
    _remove_forgotten_helpers(engine)
    if _sizes_are_due(device):
        try:
            measure_volumes(device, engine)
        except DeviceError as exc:
            if not exc.is_answer:
                raise
            logger.info("sizes of volumes not told: %s", exc, extra={"device": str(device.pk)})
    return len(fresh)


def _write(device: Device, rows: dict[str, Volume], facts: list[VolumeFacts]) -> tuple[list[Any], list[Any]]:
    """Make what is new, change what differs; the ids of both."""
    moment = now()
    fresh, changed = [], []
    for item in facts:
        row = rows.get(item.name)
        values = {name: getattr(item, name) for name in _COPIED}
        if row is None:
            fresh.append(Volume(device=device, name=item.name, **values))
        elif any(getattr(row, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(row, name, value)
            row.changed_at = row.seen_at = moment
            changed.append(row)
    Volume.objects.bulk_create(fresh, ignore_conflicts=True)
    Volume.objects.bulk_update(changed, [*_COPIED, "changed_at", "seen_at"], batch_size=200)
    return [row.pk for row in fresh], [row.pk for row in changed]


def refresh_volume(device: Device, engine: Engine, name: str) -> Volume | None:
    """Look at one volume and write its row; None when the host has it no more. Raises DeviceError."""
    facts = volume_facts(inspect_volume(engine, name))
    with transaction.atomic(durable=True):
        rows = {row.name: row for row in Volume.objects.select_for_update().filter(device=device, name=name)}
        if facts is None:
            gone = [row.pk for row in rows.values()]
            Volume.objects.filter(pk__in=gone).delete()
            publish("volume", device.pk, gone, what="vanished")
            return None
        fresh, changed = _write(device, rows, [facts])
        publish("volume", device.pk, fresh, what="appeared")
        # Also when it is as it was: something was done with it, and that has ended.
        publish("volume", device.pk, changed or [row.pk for row in rows.values()])
    return Volume.objects.filter(device=device, name=name).first()


def apply_volume_event(device: Device, engine: Engine, action: str, name: str) -> None:
    """Bring a volume up to date after an event about it. Raises DeviceError."""
    if action == "prune":
        sweep_volumes(device, engine)
    elif action in CHANGING and name:
        refresh_volume(device, engine, name)


# ---- sizes


def _sizes_are_due(device: Device) -> bool:
    hours = settings.SSM_VOLUME_SIZES_HOURS
    if not hours:
        return False
    volumes = Volume.objects.filter(device=device)
    last = volumes.aggregate(last=Max("size_at"))["last"]
    return volumes.exists() and (last is None or last < datetime.now(UTC) - timedelta(hours=hours))


def measure_volumes(device: Device, engine: Engine) -> int:
    """Ask the engine for the sizes of its volumes and write them; how many it told. Raises DeviceError."""
    try:
        # Engines before API 1.42 know no kinds and count all that is on their disk.
        sizes = volume_sizes(engine.get_json("/system/df", {"type": "volume"}, timeout_s=_MEASURED_IN_S))
    finally:
        # Also when it failed: an engine for which it is too much is not asked with every sweep.
        Volume.objects.filter(device=device).update(size_at=now())
    with transaction.atomic(durable=True):
        rows = list(Volume.objects.select_for_update().filter(device=device))
        changed = [row for row in rows if row.size_bytes != sizes.get(row.name)]
        for row in changed:
            row.size_bytes = sizes.get(row.name)
        Volume.objects.bulk_update(changed, ["size_bytes"], batch_size=500)
        publish("volume", device.pk, [row.pk for row in changed])
    return len(sizes)


# ---- what was left behind


def _remove_forgotten_helpers(engine: Engine) -> None:
    """Remove helpers of operations that have ended, as their worker could not; those of others are let be."""
    for _engine_id, owner in find_helpers(engine):
        operation = Operation.objects.filter(pk=owner).only("state").first() if _is_uuid(owner) else None
        if operation is not None and operation.is_final:
            remove_helpers(engine, owner)


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4 and text.replace("-", "").isalnum()
