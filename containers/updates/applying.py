"""Ask for updates to be applied, for the way back, and for the end of what was kept. Database only."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from containers import batches
from containers.batches import Item
from containers.errors import OperationRefused
from containers.models import Batch, Container, Operation, Replacement, UpdateStatus
from containers.operation_requests import request_device_operation, request_operation
from containers.rules.apply_options import Options
from containers.rules.replacement import Watch
from containers.rules.update_targets import (
    Drift,
    NoTargetError,
    Offer,
    Target,
    drift_of,
    retagged,
    targets,
)
from devices.models import Device, now
from registries.rules.references import ImageReference
from ssm.lib.roles import SomeUser

# A kept container whose removal failed is tried again after that time.
DISCARD_AGAIN: Final = timedelta(hours=1)
_DISCARDS_AT_ONCE: Final = 100
# Large steps are for people to choose one by one.
_NEVER_PRESELECTED: Final = frozenset({"major", "unknown", "prerelease"})


def usual_options() -> Options:
    """How updates are applied where nobody chooses otherwise."""
    return Options(Watch(stable_s=settings.SSM_UPDATE_STABLE_SECONDS), settings.SSM_UPDATE_KEEP_HOURS * 3600)


def _chosen(options: Options, labels: dict[str, str]) -> dict[str, Any]:
    """Parameters of one operation. Compose would take a kept container for one more of its service."""
    return {"watch": options.watch.as_json(), "keep_old_s": 0 if drift_of(labels) else options.keep_old_s}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A container with what it may be updated to; ``problem`` says why it cannot be updated at all."""

    container: Container
    targets: tuple[Target, ...]
    problem: str = ""
    shared_by: tuple[str, ...] = ()

    @property
    def drift(self) -> Drift | None:
        """The compose project whose file does not know of the update."""
        return drift_of(self.container.labels)

    @property
    def first(self) -> Target | None:
        """What is offered."""
        return self.targets[0] if self.targets else None

    @property
    def is_preselected(self) -> bool:
        """Whether it may be chosen without a look at it."""
        first = self.first
        return first is not None and not self.problem and first.change not in _NEVER_PRESELECTED


def candidates(containers: Sequence[Container]) -> list[Candidate]:
    """What each of the containers (``device`` and ``update`` loaded) may be updated to. One query."""
    sharers = _sharers(containers)
    found = []
    for container in containers:
        status: UpdateStatus | None = getattr(container, "update", None)
        offered = tuple(targets(_offer(status))) if status is not None else ()
        problem = ""
        if container.removed_at is not None:
            problem = "It does not exist any more."
        elif not offered:
            problem = status.words.text.capitalize() + "." if status is not None else "Not checked yet."
        elif container.state == Container.State.PAUSED:
            problem = "It is paused: resume it first."
        found.append(
            Candidate(container, offered, problem, sharers.get((container.device_id, container.engine_id), ()))
        )
    return found


def _offer(status: UpdateStatus) -> Offer:
    is_offering = status.state == UpdateStatus.State.UPDATE_AVAILABLE
    return Offer(
        tag=status.tag,
        offered_tag=status.offered_tag if is_offering else "",
        change=status.change,
        offered_digest=status.offered_digest,
        in_major=status.in_major if is_offering else "",
        in_minor=status.in_minor if is_offering else "",
        has_digest_update=status.has_digest_update and is_offering,
        remote_digest=status.remote_digest,
        is_pulled="pulled_not_recreated" in status.notes,
    )


def _sharers(containers: Sequence[Container]) -> dict[tuple[uuid.UUID, str], tuple[str, ...]]:
    """Names of the containers that use the network of one of these. One query."""
    modes: dict[tuple[uuid.UUID, str], Container] = {}
    for container in containers:
        modes[container.device_id, f"container:{container.engine_id}"] = container
        modes[container.device_id, f"container:{container.name}"] = container
    rows = (
        Container.objects.present()
        .filter(
            device__in={container.device_id for container in containers},
            inspect__HostConfig__NetworkMode__in=[mode for _device, mode in modes],
        )
        .values_list("device_id", "inspect__HostConfig__NetworkMode", "name")
        .order_by("name")[:200]
    )
    found: dict[tuple[uuid.UUID, str], tuple[str, ...]] = {}
    for device_id, mode, name in rows:
        holder = modes.get((device_id, mode))
        if holder is not None:
            key = (device_id, holder.engine_id)
            found[key] = (*found.get(key, ()), name)
    return found


def _reference(container: Container, target: Target) -> str:
    status: UpdateStatus | None = getattr(container, "update", None)
    fallback = None
    if status is not None and status.repository:
        fallback = ImageReference(status.registry, status.repository, status.tag or None, None)
    try:
        return retagged(container.image_reference, fallback, target)
    except NoTargetError as exc:
        raise OperationRefused(
            f"{container.title} cannot be updated: {exc}", fix="Recreate it from an image with a name."
        ) from exc


def _parameters(candidate: Candidate, target: Target, options: Options) -> dict[str, Any]:
    container = candidate.container
    return {
        "reference": _reference(container, target),
        "from": container.image_reference[:300],
        "change": target.change,
        **_chosen(options, container.labels),
    }


def request_update(user: SomeUser, candidate: Candidate, tag: str, options: Options) -> Operation:
    """Ask for one update, to one of the candidate's targets or to any other tag of its repository.

    Raises OperationRefused.
    """
    target = next((target for target in candidate.targets if target.tag == tag), Target(tag, "unknown"))
    parameters = _parameters(candidate, target, options)
    return request_operation(user, candidate.container, Operation.Kind.UPDATE, parameters)


def request_updates(
    user: SomeUser,
    picks: Iterable[tuple[Candidate, Target]],
    options: Options,
    *,
    stops_on_failure: bool,
) -> Batch:
    """Ask for several updates: on each device one after the other, the devices side by side.

    Each one has its result, also if it cannot be asked for. Raises OperationRefused without any.
    """
    items, refused = [], []
    for candidate, target in picks:
        try:
            parameters = _parameters(candidate, target, options)
        except OperationRefused as exc:
            refused.append(exc)
            continue
        items.append(Item.of_container(candidate.container, Operation.Kind.UPDATE, parameters))
    if not items:
        raise refused[0] if refused else OperationRefused("Nothing was chosen to be updated.", fix="Choose some.")
    count = len(items)
    return batches.request_items(
        user,
        items,
        title=f"Update {count:,} container{'s' if count != 1 else ''}",
        stops_on_failure=stops_on_failure,
        one_per_device=True,
    )


# ---- the way back


def request_rollback(user: SomeUser, replacement: Replacement, options: Options) -> Operation:
    """Ask for the way back to what a container was before. Raises OperationRefused when there is none."""
    container = replacement.container
    if not replacement.may_go_back:
        raise OperationRefused(f"{container.title} was put back already.", fix="Look at its operations.")
    parameters = {
        "replacement": str(replacement.pk),
        "to": replacement.old_image[:300],
        **_chosen(options, container.labels),
    }
    return request_operation(user, container, Operation.Kind.ROLLBACK, parameters)


def request_discard(user: SomeUser, replacement: Replacement) -> Operation:
    """Ask for the removal of a container that was kept. Raises OperationRefused."""
    container = replacement.container
    if not replacement.is_kept:
        raise OperationRefused(f"Nothing is kept of what {container.title} was before.")
    parameters = {"replacement": str(replacement.pk), "name": replacement.kept_name}
    if container.removed_at is None:
        return request_operation(user, container, Operation.Kind.DISCARD, parameters)
    return request_device_operation(
        user,
        replacement.device,
        Operation.Kind.DISCARD,
        object_kind=Operation.ObjectKind.CONTAINER,
        target_name=replacement.kept_name,
        engine_id=replacement.old_engine_id,
        lock=f"kept:{replacement.device_id}:{replacement.old_engine_id}",
        parameters=parameters,
    )


def keep_longer(replacement: Replacement, seconds: int) -> None:
    """Keep an old container for that many seconds from now on; 0 for as long as nobody removes it."""
    until = now() + timedelta(seconds=seconds) if seconds else None
    Replacement.objects.filter(pk=replacement.pk, state=Replacement.State.KEPT).update(keep_until=until)


def discard_overdue() -> int:
    """Ask for the removal of all that was kept for long enough, where the host answers; how many that are."""
    moment = now()
    overdue = (
        Replacement.objects.overdue(moment)
        .filter(device__state=Device.State.ONLINE)
        .select_related("container__device", "device")
        .defer("specification", "container__inspect", "container__environment")
        .order_by("keep_until")[:_DISCARDS_AT_ONCE]
    )
    asked = 0
    for replacement in overdue:
        try:
            request_discard(AnonymousUser(), replacement)
        except OperationRefused:
            continue  # something else is done with it right now; the next tick looks again
        Replacement.objects.filter(pk=replacement.pk).update(keep_until=moment + DISCARD_AGAIN)
        asked += 1
    return asked
