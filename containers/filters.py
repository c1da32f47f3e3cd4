"""The filters of the fleet table and of the Activity page, as their addresses hold them."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from django.db.models import Count, F, Q, Value
from django.db.models.functions import Lower
from django.http import QueryDict

from containers.models import Operation
from containers.querysets import FAILED, LOOPING, UNHEALTHY, ContainerQuerySet, EventQuerySet, OperationQuerySet
from containers.rules.sentences import CLASSES, Severity
from devices.models import Device, now
from ssm.lib.tables import Chip, Choice, chips, choice_of, order_by, sort_of, text_of

# The lists of devices, projects and people above a table end here; the search field reaches the rest.
LONGEST_LIST: Final = 200

STATES: Final = (
    Choice("attention", "Needs attention"),
    Choice("running", "Running"),
    Choice("restarting", "Restarting or in a loop"),
    Choice("paused", "Paused"),
    Choice("failed", "Exited with an error"),
    Choice("exited", "Exited"),
    Choice("dead", "Dead"),
    Choice("created", "Created"),
)
HEALTHS: Final = (
    Choice("healthy", "Healthy"),
    Choice("unhealthy", "Unhealthy"),
    Choice("starting", "Starting"),
    Choice("none", "No health check"),
)
GROUPINGS: Final = (Choice("device", "By device"), Choice("project", "By project"))
_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "device__name"),
    "state": ("state", "health", "name", "device__name"),
    "device": ("device__name", "name"),
    "project": ("compose_project", "name", "device__name"),
    "since": ("-started_at", "name", "device__name"),
    "cpu": ("name", "device__name"),
    "memory": ("name", "device__name"),
}
_RANKS: Final = {"cpu": F("usage__cpu_percent"), "memory": F("usage__memory_bytes")}


def id_of(query: QueryDict, name: str) -> str:
    """A parameter if it is a UUID, else nothing."""
    try:
        return str(uuid.UUID(query.get(name, "")))
    except ValueError:
        return ""


def _words(choices: tuple[Choice, ...], value: str) -> str:
    return next((choice.text for choice in choices if choice.value == value), "")


@dataclass(frozen=True, slots=True)
class FleetFilter:
    """What the fleet table shows; empty fields filter nothing. ``device`` is an id, ``group`` a label of devices."""

    q: str
    state: str
    health: str
    device: str
    group: str
    project: str
    by: str
    sort: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            state=choice_of(query, "state", (choice.value for choice in STATES)),
            health=choice_of(query, "health", (choice.value for choice in HEALTHS)),
            device=id_of(query, "device"),
            group=text_of(query, "group"),
            project=text_of(query, "project"),
            by=choice_of(query, "by", (choice.value for choice in GROUPINGS)),
            sort=sort_of(query, _SORTS, "name"),
        )

    def select(self, containers: ContainerQuerySet) -> ContainerQuerySet:
        """The containers that pass, unsorted."""
        if self.q:
            # Devices apart: a thousand names are compared then, and not one for each container.
            devices = Device.objects.filter(name__icontains=self.q).values("pk")
            found = Q(search_text__contains=Lower(Value(self.q))) | Q(device__in=devices)
            found |= Q(engine_id__startswith=self.q.lower())
            containers = containers.filter(found)
        if self.state == "attention":
            containers = containers.needing_action()
        elif self.state == "failed":
            containers = containers.filter(FAILED)
        elif self.state == "restarting":
            containers = containers.filter(LOOPING | Q(state="restarting"))
        elif self.state:
            containers = containers.filter(state=self.state)
        if self.health == "unhealthy":
            containers = containers.filter(UNHEALTHY)
        elif self.health:
            containers = containers.filter(state="running", health=self.health)
        if self.device:
            containers = containers.filter(device__pk=self.device)
        if self.group:
            containers = containers.filter(device__groups__contains=[self.group])
        if self.project:
            containers = containers.filter(compose_project=self.project)
        return containers

    def order(self, containers: ContainerQuerySet) -> ContainerQuerySet:
        """Sorted, groups first; the id last, so that equal rows never swap pages."""
        first = {"device": ["device__name", "device"], "project": ["compose_project"]}.get(self.by, [])
        return containers.order_by(*first, *order_by(self.sort, _SORTS, _RANKS), "pk")

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        active = [
            ("q", "Search", self.q),
            ("state", "State", _words(STATES, self.state)),
            ("health", "Health", _words(HEALTHS, self.health)),
            ("device", "Device", device_name if self.device else ""),
            ("group", "Group", self.group),
            ("project", "Project", self.project),
        ]
        return chips(query, active)


@dataclass(frozen=True, slots=True)
class GroupCount:
    """How many of a group's containers are known to run now, of how many."""

    running: int
    total: int


def group_counts(containers: ContainerQuerySet, by: str, keys: set[str]) -> dict[str, GroupCount]:
    """Counts of the groups with these keys (device ids or project names) among the given containers. One query."""
    column = "device" if by == "device" else "compose_project"
    rows = (
        containers.filter(**{f"{column}__in": keys})
        .order_by()
        .values_list(column)
        .annotate(running=Count("pk", filter=Q(state="running", device__state="online")), total=Count("pk"))
    )
    return {str(key): GroupCount(running, total) for key, running, total in rows}


OPERATION_STATES: Final = (
    Choice("active", "Under way"),
    Choice("succeeded", "Done"),
    Choice("failed", "Failed or lost"),
    Choice("cancelled", "Cancelled"),
)
OPERATION_KINDS: Final = tuple(Choice(kind.value, kind.label.capitalize()) for kind in Operation.Kind)
RECENT: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """What the Activity page shows; empty fields filter nothing."""

    q: str
    state: str
    kind: str
    device: str
    person: str
    operation: str
    since: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            state=choice_of(query, "state", (choice.value for choice in OPERATION_STATES)),
            kind=choice_of(query, "kind", Operation.Kind.values),
            device=id_of(query, "device"),
            person=text_of(query, "person"),
            operation=id_of(query, "operation"),
            since=choice_of(query, "since", ["day"]),
        )

    def select(self, operations: OperationQuerySet) -> OperationQuerySet:
        """The operations that pass, newest first."""
        if self.q:
            operations = operations.filter(Q(target_name__icontains=self.q) | Q(device_name__icontains=self.q))
        if self.state == "active":
            operations = operations.active()
        elif self.state == "failed":
            operations = operations.filter(state__in=["failed", "lost"])
        elif self.state:
            operations = operations.filter(state=self.state)
        if self.kind:
            operations = operations.filter(kind=self.kind)
        if self.device:
            operations = operations.filter(device__pk=self.device)
        if self.person:
            operations = operations.filter(requested_by_name=self.person)
        if self.operation:
            operations = operations.filter(pk=self.operation)
        if self.since:
            operations = operations.filter(created_at__gte=now() - RECENT)
        return operations.order_by("-created_at", "-pk")

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        active = [
            ("q", "Search", self.q),
            ("state", "State", _words(OPERATION_STATES, self.state)),
            ("kind", "Act", _words(OPERATION_KINDS, self.kind)),
            ("device", "Device", device_name if self.device else ""),
            ("person", "By", self.person),
            ("operation", "Operation", self.operation[:8]),
            ("since", "Since", "the last 24 hours" if self.since else ""),
        ]
        return chips(query, active)


EVENT_KINDS: Final = tuple(
    Choice(kind, kind.capitalize())
    for kind in ("container", "image", "volume", "network", "daemon", "builder", "plugin")
)
EVENT_CLASSES: Final = (
    Choice("started", "Started"),
    Choice("ended", "Ended"),
    Choice("health", "Health"),
    Choice("made", "Made or fetched"),
    Choice("removed", "Removed"),
    Choice("changed", "Changed"),
)
EVENT_SEVERITIES: Final = (Choice("bad", "Failures"), Choice("good", "Good news and failures"))
_LOWEST: Final = {"bad": Severity.BAD, "good": Severity.GOOD}


def time_of(query: QueryDict, name: str) -> datetime | None:
    """A parameter as a time: ISO 8601, in UTC unless it says otherwise; None for anything else."""
    try:
        value = datetime.fromisoformat(query.get(name, "").strip()[:40])
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What the Events page shows; empty fields filter nothing. ``device`` and ``container`` are ids."""

    q: str
    kind: str
    act: str
    severity: str
    device: str
    container: str
    since: datetime | None
    until: datetime | None

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            kind=choice_of(query, "kind", (choice.value for choice in EVENT_KINDS)),
            act=choice_of(query, "act", (choice.value for choice in EVENT_CLASSES)),
            severity=choice_of(query, "severity", _LOWEST),
            device=id_of(query, "device"),
            container=id_of(query, "container"),
            since=time_of(query, "since"),
            until=time_of(query, "until"),
        )

    @property
    def since_text(self) -> str:
        """As the field of the form holds it, in UTC."""
        return f"{self.since:%Y-%m-%dT%H:%M}" if self.since else ""

    @property
    def until_text(self) -> str:
        """As the field of the form holds it, in UTC."""
        return f"{self.until:%Y-%m-%dT%H:%M}" if self.until else ""

    def select(self, events: EventQuerySet) -> EventQuerySet:
        """The events that pass, unsorted."""
        if self.q:
            found = Q(actor_name__icontains=self.q) | Q(action__icontains=self.q) | Q(device__name__icontains=self.q)
            events = events.filter(found | Q(actor_id__startswith=self.q.lower()))
        if self.kind:
            events = events.filter(kind=self.kind)
        if self.act:
            words = CLASSES[self.act]
            # Health is told with its outcome behind a colon.
            told = Q(action__in=words) | Q(action__startswith="health_status") if self.act == "health" else None
            events = events.filter(told or Q(action__in=words))
        if self.severity:
            events = events.filter(severity__gte=_LOWEST[self.severity])
        if self.device:
            events = events.filter(device__pk=self.device)
        if self.container:
            events = events.filter(container__pk=self.container)
        if self.since:
            events = events.filter(time_ns__gte=int(self.since.timestamp()) * 1_000_000_000)
        if self.until:
            events = events.filter(time_ns__lte=int(self.until.timestamp()) * 1_000_000_000)
        return events

    def chips(self, query: QueryDict, device_name: str, container_name: str) -> list[Chip]:
        """The active filters, each removable."""
        active = [
            ("q", "Search", self.q),
            ("kind", "About", _words(EVENT_KINDS, self.kind)),
            ("act", "What", _words(EVENT_CLASSES, self.act)),
            ("severity", "Only", _words(EVENT_SEVERITIES, self.severity)),
            ("device", "Device", device_name if self.device else ""),
            ("container", "Container", container_name if self.container else ""),
            ("since", "Since", f"{self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""),
            ("until", "Until", f"{self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""),
        ]
        return chips(query, active)
