"""Write events and what they changed: one transaction per batch of one object."""

import logging

from django.db import transaction

from containers import sync
from containers.models import Event
from containers.rules.events import EngineEvent
from containers.rules.inspection import time_from_ns
from devices.connections import Engine
from devices.models import Device, now

logger = logging.getLogger(__name__)


def record(device: Device, engine: Engine, events: list[EngineEvent]) -> None:
    """Store the events of one object, and look at the container if any of them changed it.

    Raises DeviceError when the container cannot be inspected; nothing is stored then, and the events come again
    after the reconnect.
    """
    last = events[-1]
    changing = [event for event in events if event.changes_container]
    if not changing:
        with transaction.atomic(durable=True):
            _store(device, events, None)
        return
    facts = None if last.action == "destroy" else sync.inspect(engine, last.actor_id)
    sync.apply_event(
        device, last.actor_id, facts, changing[-1].time_ns, also=lambda row_id: _store(device, events, row_id)
    )


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
