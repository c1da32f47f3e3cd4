"""In which order the containers of compose projects are acted on (pure).

Compose writes what a service waits for into a label of its containers: ``com.docker.compose.depends_on`` is a comma
list of ``service:condition:restart`` (docker/compose, pkg/api/labels.go).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

DEPENDS_ON: Final = "com.docker.compose.depends_on"
_MOST_SERVICES: Final = 200
# What ends first is what nobody waits for; what begins first is what others wait for.
_ENDING: Final = frozenset({"stop", "kill", "pause", "remove"})


@dataclass(frozen=True, slots=True)
class Member:
    """A container by what its place in the order depends on; ``place`` keeps projects of different devices apart."""

    key: str
    place: str
    project: str
    service: str
    waits_for: frozenset[str] = frozenset()


def waits_for(labels: Mapping[str, str]) -> frozenset[str]:
    """Names of the services that a container's service depends on; empty outside compose."""
    entries = labels.get(DEPENDS_ON, "").split(",")[:_MOST_SERVICES]
    return frozenset(name for entry in entries if (name := entry.split(":", 1)[0].strip()))


def waves(members: Iterable[Member], kind: str) -> dict[str, int]:
    """The wave of each member by its key, from 0: all of one wave may be acted on at once.

    Only services of one project on one device wait for one another, and only for those that are among the members.
    Services that wait for each other in a circle, which compose itself refuses, share the first wave.
    """
    projects: dict[tuple[str, str], list[Member]] = {}
    found: dict[str, int] = {}
    for member in members:
        if member.project and member.service:
            projects.setdefault((member.place, member.project), []).append(member)
        else:
            found[member.key] = 0
    for group in projects.values():
        level = _levels(group)
        highest = max(level.values())
        for member in group:
            step = level[member.service]
            found[member.key] = highest - step if kind in _ENDING else step
    return found


def _levels(group: list[Member]) -> dict[str, int]:
    services = {member.service for member in group}
    graph: dict[str, set[str]] = {service: set() for service in services}
    for member in group:
        graph[member.service] |= (member.waits_for & services) - {member.service}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError:
        return dict.fromkeys(services, 0)
    level: dict[str, int] = {}
    for service in order:
        level[service] = max((level[other] + 1 for other in graph[service]), default=0)
    return level
