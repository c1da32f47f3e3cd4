"""Write events and what they changed: one transaction per batch of one object."""

import logging

from django.db import transaction

from containers import sync
from containers.models import Container, Event
from containers.rules.events import EngineEvent
from containers.rules.inspection import time_from_ns
from devices.connections import Engine
from devices.models import Device, now

logger = logging.getLogger(__name__)


def record(device: Device, engine: Engine, events: list[EngineEvent]) -> None:
    """Store the events of one object, and look at the container if any of them changed it.

    Raises DeviceError when the container cannot be inspected, and nothing is stored then. If the connection was lost,
    the events come again after the reconnect; else ``record_unseen`` is for what a working engine refuses to tell.
    """
    last = events[-1]
    changing = [event for event in events if event.changes_container]
    if not changing:
        with transaction.atomic(durable=True):
            _store(device, events, _row_of(device, last))
        return
    engine_id = last.container_id
    facts = None if last.action == "destroy" else sync.inspect(engine, engine_id)
    sync.apply_event(
        device,
        engine_id,
        facts,
        max(event.time_ns for event in changing),
        also=lambda row_id: _store(device, events, row_id or _row_of(device, last)),
        rivals=sync.look_at_rivals(device, engine, facts) if facts else {},
    )


def record_unseen(device: Device, events: list[EngineEvent]) -> None:
    """Store events whose object could not be looked at; a sweep has to make up for it."""
    with transaction.atomic(durable=True):
        _store(device, events, _row_of(device, events[-1]))


def _row_of(device: Device, event: EngineEvent) -> str | None:
    """The container's row: the one of that engine id, else the one that goes on under the name (its successor)."""
    if event.kind != "container":
        return None
    rows = Container.objects.filter(device=device)
    known = rows.filter(engine_id=event.actor_id).values_list("pk", flat=True).first()
    if known is None and event.actor_name:
        known = rows.filter(name=event.actor_name, removed_at=None).values_list("pk", flat=True).first()
    return str(known) if known else None


def _store(device: Device, events: list[EngineEvent], container_id: str | None) -> None:
    moment = now()
    Event.objects.bulk_create(
        [
            Event(
                device=device,
                container_id=container_id,
                kind=event.kind,
                action=event.action,
                actor_id=event.actor_id,
                actor_name=event.actor_name,
                attributes=event.attributes,
                time=time_from_ns(event.time_ns) or moment,
                time_ns=event.time_ns,
                received_at=moment,
            )
            for event in events
        ],
        ignore_conflicts=True,  # a resumed stream tells the last ones again
    )
