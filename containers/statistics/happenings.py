"""Events of the past as marks for charts. One query for each question."""

from datetime import datetime
from typing import Final

from containers.models import Container, Event
from containers.querysets import EventQuerySet
from containers.rules.marks import Happening, Mark, marks_of, thinned
from devices.models import Device
from ssm.lib.roles import SomeUser

_WORDS: Final = ("create", "start", "die", "oom", "pause", "unpause", "update")
_HEALTH: Final = "health_status"
# Of a container that restarts every second, the newest; a chart has no room for more.
_MOST_EVENTS: Final = 2000
# So many marks have room side by side.
_PLACES: Final = 90


def container_marks(user: SomeUser, container: Container, start: datetime, end: datetime) -> list[Mark]:
    """What happened to a container between two times, as far as the user may see it."""
    events = Event.objects.visible_to(user).filter(container=container)
    return _marks(events, start, end, named=False)


def device_marks(user: SomeUser, device: Device, start: datetime, end: datetime) -> list[Mark]:
    """What happened to the containers of a device between two times, as far as the user may see it."""
    return _marks(Event.objects.visible_to(user).filter(device=device), start, end, named=True)


def _marks(events: EventQuerySet, start: datetime, end: datetime, *, named: bool) -> list[Mark]:
    asked = (int(start.timestamp() * 1e9), int(end.timestamp() * 1e9))
    rows = (
        events.filter(kind="container", time_ns__gte=asked[0], time_ns__lte=asked[1])
        .filter(action__regex=f"^({'|'.join(_WORDS)})$|^{_HEALTH}")
        .order_by("-time_ns", "-pk")
        .values_list("time_ns", "action", "actor_id", "container_id", "actor_name", "attributes")[:_MOST_EVENTS]
    )
    happenings = [
        Happening(time_ns / 1e9, action, str(container_id or actor_id), name, attributes)
        for time_ns, action, actor_id, container_id, name, attributes in reversed(rows)
    ]
    distance_s = (end - start).total_seconds() / _PLACES
    return thinned(marks_of(happenings, named=named), distance_s)
