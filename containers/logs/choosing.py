"""Which containers' logs are meant: chosen one by one, or by device, compose project or label."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypedDict

from django.db.models import Q
from django.http import QueryDict

from containers.models import Container
from ssm.lib.roles import Right, SomeUser

MOST_SOURCES: Final = 64
_MOST_VALUES: Final = 500
_LONGEST: Final = 300


class SourceEntry(TypedDict):
    """One log as a browser gets to know it."""

    index: int
    id: str
    name: str
    device: str
    project: str
    url: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What the address chose. Containers are added; devices, project and label narrow one another."""

    containers: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    project: str = ""
    labels: tuple[str, ...] = ()

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; what is no id is left out. No queries."""
        return cls(
            containers=tuple(_ids(query.getlist("container"))),
            devices=tuple(_ids(query.getlist("device"))),
            project=_text(query.get("project", "")),
            labels=tuple(text for text in map(_text, query.getlist("label")[:10]) if text),
        )

    @property
    def is_open(self) -> bool:
        """Whether containers that come later may belong to it."""
        return bool(self.devices or self.project or self.labels)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was chosen."""
        return not (self.containers or self.is_open)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The logs, at most MOST_SOURCES; ``left_out`` tells how many more match."""

    sources: list[SourceEntry] = field(default_factory=list)
    left_out: int = 0


def find_sources(user: SomeUser, choice: Choice, known: Iterable[SourceEntry] = ()) -> Chosen:
    """The containers of a choice whose logs the user may read, ``known`` ones first with their index. Two queries."""
    if choice.is_empty:
        return Chosen()
    matches = Q(pk__in=choice.containers)
    if choice.is_open:
        matches |= _narrowed(choice)
    visible = Container.objects.permitted(user, Right.LOGS).filter(matches)
    found = visible.filter(Q(removed_at=None) | Q(pk__in=choice.containers)).select_related("device")
    sources = {entry["id"]: entry for entry in known}
    rows = found.only("name", "display_name", "compose_project", "device__name").order_by(
        "device__name", "compose_project", "name", "pk"
    )
    left_out = 0
    for container in rows[:2000]:
        if str(container.pk) in sources:
            continue
        if len(sources) >= MOST_SOURCES:
            left_out += 1
            continue
        sources[str(container.pk)] = SourceEntry(
            index=len(sources),
            id=str(container.pk),
            name=container.title,
            device=container.device.name,
            project=container.compose_project,
            url=f"{container.get_absolute_url()}logs/",
        )
    return Chosen(list(sources.values()), left_out)


def _narrowed(choice: Choice) -> Q:
    condition = Q(removed_at=None)
    if choice.devices:
        condition &= Q(device_id__in=choice.devices)
    if choice.project:
        condition &= Q(compose_project=choice.project)
    for label in choice.labels:
        name, equals, value = label.partition("=")
        condition &= Q(labels__contains={name: value}) if equals else Q(labels__has_key=name)
    return condition


def _ids(values: Iterable[Any]) -> list[str]:
    found = []
    for value in list(values)[:_MOST_VALUES]:
        try:
            found.append(str(uuid.UUID(str(value))))
        except ValueError:
            continue  # not one of our links
    return list(dict.fromkeys(found))


def _text(value: str) -> str:
    return value.replace("\x00", "").strip()[:_LONGEST]
