"""Several operations asked for at once: a result per item, one wave after the other, what failed again.

The order within compose projects comes from containers.rules.waves. An operation of a higher wave stays queued until
all of the lower waves have ended (operations.claim); the one that ends last hands the next wave to the workers.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from django.db import transaction

from containers import operations
from containers.errors import OperationRefused
from containers.models import Batch, BatchStanding, Container, Operation
from containers.rules.waves import Member, waits_for, waves
from ssm.lib.roles import SomeUser

MOST_ITEMS: Final = 1000


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
    with transaction.atomic():
        batch = Batch.objects.create(
            title=title[:255],
            requested_by=user if user.is_authenticated else None,
            requested_by_name=user.get_username()[:150],
            stops_on_failure=stops_on_failure,
        )
        for container in sorted(containers, key=lambda item: order[str(item.pk)]):
            _request(user, container, kind, parameters or {}, batch, order[str(container.pk)])
    return batch


def _request(
    user: SomeUser, container: Container, kind: str, parameters: dict[str, Any], batch: Batch, wave: int
) -> None:
    try:
        operations.request_operation(user, container, kind, parameters, batch=batch, wave=wave)
    except OperationRefused as refused:
        operations.record_refusal(user, container, kind, parameters, refused, batch=batch, wave=wave)


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
    again = list(batch.operations.filter(state__in=ended).select_related("container__device"))
    containers = [entry.container for entry in again if entry.container is not None]
    if not containers:
        raise OperationRefused("Nothing of it has failed.", fix="Look at the list below.")
    first = again[0]
    return request_batch(
        user,
        containers,
        first.kind,
        first.parameters,
        title=f"Again: {batch.title}",
        stops_on_failure=batch.stops_on_failure,
    )


def cancel_waiting(batch: Batch) -> int:
    """Take back what no worker has begun with; returns how many."""
    return operations.cancel_queued(batch.operations.all(), "It was cancelled before it began.")
