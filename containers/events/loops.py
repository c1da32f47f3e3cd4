"""Restart loops of containers: recognised when their processes end, over when they stay up."""

import math
import uuid
from datetime import datetime
from typing import Final

from django.db import transaction

from containers.models import Container, Event
from containers.push import publish
from containers.rules.inspection import time_from_ns
from containers.rules.loops import TELLING, WINDOW_NS, Loop, Told, find_loop
from devices.models import Device, now

# Events that may begin, prolong or end a loop.
ENDING: Final = frozenset(["die", "stop", "destroy"])
# Of a container that ends several times in a second; what lies further back is counted already.
_MOST_EVENTS: Final = 1000
_MOST_COUNTED: Final = 10_000


def note_loop(device: Device, container_id: str, engine_id: str, now_ns: int) -> None:
    """Write whether the container is in a loop at this time of its Engine. Four queries at most, in a transaction."""
    known = Container.objects.filter(pk=container_id).values_list("looping_since", "loop_ends").first()
    if known is None:
        return
    loop = _read_loop(uuid.UUID(container_id), engine_id, now_ns)
    since, ends = known
    if loop is None:
        if since is not None:
            _end([container_id])
        return
    began = since or time_from_ns(loop.since_ns) or now()
    # What was counted before stays counted: the events that are read go back some minutes only.
    counted = max(loop.ends, _ends_since(uuid.UUID(container_id), engine_id, began))
    if since is None or counted != ends:
        rows = Container.objects.filter(pk=container_id)
        rows.update(looping_since=began, loop_ends=counted, changed_at=now())
        publish("container", device.pk, [container_id], what="updated" if since else "appeared")


def end_loops() -> int:
    """End the loops of containers that have stayed as they are for five minutes; how many. Called by a tick."""
    ended = 0
    for container in Container.objects.filter(looping_since__isnull=False):
        ends = Event.objects.filter(container=container, actor_id=container.engine_id, kind="container", action="die")
        last = ends.order_by("-time_ns").values_list("received_at", flat=True).first()
        # By our clock: the host's may differ, and it tells nothing while all is quiet.
        quiet_s = (now() - last).total_seconds() if last else math.inf
        if container.removed_at is not None or quiet_s > WINDOW_NS / 1e9:
            with transaction.atomic():
                _end([str(container.pk)])
            ended += 1
    return ended


def _end(container_ids: list[str]) -> None:
    rows = Container.objects.filter(pk__in=container_ids)
    device_ids = set(rows.values_list("device_id", flat=True))
    rows.update(looping_since=None, loop_ends=0, changed_at=now())
    for device_id in device_ids:
        publish("container", device_id, container_ids, what="appeared")


def _read_loop(container_id: uuid.UUID, engine_id: str, now_ns: int) -> Loop | None:
    events = (
        Event.objects.filter(container=container_id, actor_id=engine_id, kind="container", action__in=TELLING)
        .filter(time_ns__gte=now_ns - 2 * WINDOW_NS, time_ns__lte=now_ns)
        .order_by("-time_ns", "-pk")
        .values_list("action", "time_ns")[:_MOST_EVENTS]
    )
    return find_loop([Told(action, time_ns) for action, time_ns in reversed(events)], now_ns)


def _ends_since(container_id: uuid.UUID, engine_id: str, since: datetime) -> int:
    """All ends since the loop began, also those that are too long ago to be read for the rule."""
    ends = Event.objects.filter(container=container_id, actor_id=engine_id, kind="container", action="die")
    return ends.filter(time__gte=since)[:_MOST_COUNTED].count()
