"""What rows show of a replacement: the container's own row, with its history, goes on as the successor."""

import json
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from containers import sync
from containers.image_sync import refresh_image
from containers.inventory_rows import lock_inventory
from containers.models import Container, Event, Operation, Replacement, UpdateStatus
from containers.push import publish
from containers.updates.evaluation import evaluate
from devices.connections import Engine
from devices.models import Device, now

# Of one container: those further back are of no use to anybody, and hold values of its environment.
MOST_REMEMBERED: Final = 10
# What a row tells of which container of the engine it shows.
_IDENTITY: Final = ("engine_id", "name", "removed_at", "observed_ns")


def _row(operation: Operation) -> tuple[Device, Any] | None:
    """The device and the id of the container's row as it is now: rows may have been merged meanwhile."""
    container_id = Operation.objects.filter(pk=operation.pk).values_list("container_id", flat=True).first()
    if operation.device is None or container_id is None:
        return None
    return operation.device, container_id


def hand_over(operation: Operation, engine_id: str) -> None:
    """Make the row of the operation's container show the one of that engine id, and that one's row what it showed."""
    place = _row(operation)
    if place is None or not engine_id:
        return
    device, container_id = place
    with transaction.atomic(durable=True):
        lock_inventory(device)
        rows = Container.objects.filter(device=device).only(*_IDENTITY)
        own, other = rows.filter(pk=container_id).first(), rows.filter(engine_id=engine_id).first()
        if own is None or own.engine_id == engine_id:
            return
        if other is None:
            Container.objects.filter(pk=own.pk).update(engine_id=engine_id, observed_ns=0, list_digest="")
            return
        passing = {"engine_id": own.pk.hex, "name": f"renamed: {own.pk.hex}"}
        Container.objects.filter(pk=other.pk).update(**passing)
        for row, identity in ((own, other), (other, own)):
            Container.objects.filter(pk=row.pk).update(
                **{name: getattr(identity, name) for name in _IDENTITY}, list_digest=""
            )


def show(operation: Operation, engine: Engine, engine_id: str) -> None:
    """Bring one of the two in line with the host; a row that was only there for one that is gone, goes too.

    Raises DeviceError.
    """
    place = _row(operation)
    if place is None:
        return
    device, container_id = place
    facts = sync.refresh(device, engine, engine_id)
    if facts is not None:
        if facts.image_id:
            refresh_image(device, engine, facts.image_id)
        return
    with transaction.atomic(durable=True):
        lock_inventory(device)
        leftover = Container.objects.filter(device=device, engine_id=engine_id).exclude(pk=container_id)
        for pk in leftover.values_list("pk", flat=True):
            Event.objects.filter(container=pk).update(container=container_id)
            Container.objects.filter(pk=pk).delete()
            publish("container", device.pk, [pk], what="vanished")


def judge_updates(operation: Operation, old_engine_id: str) -> None:
    """Decide anew whether a newer image exists, so that no page offers what has just been done.

    What is kept for the way back is offered nothing.
    """
    place = _row(operation)
    if place is not None:
        device, container_id = place
        UpdateStatus.objects.filter(container__device=device, container__engine_id=old_engine_id).delete()
        evaluate([container_id])


def remember(operation: Operation, state: dict[str, Any], specification: dict[str, Any]) -> None:
    """Keep what was replaced and how to go back. May be called again; ``state`` is the replacement's journal."""
    place = _row(operation)
    if place is None:
        return
    device, container_id = place
    keep_until = datetime.fromisoformat(state["keep_until"]) if state["keep_until"] else None
    Replacement.objects.update_or_create(
        operation=operation,
        defaults={
            "container_id": container_id,
            "device": device,
            "kind": operation.kind,
            "name": state["name"][:255],
            "old_engine_id": state["old"],
            "new_engine_id": state["successor"],
            "kept_name": state["kept"][:255] if keep_until else "",
            "keep_until": keep_until,
            "state": Replacement.State.KEPT if keep_until else Replacement.State.REMOVED,
            "old_image": state["old_image"],
            "old_image_id": state["old_image_id"],
            "old_digests": state["old_digests"],
            "new_image": state["new_image"],
            "new_image_id": state["new_image_id"],
            "specification": json.dumps(specification),
            "restart_policy": state["policy"],
            "replaced_by": operation.requested_by_name,
            "replaced_at": datetime.fromisoformat(state["committed"]),
        },
    )
    # Whatever was kept of an earlier one and has been put back now is nobody's predecessor any more.
    Replacement.objects.filter(device=device, old_engine_id=state["successor"], state=Replacement.State.KEPT).update(
        state=Replacement.State.RESTORED, ended_at=now(), keep_until=None
    )
    old = Replacement.objects.filter(container=container_id).exclude(state=Replacement.State.KEPT)
    surplus = list(old.order_by("-replaced_at").values_list("pk", flat=True)[MOST_REMEMBERED:])
    Replacement.objects.filter(pk__in=surplus).delete()


def mark_removed(replacement: Replacement) -> None:
    """Note that a kept container is gone; it can be made anew all the same."""
    _end(replacement, Replacement.State.REMOVED)


def mark_restored(replacement: Replacement) -> None:
    """Note that what was replaced is back in its place."""
    _end(replacement, Replacement.State.RESTORED)


def keep_on(replacement: Replacement) -> None:
    """Leave a kept container to the people who use it."""
    Replacement.objects.filter(pk=replacement.pk).update(keep_until=None)


def _end(replacement: Replacement, state: str) -> None:
    Replacement.objects.filter(pk=replacement.pk).exclude(state=Replacement.State.RESTORED).update(
        state=state, ended_at=now(), keep_until=None
    )
