"""Write events and what they changed: one transaction per batch of one object."""

import logging

from django.db import transaction

from containers import sync
from containers.events.loops import ENDING, note_loop
from containers.image_sync import apply_image_event
from containers.inventory_rows import lock_inventory
from containers.models import Container, Event
from containers.network_sync import announce_around, announce_of, apply_network_event
from containers.push import publish
from containers.rules.events import EngineEvent, describe
from containers.rules.helpers import is_helper
from containers.rules.inspection import time_from_ns
from containers.volume_sync import apply_volume_event
from devices.connections import Engine
from devices.models import Device, now

logger = logging.getLogger(__name__)


def record(device: Device, engine: Engine, events: list[EngineEvent]) -> bool:
    """Store the events of one object, and look at the container if any of them changed it; True if it is in a loop.

    Raises DeviceError when the container cannot be inspected, and nothing is stored then. If the connection was lost,
    the events come again after the reconnect; else ``record_unseen`` is for what a working engine refuses to tell.
    """
    last = events[-1]
    if is_helper(last.attributes):
        return False
    changing = [event for event in events if event.changes_container]
    if not changing:
        if last.kind == "image":
            apply_image_event(device, engine, last.action, last.actor_id)
        elif last.kind == "network":
            apply_network_event(device, engine, last.action, last.actor_id)
        elif last.kind == "volume":
            apply_volume_event(device, engine, last.action, last.actor_id)
        with transaction.atomic(durable=True):
            _note(device, events, _row_of(device, last))
        return False
    engine_id = last.container_id
    _note_end(device, events)
    facts = None if last.action == "destroy" else sync.inspect(engine, engine_id)
    sync.apply_event(
        device,
        engine_id,
        facts,
        max(event.time_ns for event in changing),
        also=lambda row_id: _note(device, events, row_id or _row_of(device, last)),
        rivals=sync.look_at_rivals(device, engine, facts) if facts else {},
    )
    for network_id in {event.actor_id for event in changing if event.kind == "network"}:
        announce_of(device, network_id)
    if any(event.action in ("create", "destroy") for event in changing):
        announce_around(device, engine_id)
    looping = Container.objects.filter(device=device, engine_id=engine_id, looping_since__isnull=False)
    return last.kind == "container" and looping.exists()


def _note_end(device: Device, events: list[EngineEvent]) -> None:
    """Show that a container's processes have ended as soon as the engine tells it, before it can be inspected.

    Engines tell the end before they take down the container's network, and answer no inspection until that is done
    (100 ms and more). One that the engine may start again by its restart policy is left to the inspection, unless it
    was killed or stopped by somebody.
    """
    last = next((event for event in reversed(events) if event.is_urgent), None)
    if last is None or last.action != "die" or last.kind != "container":
        return
    code = last.attributes.get("exitCode", "")
    ended_by_somebody = any(event.action == "kill" for event in events)
    with transaction.atomic(durable=True):
        lock_inventory(device)
        running = Container.objects.filter(
            device=device, engine_id=last.actor_id, removed_at=None, observed_ns__lt=last.time_ns
        ).exclude(state__in=[Container.State.EXITED, Container.State.DEAD, Container.State.REMOVING])
        if not ended_by_somebody:
            running = running.filter(restart_policy__in=["", "no"])
        ended = list(running.values_list("pk", flat=True))
        moment = now()
        Container.objects.filter(pk__in=ended).update(
            state=Container.State.EXITED,
            exit_code=int(code) if code.isascii() and code.isdigit() and len(code) < 10 else None,
            finished_at=time_from_ns(last.time_ns) or moment,
            observed_ns=last.time_ns,
            changed_at=moment,
            list_digest="",
        )
        publish("container", device.pk, ended)


def record_unseen(device: Device, events: list[EngineEvent]) -> None:
    """Store events whose object could not be looked at; a sweep has to make up for it."""
    with transaction.atomic(durable=True):
        _note(device, events, _row_of(device, events[-1]))


def _row_of(device: Device, event: EngineEvent) -> str | None:
    """The container's row: the one of that engine id, else the one that goes on under the name (its successor)."""
    if event.kind != "container":
        return None
    rows = Container.objects.filter(device=device)
    known = rows.filter(engine_id=event.actor_id).values_list("pk", flat=True).first()
    if known is None and event.actor_name:
        known = rows.filter(name=event.actor_name, removed_at=None).values_list("pk", flat=True).first()
    return str(known) if known else None


def _note(device: Device, events: list[EngineEvent], container_id: str | None) -> None:
    """Store the events, see whether they make or end a restart loop, and tell open pages."""
    _store(device, events, container_id)
    if container_id is not None and any(event.kind == "container" and event.action in ENDING for event in events):
        note_loop(device, container_id, events[-1].actor_id, events[-1].time_ns)
    publish("event", device.pk, [container_id or device.pk])


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
                severity=describe(event).severity,
                time=time_from_ns(event.time_ns) or moment,
                time_ns=event.time_ns,
                received_at=moment,
            )
            for event in events
        ],
        ignore_conflicts=True,  # a resumed stream tells the last ones again
    )
