"""Compose projects, as the labels of containers tell them: a project is a name on one device.

Nothing of it is stored: containers carry the project, the service, and what the service waits for.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import quote

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet
from django.http import QueryDict
from django.urls import reverse

from containers.filters import LONGEST_LIST, id_of
from containers.models import Container, Network, Volume
from containers.querysets import NEEDING_ACTION
from containers.rules.waves import Member, waits_for, waves
from devices.models import Device, now
from ssm.lib.roles import SomeUser
from ssm.lib.tables import Chip, Choice, chips, choice_of, order_by, sort_of, text_of

STATES: Final = (
    Choice("attention", "Needs attention"),
    Choice("running", "All running"),
    Choice("partly", "Partly running"),
    Choice("stopped", "Stopped"),
)
# Asked for at once, at most.
MOST_PROJECTS: Final = 200
_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("compose_project", "device__name"),
    "device": ("device__name", "compose_project"),
    "running": ("compose_project", "device__name"),
    "containers": ("compose_project", "device__name"),
    "changed": ("compose_project", "device__name"),
}
_RANKS: Final = {"containers": F("total"), "running": F("running"), "changed": F("changed")}
_LABEL: Final = "com.docker.compose."
_CONFIG_FILES: Final = "com.docker.compose.project.config_files"
_DIRECTORY: Final = "com.docker.compose.project.working_dir"


@dataclass(frozen=True, slots=True)
class Project:
    """A project with what its row shows; ``running`` counts only what is known to run now."""

    device_id: uuid.UUID
    device_name: str
    is_online: bool
    name: str
    total: int
    running: int
    needing: int
    services: int
    updates: int
    changed: datetime

    @property
    def key(self) -> str:
        """What stands for it in forms."""
        return f"{self.device_id}:{self.name}"

    @property
    def url(self) -> str:
        """Its page."""
        return project_url(self.device_id, self.name)

    @property
    def state(self) -> str:
        """In one word: running, partly, stopped, or stale while its device is out of reach."""
        if not self.is_online:
            return "stale"
        if self.running == self.total:
            return "running"
        return "partly" if self.running else "stopped"


def project_url(device_id: Any, name: str) -> str:
    """The page of a project. The name goes into the query: a label may hold anything."""
    return f"{reverse('projects:detail', args=[device_id])}?name={quote(name, safe='')}"


@dataclass(frozen=True, slots=True)
class ProjectFilter:
    """What the list of projects shows; empty fields filter nothing. ``device`` is an id."""

    q: str
    state: str
    device: str
    sort: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            state=choice_of(query, "state", (choice.value for choice in STATES)),
            device=id_of(query, "device"),
            sort=sort_of(query, _SORTS, "name"),
        )

    def select(self, user: SomeUser) -> QuerySet[Any, Any]:
        """The projects that pass, sorted, as rows of values."""
        containers = Container.objects.visible_to(user).present().exclude(compose_project="")
        if self.device:
            containers = containers.filter(device__pk=self.device)
        if self.q:
            # A project is found by any of its services, and shown whole.
            found = containers.filter(
                Q(compose_project__icontains=self.q)
                | Q(compose_service__icontains=self.q)
                | Q(device__name__icontains=self.q)
            )
            same = found.filter(device=OuterRef("device"), compose_project=OuterRef("compose_project"))
            containers = containers.filter(Exists(same.order_by()))
        offered = Q(update__state="update_available")
        offered &= Q(update__snoozed_until=None) | Q(update__snoozed_until__lte=now())
        rows = (
            containers.order_by()
            .values("device_id", "device__name", "device__state", "compose_project")
            .annotate(
                total=Count("pk"),
                running=Count("pk", filter=Q(state="running", device__state=Device.State.ONLINE)),
                needing=Count("pk", filter=NEEDING_ACTION),
                services=Count("compose_service", distinct=True),
                updates=Count("pk", filter=offered),
                changed=Max("changed_at"),
            )
        )
        if self.state == "attention":
            rows = rows.filter(needing__gt=0)
        elif self.state == "running":
            rows = rows.filter(running=F("total"))
        elif self.state == "partly":
            rows = rows.filter(running__gt=0, running__lt=F("total"))
        elif self.state == "stopped":
            rows = rows.filter(running=0)
        return rows.order_by(*order_by(self.sort, _SORTS, _RANKS), "device_id", "compose_project")

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        word = next((choice.text for choice in STATES if choice.value == self.state), "")
        active = [
            ("q", "Search", self.q),
            ("state", "State", word),
            ("device", "Device", device_name if self.device else ""),
        ]
        return chips(query, active)


def project_of(row: Mapping[str, Any]) -> Project:
    """From a row of `ProjectFilter.select`."""
    return Project(
        device_id=row["device_id"],
        device_name=row["device__name"],
        is_online=row["device__state"] == Device.State.ONLINE,
        name=row["compose_project"],
        total=row["total"],
        running=row["running"],
        needing=row["needing"],
        services=row["services"],
        updates=row["updates"],
        changed=row["changed"],
    )


def devices_with_projects(user: SomeUser) -> list[Choice]:
    """Devices that have a project, to filter by. One query."""
    rows = Container.objects.visible_to(user).present().exclude(compose_project="").order_by("device__name")
    found = rows.values_list("device_id", "device__name").distinct()[:LONGEST_LIST]
    return [Choice(str(pk), name) for pk, name in found]


def in_projects(keys: Iterable[str]) -> Q:
    """Containers of the projects with these keys (`Project.key`)."""
    pairs = []
    for key in list(keys)[:MOST_PROJECTS]:
        device, _colon, name = key.partition(":")
        try:
            pairs.append((uuid.UUID(device), name))
        except ValueError:
            continue  # not one of our boxes
    return _one_of(pairs)


def _one_of(pairs: Iterable[tuple[Any, str]]) -> Q:
    found = Q(pk__in=())
    for device_id, name in pairs:
        if name:
            found |= Q(device_id=device_id, compose_project=name)
    return found


def keys_of(user: SomeUser, query: QueryDict) -> list[str]:
    """Keys of all projects that pass the filters of an address, up to `MOST_PROJECTS`. One query."""
    rows = ProjectFilter.read(query).select(user)[:MOST_PROJECTS]
    return [project_of(row).key for row in rows]


@dataclass(frozen=True, slots=True)
class Service:
    """A service with its containers; ``waits_for`` are services of the same project that it starts after."""

    name: str
    containers: tuple[Container, ...]
    waits_for: tuple[str, ...]
    running: int

    @property
    def total(self) -> int:
        """How many containers it has."""
        return len(self.containers)


def services_of(containers: Iterable[Container]) -> list[Service]:
    """The services of one project (``device`` loaded) in the order in which they start, then by name."""
    groups: dict[str, list[Container]] = {}
    for container in containers:
        groups.setdefault(container.compose_service, []).append(container)
    members = [
        Member(name, "", "project", name, frozenset().union(*(waits_for(row.labels) for row in rows)))
        for name, rows in groups.items()
        if name
    ]
    order = waves(members, "start")
    waits = {member.service: member.waits_for for member in members}
    names = sorted(groups, key=lambda name: (order.get(name, 0), name == "", name))
    return [
        Service(
            name=name,
            containers=tuple(sorted(groups[name], key=lambda row: row.name)),
            waits_for=tuple(sorted(waits.get(name, frozenset()) & groups.keys() - {name})),
            running=sum(row.state == "running" and row.device.is_online for row in groups[name]),
        )
        for name in names
    ]


def files_of(containers: Iterable[Container]) -> tuple[str, list[str]]:
    """The directory that compose ran in, and its files, as the first container tells them."""
    for container in containers:
        directory = str(container.labels.get(_DIRECTORY) or "")
        files = [part for part in str(container.labels.get(_CONFIG_FILES) or "").split(",") if part]
        if directory or files:
            return directory, files[:20]
    return "", []


def networks_of(
    user: SomeUser, device: Device, name: str, containers: Iterable[Container]
) -> list[tuple[Network, int]]:
    """Networks that compose made for it and others that its containers are on, with how many are. One query."""
    used = Counter(place for row in containers for place in {str(each.get("name", "")) for each in row.networks})
    found = Network.objects.visible_to(user).filter(device=device).filter(Q(compose_project=name) | Q(name__in=used))
    return [(network, used[network.name]) for network in found.order_by("name")[:LONGEST_LIST]]


def volumes_of(user: SomeUser, device: Device, name: str, containers: Iterable[Container]) -> list[Volume]:
    """Volumes that compose made for the project, and others that its containers mount. One query."""
    used = {str(mount.get("source", "")) for row in containers for mount in row.mounts if mount.get("kind") == "volume"}
    labelled = Q(labels__contains={f"{_LABEL}project": name})
    found = Volume.objects.visible_to(user).filter(device=device).filter(labelled | Q(name__in=used))
    return list(found.order_by("name")[:LONGEST_LIST])
