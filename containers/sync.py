"""From what a host tells to rows: one transaction per device and change, and what changed is announced.

Snapshots carry the Engine's clock as read before the list was asked for, events their own time
(containers.inventory_rows).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Greatest

from containers.image_sync import sweep_images
from containers.inventory_rows import Changes, Inventory, lock_inventory, not_newer_than
from containers.models import Container
from containers.network_sync import sweep_networks
from containers.push import publish
from containers.rules.helpers import is_helper
from containers.rules.inspection import ContainerFacts, container_facts, is_engine_id, list_digest, time_ns
from containers.volume_sync import sweep_volumes
from devices.connections import Engine
from devices.errors import DeviceError, EngineNotFound, NotDocker
from devices.models import Device, now
from devices.work import SWEEP

# At once on the one SSH connection; the Engine and the pool allow more, others want some too.
INSPECTIONS_AT_ONCE: Final = 4
# Beyond what hosts can run; each is a row and a request.
MOST_CONTAINERS: Final = 20_000
# When the host failed on the way, whatever its schedule says.
SWEEP_AGAIN_AFTER: Final = timedelta(minutes=5)
# What else a host holds, read after its containers; an engine that refuses one of them is asked for the rest.
_OTHERS: Final[dict[str, Callable[[Device, Engine], int]]] = {
    "images": sweep_images,
    "networks": sweep_networks,
    "volumes": sweep_volumes,
}
_MARKS: Final = ("engine_id", "pk", "removed_at")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a host held at one moment. ``entries`` are list entries by engine id; ``clock_ns`` was read before."""

    clock_ns: int
    info: Mapping[str, Any]
    entries: dict[str, Mapping[str, Any]]


def take_snapshot(engine: Engine) -> Snapshot:
    """Ask the host for its clock and its containers: two requests. Raises DeviceError."""
    info, clock_ns = _read_clock(engine)
    listed = engine.get_json("/containers/json", {"all": "1"})
    if not isinstance(listed, list):
        # Not to be taken for an empty list: every row of the device would vanish.
        raise NotDocker(f"{engine.target.label}: the engine's list of containers is no list.")
    if len(listed) > MOST_CONTAINERS:
        raise NotDocker(
            f"{engine.target.label}: the engine lists {len(listed):,} containers, which no host has.",
            fix="Check that it is an engine, and yours; remove stopped containers if it is.",
        )
    entries: dict[str, Mapping[str, Any]] = {
        str(entry["Id"]): entry
        for entry in listed
        if isinstance(entry, dict) and is_engine_id(entry.get("Id")) and not is_helper(entry.get("Labels"))
    }
    return Snapshot(clock_ns=clock_ns, info=info, entries=entries)


def _read_clock(engine: Engine) -> tuple[Mapping[str, Any], int]:
    info = engine.get_json("/info")
    if not isinstance(info, dict):
        raise NotDocker(f"{engine.target.label}: the engine tells nothing about itself.")
    return info, time_ns(info.get("SystemTime")) or time.time_ns()


def inspect(engine: Engine, engine_id: str) -> ContainerFacts | None:
    """Facts of one container as they are now; None when the host has no such container. Raises DeviceError."""
    if not is_engine_id(engine_id):
        return None
    try:
        answer = engine.get_json(f"/containers/{engine_id}/json")
    except EngineNotFound:
        return None
    if not isinstance(answer, dict):
        raise NotDocker(f"{engine.target.label}: the engine's answer about a container is no object.")
    return container_facts(answer, engine_id=engine_id)


def _inspect_each(
    engine: Engine, engine_ids: Iterable[str]
) -> tuple[dict[str, ContainerFacts | None], dict[str, DeviceError]]:
    """What the host tells of several containers, and why it does not of others: one broken one must not hide all."""

    def look(engine_id: str) -> ContainerFacts | DeviceError | None:
        try:
            return inspect(engine, engine_id)
        except DeviceError as exc:
            if not exc.is_answer:
                raise
            return exc

    wanted = list(engine_ids)
    with ThreadPoolExecutor(INSPECTIONS_AT_ONCE, thread_name_prefix="inspect") as executor:
        answers = dict(zip(wanted, executor.map(look, wanted), strict=True))
    failed = {engine_id: answer for engine_id, answer in answers.items() if isinstance(answer, DeviceError)}
    found = {engine_id: answer for engine_id, answer in answers.items() if not isinstance(answer, DeviceError)}
    return found, failed


def sweep(device: Device, engine: Engine) -> Changes:
    """Bring all container rows of a device in line with its host; inspects only what is new or changed.

    Raises DeviceError when the host fails on the way; then nothing was written. A container that the engine refuses
    to inspect keeps its row as it is and is named in ``Changes.unread``.
    """
    snapshot = take_snapshot(engine)
    known = dict(Container.objects.filter(device=device, removed_at=None).values_list("engine_id", "list_digest"))
    digests = {engine_id: list_digest(entry) for engine_id, entry in snapshot.entries.items()}
    found, failed = _inspect_each(engine, [id_ for id_, digest in digests.items() if known.get(id_) != digest])
    present = {engine_id for engine_id in snapshot.entries if found.get(engine_id, True) is not None}
    changes = Changes(unread=[f"{engine_id[:12]}: {error.message}" for engine_id, error in failed.items()])
    with transaction.atomic(durable=True):
        lock_inventory(device)
        gone = Container.objects.filter(device=device).exclude(engine_id__in=present)
        _vanish(gone, snapshot.clock_ns, changes)
        inventory = Inventory(device, [facts for facts in found.values() if facts is not None], changes)
        for facts in inventory.facts:
            inventory.place(facts, snapshot.clock_ns, digest=digests[facts.engine_id])
        inventory.save()
        changes.publish(device)
    for what, sweep_others in _OTHERS.items():
        try:
            sweep_others(device, engine)
        except DeviceError as exc:
            if not exc.is_answer:
                raise
            changes.unread.append(f"{what}: {exc.message}")
    return changes


def apply_event(
    device: Device,
    engine_id: str,
    facts: ContainerFacts | None,
    observed_ns: int,
    also: Callable[[str | None], None],
    *,
    rivals: Mapping[str, ContainerFacts | None] | None = None,
) -> Changes:
    """Write one container as it was inspected after an event; ``facts`` None: the host has it no more.

    ``rivals`` are other containers that were looked at because they held its name (``look_at_rivals``). ``also`` is
    called with the row's id (None when there is no such row) inside the same transaction.
    """
    changes = Changes()
    looked_at = {engine_id: facts, **(rivals or {})}
    gone = [id_ for id_, seen in looked_at.items() if seen is None]
    with transaction.atomic(durable=True):
        lock_inventory(device)
        row_ids = dict.fromkeys(gone, "")
        if gone:
            row_ids = _remove(device, gone, observed_ns, changes)
        inventory = Inventory(device, [seen for seen in looked_at.values() if seen is not None], changes)
        # The rivals first, so that what they leave is there for the one that the event is about.
        for seen in reversed(inventory.facts):
            row_ids[seen.engine_id] = inventory.place(seen, observed_ns) or ""
        inventory.save()
        also(row_ids.get(engine_id) or _row_of(device, engine_id))
        changes.publish(device)
    return changes


def look_at_rivals(device: Device, engine: Engine, facts: ContainerFacts) -> dict[str, ContainerFacts | None]:
    """Facts of the containers whose rows hold the name of this one: they lost it, by a rename or their end.

    Their own events may be handled later, and a successor that is written before its predecessor's end is known
    would not be recognised as one. One query; a request for each (hardly ever one). Raises DeviceError.
    """
    holders = Container.objects.filter(device=device, name=facts.name, removed_at=None)
    rivals = list(holders.exclude(engine_id=facts.engine_id).values_list("engine_id", flat=True))
    return {engine_id: inspect(engine, engine_id) for engine_id in rivals}


def refresh(device: Device, engine: Engine, engine_id: str) -> ContainerFacts | None:
    """Inspect one container and write its row, without an event: after an act of ours. Raises DeviceError."""
    _info, clock_ns = _read_clock(engine)
    facts = inspect(engine, engine_id)
    rivals = look_at_rivals(device, engine, facts) if facts else {}
    apply_event(device, engine_id, facts, clock_ns, also=lambda _row: None, rivals=rivals)
    return facts


def _vanish(rows: QuerySet[Container], observed_ns: int, changes: Changes) -> None:
    """Mark rows of containers that a snapshot does not hold, except those that show something newer."""
    older = rows.filter(not_newer_than(observed_ns), removed_at=None)
    ids = [str(pk) for pk in older.values_list("pk", flat=True)]
    moment = now()
    Container.objects.filter(pk__in=ids).update(removed_at=moment, changed_at=moment, observed_ns=observed_ns)
    changes.vanished += ids


def _remove(device: Device, engine_ids: list[str], observed_ns: int, changes: Changes) -> dict[str, str]:
    """Mark the rows of containers that the host has no more, whatever they show; their ids by engine id.

    Those marked before get the later time too: a snapshot from between the two must not bring one back.
    """
    rows = Container.objects.filter(device=device, engine_id__in=engine_ids)
    moment = now()
    found = {engine_id: (str(pk), removed_at) for engine_id, pk, removed_at in rows.values_list(*_MARKS)}
    changes.vanished += [pk for pk, removed_at in found.values() if removed_at is None]
    rows.filter(removed_at=None).update(removed_at=moment, changed_at=moment)
    rows.update(observed_ns=Greatest("observed_ns", Value(observed_ns)))
    return {engine_id: pk for engine_id, (pk, _removed_at) in found.items()}


def _row_of(device: Device, engine_id: str) -> str | None:
    known = Container.objects.filter(device=device, engine_id=engine_id).values_list("pk", flat=True).first()
    return str(known) if known else None


def record_sweep(device: Device, *, started_at: datetime, error: str = "", is_complete: bool = True) -> None:
    """Note when a sweep ran, how long, and what stopped it or could not be read; plans the next one.

    A sweep that was asked for meanwhile stays due. ``is_complete`` False: the host was not read to the end.
    """
    moment = datetime.now(UTC)
    columns: dict[str, Any] = {"last_sweep_error": error}
    if is_complete:
        columns |= {
            "last_sweep_at": moment,
            "last_sweep_duration_ms": int((moment - started_at).total_seconds() * 1000),
        }
    rows = Device.objects.filter(pk=device.pk)
    rows.update(**columns)
    planned = SWEEP.plan(device, moment)
    rows.exclude(next_sweep_at__gt=started_at, next_sweep_at__lte=moment).update(
        next_sweep_at=planned if is_complete else min(planned, moment + SWEEP_AGAIN_AFTER)
    )
    publish("device", device.pk, [device.pk])
