"""The rows of a device's containers: which is whose, and what becomes of them; older news never overwrites newer.

A row carries the Engine's clock of what it shows (``observed_ns``). A host's clock may be set back, though: what is
ahead of the news by more than any news can be late (``LATEST_NS``) was told by a clock that was wrong.
"""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection
from django.db.models import F, Q, Value
from django.db.models.functions import Concat

from containers.models import Container, Event, Operation
from containers.push import publish
from containers.rules.inspection import ContainerFacts
from devices.models import Device, now

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
# Begins a name that no engine gives, for a container whose new name is not known yet.
_PASSING: Final = "renamed: "
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


def lock_inventory(device: Device) -> None:
    """Wait until no other transaction writes this device's containers; held until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [device.pk.int % 2**63 - 2**62])


def is_outdated(shown_ns: int, news_ns: int) -> bool:
    """Whether a row shows something newer than the news (both by the Engine's clock)."""
    return news_ns < shown_ns < news_ns + LATEST_NS


def not_newer_than(observed_ns: int) -> Q:
    """The same as a condition: rows for which these are news."""
    return Q(observed_ns__lte=observed_ns) | Q(observed_ns__gte=observed_ns + LATEST_NS)


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
