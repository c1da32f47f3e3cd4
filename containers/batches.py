"""Several operations asked for at once: a result per item, one wave after the other, what failed again.

The order within compose projects comes from containers.rules.waves. An operation of a higher wave stays queued until
all of the lower waves have ended (operations.claim); the one that ends last hands the next wave to the workers.
"""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from django.db import transaction

from containers import operations
from containers.errors import OperationRefused
from containers.models import Batch, BatchStanding, Container, Operation
from containers.operation_requests import record_refusal, request_device_operation, request_operation
from containers.rules.waves import Member, waits_for, waves
from devices.models import Device
from ssm.lib.roles import SomeUser

MOST_ITEMS: Final = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """One act of a batch: on ``container``, or else on the object that the other columns of Operation tell."""

    device: Device
    kind: str
    object_kind: str = "container"
    target_name: str = ""
    engine_id: str = ""
    lock: str = ""
    parameters: dict[str, Any] | None = None
    container: Container | None = None
    sealed: dict[str, Any] | None = None
    wave: int = 0
    lane: str = ""

    @classmethod
    def of_container(
        cls, container: Container, kind: str, parameters: dict[str, Any] | None = None, *, wave: int = 0
    ) -> Self:
        """An act on a container (``device`` loaded)."""
        return cls(device=container.device, kind=kind, container=container, parameters=parameters, wave=wave)


def request_batch(
    user: SomeUser,
    containers: Sequence[Container],
    kind: str,
    parameters: dict[str, Any] | None = None,
    *,
    title: str,
    stops_on_failure: bool = False,
) -> Batch:
    """Record an act on each of the containers (``device`` loaded) and hand the first wave to the workers.

    One that cannot be asked for, say because another act on it is under way, is recorded as failed with the reason,
    so that every item has its result. Raises OperationRefused without containers or with more than 1,000.
    """
    if not containers:
        raise OperationRefused("None of the chosen containers exists any more.", fix="Choose others.")
    if len(containers) > MOST_ITEMS:
        raise OperationRefused(
            f"{len(containers)} containers are more than {MOST_ITEMS:,} at once.", fix="Narrow the filters."
        )
    order = waves(
        (
            Member(
                key=str(container.pk),
                place=str(container.device_id),
                project=container.compose_project,
                service=container.compose_service,
                waits_for=waits_for(container.labels),
            )
            for container in containers
        ),
        kind,
    )
    items = [
        Item.of_container(container, kind, parameters, wave=order[str(container.pk)])
        for container in sorted(containers, key=lambda item: order[str(item.pk)])
    ]
    return _request_all(user, items, title, stops_on_failure=stops_on_failure)


def request_items(
    user: SomeUser,
    items: Sequence[Item],
    *,
    title: str,
    stops_on_failure: bool = False,
    one_per_device: bool = False,
) -> Batch:
    """Record acts on whatever objects and hand the first ones to the workers; refusals as with request_batch.

    ``one_per_device``: on each device one after the other in the order given, the devices side by side.
    Raises OperationRefused without items or with more than 1,000.
    """
    if not items:
        raise OperationRefused("Nothing was chosen, or nothing of it exists any more.", fix="Choose others.")
    if len(items) > MOST_ITEMS:
        raise OperationRefused(f"{len(items):,} are more than {MOST_ITEMS:,} at once.", fix="Narrow the filters.")
    if one_per_device:
        turns: Counter[str] = Counter()
        ordered = []
        for item in items:
            lane = str(item.device.pk)
            ordered.append(replace(item, lane=lane, wave=turns[lane]))
            turns[lane] += 1
        items = ordered
    return _request_all(user, items, title, stops_on_failure=stops_on_failure)


def _request_all(user: SomeUser, items: Sequence[Item], title: str, *, stops_on_failure: bool) -> Batch:
    with transaction.atomic():
        batch = Batch.objects.create(
            title=title[:255],
            requested_by=user if user.is_authenticated else None,
            requested_by_name=user.get_username()[:150],
            stops_on_failure=stops_on_failure,
        )
        for item in items:
            _request(user, item, batch)
    return batch


def _request(user: SomeUser, item: Item, batch: Batch) -> None:
    place: dict[str, Any] = {"batch": batch, "wave": item.wave, "lane": item.lane}
    try:
        request_item(user, item, **place)
    except OperationRefused as refused:
        columns: dict[str, Any] = {**place, "kind": item.kind, "parameters": item.parameters or {}}
        if item.container is not None:
            columns |= {"container": item.container}
        else:
            columns |= {
                "device": item.device,
                "device_name": item.device.name,
                "object_kind": item.object_kind,
                "target_name": item.target_name[:640],
                "engine_id": item.engine_id[:640],
                "lock": item.lock[:800],
            }
        record_refusal(user, refused, **columns)


def request_item(user: SomeUser, item: Item, **place: Any) -> Operation:
    """Ask for one act; ``place`` is where it stands in a batch, if it is of one. Raises OperationRefused."""
    if item.container is not None:
        return request_operation(user, item.container, item.kind, item.parameters, sealed=item.sealed, **place)
    return request_device_operation(
        user,
        item.device,
        item.kind,
        object_kind=item.object_kind,
        target_name=item.target_name,
        engine_id=item.engine_id,
        lock=item.lock,
        parameters=item.parameters,
        sealed=item.sealed,
        **place,
    )


def standing_of(batch: Batch) -> BatchStanding:
    """How far it is. One query."""
    states = list(batch.operations.values_list("state", flat=True))
    state = Operation.State
    return BatchStanding(
        total=len(states),
        waiting=states.count(state.QUEUED),
        running=states.count(state.RUNNING),
        succeeded=states.count(state.SUCCEEDED),
        failed=states.count(state.FAILED) + states.count(state.LOST),
        cancelled=states.count(state.CANCELLED),
    )


def find_batch(batch_id: uuid.UUID | str) -> Batch | None:
    """The batch with its ``standing``, as its summary shows it. Two queries."""
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is not None:
        batch.standing = standing_of(batch)
    return batch


def retry_failed(user: SomeUser, batch: Batch) -> Batch:
    """Ask again for what failed or was cancelled, as a batch of its own. Raises OperationRefused when nothing has."""
    ended = [Operation.State.FAILED, Operation.State.LOST, Operation.State.CANCELLED]
    again = (
        batch.operations.filter(state__in=ended).select_related("container__device", "device").order_by("created_at")
    )
    items = [item for item in map(_again, again) if item is not None]
    if not items:
        raise OperationRefused("Nothing of it has failed.", fix="Look at the list below.")
    return _request_all(user, _close_ranks(items), f"Again: {batch.title}", stops_on_failure=batch.stops_on_failure)


def ask_again(user: SomeUser, operation: Operation) -> Operation:
    """Ask for the same act once more, by itself. Raises OperationRefused when it cannot be."""
    item = _again(operation)
    if item is None:
        raise OperationRefused(f"{operation.target_name} is gone from SSM, so that it cannot be acted on.")
    with transaction.atomic():
        return request_item(user, item)


def _again(operation: Operation) -> Item | None:
    """The same act once more; None when what it was about is gone from SSM."""
    device = operation.container.device if operation.container is not None else operation.device
    is_of_container = (
        operation.object_kind == Operation.ObjectKind.CONTAINER and operation.kind != Operation.Kind.CREATE
    )
    if device is None or (is_of_container and operation.container is None):
        return None
    return Item(
        device=device,
        kind=operation.kind,
        container=operation.container if is_of_container else None,
        object_kind=operation.object_kind,
        target_name=operation.target_name,
        engine_id=operation.engine_id,
        lock=operation.lock,
        parameters=operation.parameters,
        sealed=json.loads(operation.sealed) if operation.sealed else None,
        wave=operation.wave,
        lane=operation.lane,
    )


def _close_ranks(items: list[Item]) -> list[Item]:
    """Waves from 0 without gaps in each lane: the first one is handed on when it is asked for."""
    lanes: dict[str, list[int]] = {}
    for item in items:
        lanes.setdefault(item.lane, []).append(item.wave)
    ranks = {lane: {wave: rank for rank, wave in enumerate(sorted(set(found)))} for lane, found in lanes.items()}
    return [replace(item, wave=ranks[item.lane][item.wave]) for item in items]


def cancel_waiting(batch: Batch) -> int:
    """Take back what no worker has begun with; returns how many."""
    return operations.cancel_queued(batch.operations.all(), "It was cancelled before it began.")
