"""From what a host tells to rows: one transaction per device and change, and what changed is announced.

Older news never overwrites newer: a row carries the Engine's clock of what it shows (``observed_ns``). Snapshots
carry the clock read before the list was asked for, events their own time.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from containers.models import Container, Event, Operation
from containers.push import publish
from containers.rules.inspection import ContainerFacts, container_facts, list_digest, time_ns
from devices.connections import Engine
from devices.errors import EngineNotFound
from devices.models import Device, now

# At once on the one SSH connection; the Engine and the pool allow more, others want some too.
INSPECTIONS_AT_ONCE: Final = 4
_COPIED: Final = [
    "engine_id",
    "name",
    "image_reference",
    "image_id",
    "registry",
    "repository",
    "tag",
    "digest",
    "state",
    "health",
    "exit_code",
    "oom_killed",
    "restart_count",
    "restart_policy",
    "error",
    "created_at",
    "started_at",
    "finished_at",
    "command",
    "labels",
    "ports",
    "mounts",
    "networks",
    "inspect",
    "display_name",
    "display_icon",
    "compose_project",
    "compose_service",
]
_SAVED: Final = [*_COPIED, "environment", "observed_ns", "removed_at", "list_digest", "changed_at"]


@dataclass(slots=True)
class Changes:
    """Ids of the containers that a write touched, by how."""

    updated: list[str] = field(default_factory=list)
    appeared: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)

    def publish(self, device: Device) -> None:
        """Announce them, after the commit."""
        publish("container", device.pk, self.updated)
        publish("container", device.pk, self.appeared, what="appeared")
        publish("container", device.pk, self.vanished, what="vanished")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a host held at one moment. ``entries`` are list entries by engine id; ``clock_ns`` was read before."""

    clock_ns: int
    info: Mapping[str, Any]
    entries: dict[str, Mapping[str, Any]]


def take_snapshot(engine: Engine) -> Snapshot:
    """Ask the host for its clock and its containers: two requests. Raises DeviceError."""
    info = engine.get_json("/info")
    clock_ns = time_ns(info.get("SystemTime")) or 0
    listed = engine.get_json("/containers/json", {"all": "1"})
    entries = {str(entry["Id"]): entry for entry in listed if isinstance(entry, dict) and entry.get("Id")}
    return Snapshot(clock_ns=clock_ns, info=info, entries=entries)


def inspect(engine: Engine, engine_id: str) -> ContainerFacts | None:
    """Facts of one container as they are now; None when the host has no such container. Raises DeviceError."""
    try:
        return container_facts(engine.get_json(f"/containers/{engine_id}/json"))
    except EngineNotFound:
        return None


def sweep(device: Device, engine: Engine) -> Changes:
    """Bring all container rows of a device in line with its host; inspects only what is new or changed.

    Raises DeviceError when the host fails on the way; then nothing was written.
    """
    snapshot = take_snapshot(engine)
    known = dict(Container.objects.filter(device=device, removed_at=None).values_list("engine_id", "list_digest"))
    digests = {engine_id: list_digest(entry) for engine_id, entry in snapshot.entries.items()}
    wanted = [engine_id for engine_id, digest in digests.items() if known.get(engine_id) != digest]
    with ThreadPoolExecutor(INSPECTIONS_AT_ONCE, thread_name_prefix="inspect") as executor:
        found = dict(zip(wanted, executor.map(lambda engine_id: inspect(engine, engine_id), wanted), strict=True))
    present = {engine_id for engine_id in snapshot.entries if found.get(engine_id, True) is not None}
    changes = Changes()
    with transaction.atomic(durable=True):
        lock_inventory(device)
        gone = Container.objects.filter(device=device).exclude(engine_id__in=present)
        _vanish(gone, snapshot.clock_ns, changes)
        inventory = Inventory(device, [facts for facts in found.values() if facts is not None], changes)
        for facts in inventory.facts:
            inventory.place(facts, snapshot.clock_ns, digest=digests[facts.engine_id])
        inventory.save()
        changes.publish(device)
    return changes


def apply_event(
    device: Device, engine_id: str, facts: ContainerFacts | None, observed_ns: int, also: Callable[[str | None], None]
) -> Changes:
    """Write one container as it was inspected after an event; ``facts`` None: the host has it no more.

    ``also`` is called with the row's id (None when there is no such row) inside the same transaction.
    """
    changes = Changes()
    with transaction.atomic(durable=True):
        lock_inventory(device)
        if facts is None:
            gone = _vanish(Container.objects.filter(device=device, engine_id=engine_id), observed_ns, changes)
            row_id = gone[0] if gone else None
        else:
            inventory = Inventory(device, [facts], changes)
            row_id = inventory.place(facts, observed_ns)
            inventory.save()
        if row_id is None:
            known = Container.objects.filter(device=device, engine_id=engine_id).values_list("pk", flat=True).first()
            row_id = str(known) if known else None
        also(row_id)
        changes.publish(device)
    return changes


def refresh(device: Device, engine: Engine, engine_id: str) -> ContainerFacts | None:
    """Inspect one container and write its row, without an event: after an act of ours. Raises DeviceError."""
    facts = inspect(engine, engine_id)
    if facts is not None:
        apply_event(device, engine_id, facts, facts.latest_ns, also=lambda _row: None)
    else:
        last = Container.objects.filter(device=device, engine_id=engine_id).values_list("observed_ns", flat=True)
        apply_event(device, engine_id, None, last.first() or 0, also=lambda _row: None)
    return facts


def lock_inventory(device: Device) -> None:
    """Wait until no other transaction writes this device's containers; held until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [device.pk.int % 2**63 - 2**62])


def _vanish(rows: QuerySet[Container], observed_ns: int, changes: Changes) -> list[str]:
    older = rows.filter(removed_at=None, observed_ns__lte=observed_ns)
    ids = [str(pk) for pk in older.values_list("pk", flat=True)]
    moment = now()
    Container.objects.filter(pk__in=ids).update(removed_at=moment, changed_at=moment, observed_ns=observed_ns)
    changes.vanished += ids
    return ids


class Inventory:
    """The rows of one device that some facts may concern, and what becomes of them. Inside a locked transaction."""

    def __init__(self, device: Device, facts: list[ContainerFacts], changes: Changes) -> None:
        """Load the candidates in one query: rows of the same engine ids or names, the removed ones included."""
        self.device = device
        self.facts = facts
        self.changes = changes
        ids, names = [fact.engine_id for fact in facts], [fact.name for fact in facts]
        rows = Container.objects.filter(Q(engine_id__in=ids) | Q(name__in=names), device=device)
        self._by_engine_id = {row.engine_id: row for row in rows.defer("inspect", "environment")}
        self._stored_names = {row.pk: row.name for row in self._by_engine_id.values()}
        self._to_save: dict[uuid.UUID, Container] = {}

    def place(self, facts: ContainerFacts, observed_ns: int, *, digest: str = "") -> str | None:
        """Find or make the row for these facts, by the rules of identity; its id, None if it shows newer news."""
        row = self._by_engine_id.get(facts.engine_id)
        if row is not None and row.observed_ns > observed_ns:
            return None
        old = self._predecessor(row, facts)
        if old is not None:
            self._merge(row, old)
            row = old
        appeared = row is None or row.removed_at is not None
        if row is None:
            row = Container(device=self.device)
        before = None if appeared else _visible(row)
        for name in _COPIED:
            setattr(row, name, getattr(facts, name))
        row.environment = json.dumps(facts.variables)
        row.observed_ns = observed_ns
        row.removed_at = None
        row.list_digest = digest
        if before != _visible(row):
            row.changed_at = now()
            (self.changes.appeared if appeared else self.changes.updated).append(str(row.pk))
        self._by_engine_id[facts.engine_id] = row
        self._to_save[row.pk] = row
        return str(row.pk)

    def save(self) -> None:
        """Write all placed rows in one statement, after freeing the names that they take."""
        rows = list(self._to_save.values())
        if not rows:
            return
        # A host never has two containers of one name: whoever held it must have lost it, seen or not. An engine
        # id is a name nobody else can hold; the holder's own news, in this save or the next, tells the right one.
        renamed = [row.pk for row in rows if self._stored_names.get(row.pk, row.name) != row.name]
        taken = Q(name__in=[row.name for row in rows]) & ~Q(pk__in=[row.pk for row in rows])
        Container.objects.filter(Q(pk__in=renamed) | taken, device=self.device, removed_at=None).update(
            name=F("engine_id"), list_digest=""
        )
        Container.objects.bulk_create(
            rows, batch_size=200, update_conflicts=True, unique_fields=["id"], update_fields=_SAVED
        )

    def _predecessor(self, row: Container | None, facts: ContainerFacts) -> Container | None:
        """The removed row whose history this container continues, because it took over its name.

        Compose creates a successor under a passing name, removes the old one and renames: so a row that gets a
        new name may also turn out to continue an old one of the same compose service.
        """
        named = [
            other
            for other in self._by_engine_id.values()
            if other.name == facts.name and other.removed_at is not None and other is not row
        ]
        old = max(named, key=lambda other: other.observed_ns, default=None)
        if old is None or row is None:
            return old
        service = (facts.compose_project, facts.compose_service)
        continues = row.name != facts.name and service == (old.compose_project, old.compose_service)
        return old if continues and facts.compose_service and row.removed_at is None else None

    def _merge(self, row: Container | None, old: Container) -> None:
        """Make ``old`` the row of this container; ``row``, if any, hands over its history and goes."""
        self._by_engine_id.pop(old.engine_id, None)
        if row is None:
            return
        Event.objects.filter(container=row).update(container=old)
        Operation.objects.filter(container=row).update(container=old)
        self.changes.vanished.append(str(row.pk))
        self._to_save.pop(row.pk, None)
        row.delete()


def _visible(row: Container) -> list[Any]:
    return [getattr(row, name) for name in _COPIED if name != "inspect"]


def record_sweep(device: Device, *, started_at: datetime, error: str = "") -> None:
    """Note when a sweep ran, how long, and what stopped it."""
    moment = datetime.now(UTC)
    columns: dict[str, Any] = {"last_sweep_error": error}
    if not error:
        columns |= {
            "last_sweep_at": moment,
            "last_sweep_duration_ms": int((moment - started_at).total_seconds() * 1000),
        }
    Device.objects.filter(pk=device.pk).update(**columns)
    publish("device", device.pk, [device.pk])
