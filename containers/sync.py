"""From what a host tells to rows: one transaction per device and change, and what changed is announced.

Older news never overwrites newer: a row carries the Engine's clock of what it shows (``observed_ns``). Snapshots
carry the clock read before the list was asked for, events their own time. A host's clock may be set back, though:
what is ahead of the news by more than any news can be late (``LATEST_NS``) was told by a clock that was wrong.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat, Greatest

from containers.image_sync import sweep_images
from containers.models import Container, Event, Operation
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
# No news is written longer after the clock was read: a sweep of a slow host with many containers, at most.
LATEST_NS: Final = 15 * 60 * 1_000_000_000
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
    "port_claims",
    "mounts",
    "networks",
    "inspect",
    "display_name",
    "display_icon",
    "compose_project",
    "compose_service",
    "label_warnings",
]
# What else a host holds, read after its containers; an engine that refuses one of them is asked for the rest.
_OTHERS: Final[dict[str, Callable[[Device, Engine], int]]] = {
    "images": sweep_images,
    "networks": sweep_networks,
    "volumes": sweep_volumes,
}
# Begins a name that no engine gives, for a container whose new name is not known yet.
_PASSING: Final = "renamed: "
_MARKS: Final = ("engine_id", "pk", "removed_at")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SAVED: Final = [*_COPIED, "environment", "observed_ns", "removed_at", "list_digest", "changed_at", "appeared_at"]


@dataclass(slots=True)
class Changes:
    """Ids of the containers that a write touched, by how; ``unread`` tells why some could not be inspected."""

    updated: list[str] = field(default_factory=list)
    appeared: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

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


def lock_inventory(device: Device) -> None:
    """Wait until no other transaction writes this device's containers; held until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [device.pk.int % 2**63 - 2**62])


def is_outdated(shown_ns: int, news_ns: int) -> bool:
    """Whether a row shows something newer than the news (both by the Engine's clock)."""
    return news_ns < shown_ns < news_ns + LATEST_NS


def _not_newer_than(observed_ns: int) -> Q:
    """The same as a condition: rows for which these are news."""
    return Q(observed_ns__lte=observed_ns) | Q(observed_ns__gte=observed_ns + LATEST_NS)


def _vanish(rows: QuerySet[Container], observed_ns: int, changes: Changes) -> None:
    """Mark rows of containers that a snapshot does not hold, except those that show something newer."""
    older = rows.filter(_not_newer_than(observed_ns), removed_at=None)
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
        self._facts_of: dict[str, ContainerFacts] = {}

    def place(self, facts: ContainerFacts, observed_ns: int, *, digest: str = "") -> str | None:
        """Find or make the row for these facts, by the rules of identity; its id, None if it shows newer news."""
        row = self._by_engine_id.get(facts.engine_id)
        if row is not None and is_outdated(row.observed_ns, observed_ns):
            return None
        old = self._predecessor(row, facts)
        if old is not None:
            self._merge(row, old)
            row = old
        appeared = row is None or row.removed_at is not None
        if row is None:
            row = Container(device=self.device)
        before = None if appeared else _visible(row)
        if appeared:
            row.appeared_at = now()
        for name in _COPIED:
            setattr(row, name, getattr(facts, name))
        setattr(row, "environment", json.dumps(facts.variables))  # noqa: B010 - its column has no type for mypy
        row.observed_ns = observed_ns
        row.removed_at = None
        row.list_digest = digest
        self._settle_name(row, facts)
        if before != _visible(row):
            row.changed_at = now()
            (self.changes.appeared if appeared else self.changes.updated).append(str(row.pk))
        self._by_engine_id[facts.engine_id] = row
        self._to_save[row.pk] = row
        return str(row.pk)

    def _settle_name(self, row: Container, facts: ContainerFacts) -> None:
        """Let the later one have a name that two were seen with: it was handed on between the two inspections."""
        other = self._facts_of.get(facts.name)
        if other is not None and (other.created_at or _EPOCH) > (facts.created_at or _EPOCH):
            row.name, row.list_digest = _PASSING + facts.engine_id, ""
            return
        if other is not None:
            loser = self._by_engine_id[other.engine_id]
            loser.name, loser.list_digest = _PASSING + other.engine_id, ""
        self._facts_of[facts.name] = facts

    def save(self) -> None:
        """Write all placed rows in one statement, after freeing the names that they take."""
        rows = list(self._to_save.values())
        if not rows:
            return
        # A host never has two containers of one name: whoever held it must have lost it, seen or not. Until the
        # holder's own news, in this save or the next, tells its new name, it has one that nobody else can hold.
        renamed = [row.pk for row in rows if self._stored_names.get(row.pk, row.name) != row.name]
        taken = Q(name__in=[row.name for row in rows]) & ~Q(pk__in=[row.pk for row in rows])
        Container.objects.filter(Q(pk__in=renamed) | taken, device=self.device, removed_at=None).update(
            name=Concat(Value(_PASSING), F("engine_id")), list_digest=""
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
        operations = Operation.objects.filter(container=row)
        if old.operations.active().exists():  # one at a time: the other one goes on without its container
            operations = operations.exclude(state__in=Operation.ACTIVE_STATES)
        operations.update(container=old)
        self.changes.vanished.append(str(row.pk))
        self._to_save.pop(row.pk, None)
        row.delete()


def _visible(row: Container) -> list[Any]:
    return [getattr(row, name) for name in _COPIED if name != "inspect"]


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
