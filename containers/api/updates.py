"""Updates: what is offered and why, checks asked for now, what users decide, applying, and the way back."""

import uuid
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status

from containers import batches
from containers.api.asking import Asked, device_for
from containers.api.idempotency import idempotent
from containers.api.schemas import BatchEntry, OperationEntry
from containers.api.update_schemas import (
    Apply,
    ApplyOptions,
    CheckEntry,
    CheckOrder,
    Decision,
    DecisionEntry,
    Keep,
    ReplacementEntry,
    TargetEntry,
    UpdateDetail,
    UpdateEntry,
    UpdatePage,
    UpdateQuery,
    facts_of,
)
from containers.errors import OperationRefused
from containers.models import Container, Replacement, UpdateCheck, UpdatePolicy, UpdateStatus
from containers.rules.apply_options import Options, read_options
from containers.rules.parameters import ParameterError
from containers.rules.update_targets import Target
from containers.updates import applying, decisions
from containers.updates.checks import request_check
from containers.updates.listing import UpdateFilter
from devices.models import now
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right, can_everywhere

router = Router(tags=["updates"])
of_container = Router(tags=["updates"])
replacement_router = Router(tags=["updates"])

_SORTS: Final = {
    "image": ("registry", "repository", "tag", "container__name"),
    "container": ("container__name", "container__device__name"),
    "severity": ("-severity", "registry", "repository", "tag"),
    "changed": ("-changed_at",),
}
_HEAVY: Final = ("inspect", "environment")


@router.get("", response=answers(UpdatePage), operation_id="updates_list")
@needs(Right.SEE)
def updates_list(request: HttpRequest, filters: Query[UpdateQuery], paging: Query[Paging]) -> Any:
    """What can be updated to what, over the fleet."""
    chosen = UpdateFilter(
        q=filters.q,
        kind=filters.kind,
        state=filters.state,
        reason=filters.reason,
        device=str(filters.device or ""),
        project=filters.project,
        image=filters.image,
    )
    rows = chosen.select(UpdateStatus.objects.visible_to(request.user)).select_related("container__device")
    rows = rows.defer("trace", "lookups", "good", *(f"container__{name}" for name in _HEAVY))
    return page(rows, _SORTS, filters.sort, paging).shown(UpdateEntry.of)


@router.post("/check", response=answers(CheckEntry, 202), operation_id="updates_check")
@needs(Right.OPERATE)
def updates_check(request: HttpRequest, order: CheckOrder) -> Any:
    """Ask the registries now; what was looked up just now is not asked again."""
    container, device = None, None
    if order.container is not None:
        container = _container(request, order.container)
    elif order.device is not None:
        device = device_for(request, order.device, Right.SEE)
    return Status(202, CheckEntry.of(request_check(request.user, container=container, device=device)))


@router.get("/checks/{uuid:pk}", response=answers(CheckEntry), operation_id="updates_check_get")
@needs(Right.SEE)
def updates_check_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """How far a check is."""
    return CheckEntry.of(get_object_or_404(UpdateCheck, pk=pk))


@router.post("/apply", response=answers(Asked, 202), operation_id="updates_apply")
@needs(Right.OPERATE)
@idempotent
def updates_apply(request: HttpRequest, order: Apply) -> Any:
    """Update containers: each gets a successor, and the old one goes only when that has proven itself.

    One container: an operation. Several: a batch, on each device one after the other.
    """
    rows = Container.objects.permitted(request.user, Right.OPERATE).present().filter(pk__in=order.containers)
    rows = rows.select_related("device", "update").defer(*_HEAVY, "update__trace", "update__lookups", "update__good")
    found = applying.candidates(list(rows.order_by("device__name", "name", "pk")))
    if len(found) != len(set(order.containers)):
        raise FieldProblem({"containers": "Not all of them exist, or you may not act on them."})
    options = _options(order)
    if len(found) == 1:
        candidate = found[0]
        tag = order.tag or (candidate.first.tag if candidate.first is not None else "")
        if candidate.problem and not order.tag:
            raise OperationRefused(f"{candidate.container.title} cannot be updated: {candidate.problem}")
        operation = applying.request_update(request.user, candidate, tag, options)
        return Status(202, Asked(operation=OperationEntry.of(operation), batch=None))
    if order.tag:
        raise FieldProblem({"tag": "A tag is for a single container."})
    able: list[tuple[applying.Candidate, Target]] = [
        (each, each.first) for each in found if each.first is not None and not each.problem
    ]
    batch = applying.request_updates(request.user, able, options, stops_on_failure=order.stops_on_failure)
    return Status(202, Asked(operation=None, batch=BatchEntry.of(batch, batches.standing_of(batch))))


@router.post("/decisions", response=answers(DecisionEntry, 201), operation_id="updates_decide")
@needs(Right.OPERATE)
def updates_decide(request: HttpRequest, order: Decision) -> Any:
    """Ignore a version, put updates off, or stay on a line."""
    target = _target(request, order)
    if order.kind == "ignore":
        made = decisions.ignore(request.user, target, order.version)
    elif order.kind == "stay":
        made = decisions.stay(request.user, target, order.line)
    elif order.until is None:
        raise FieldProblem({"until": "Say until when."})
    else:
        until = order.until if order.until.tzinfo is not None else order.until.replace(tzinfo=now().tzinfo)
        made = decisions.snooze(request.user, target, until)
    return Status(201, DecisionEntry.of(made))


@router.delete("/decisions/{uuid:pk}", response=answers(None, 204), operation_id="updates_undecide")
@needs(Right.OPERATE)
def updates_undecide(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Take a decision back; who did that is kept."""
    policies = UpdatePolicy.objects.permitted(request.user, Right.OPERATE).select_related("container__device")
    decisions.undo(request.user, get_object_or_404(policies, pk=pk, ended_at=None))
    return Status(204, None)


@of_container.get("/{uuid:pk}/update", response=answers(UpdateDetail), operation_id="containers_update_get")
@needs(Right.SEE)
def containers_update_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """What is known about updates of a container and why, what was decided, and what it was before."""
    rows = Container.objects.visible_to(request.user).select_related("device", "update").defer(*_HEAVY)
    container = get_object_or_404(rows, pk=pk)
    status: UpdateStatus | None = getattr(container, "update", None)
    if status is None:
        raise Http404
    [candidate] = applying.candidates([container])
    visible = UpdatePolicy.objects.visible_to(request.user).in_force(now())
    image = {"registry": status.registry, "repository": status.repository, "tag": status.tag}
    policies = visible.filter(container=container) | visible.filter(container=None, **image)
    replacements = Replacement.objects.visible_to(request.user).filter(container=container).defer("specification")
    return UpdateDetail(
        **facts_of(status),
        trace=status.trace,
        targets=[TargetEntry(tag=target.tag, change=target.change) for target in candidate.targets],
        problem=candidate.problem,
        decisions=[DecisionEntry.of(policy) for policy in policies.order_by("-created_at")[:50]],
        replacements=[ReplacementEntry.of(row) for row in replacements[:20]],
    )


@replacement_router.post(
    "/{uuid:pk}/rollback", response=answers(OperationEntry, 202), operation_id="replacements_rollback"
)
@needs(Right.OPERATE)
@idempotent
def replacements_rollback(request: HttpRequest, pk: uuid.UUID, order: ApplyOptions | None = None) -> Any:
    """Put a container back to what it was before."""
    options = applying.usual_options() if order is None else _options(order)
    operation = applying.request_rollback(request.user, _replacement(request, pk), options)
    return Status(202, OperationEntry.of(operation))


@replacement_router.post(
    "/{uuid:pk}/discard", response=answers(OperationEntry, 202), operation_id="replacements_discard"
)
@needs(Right.OPERATE)
@idempotent
def replacements_discard(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Remove the old container that was kept."""
    return Status(202, OperationEntry.of(applying.request_discard(request.user, _replacement(request, pk))))


@replacement_router.post("/{uuid:pk}/keep", response=answers(ReplacementEntry), operation_id="replacements_keep")
@needs(Right.OPERATE)
def replacements_keep(request: HttpRequest, pk: uuid.UUID, order: Keep) -> Any:
    """Say how long the old container is kept."""
    found = _replacement(request, pk)
    before = snapshot(found)
    applying.keep_longer(found, order.seconds)
    found.refresh_from_db(fields=["keep_until"])
    record_audit(request.user, "replacement.keep", found, before=before, after=snapshot(found), request=request)
    return ReplacementEntry.of(found)


def _replacement(request: HttpRequest, pk: uuid.UUID) -> Replacement:
    rows = Replacement.objects.permitted(request.user, Right.OPERATE).select_related("container__device", "device")
    return get_object_or_404(rows.defer("container__inspect", "container__environment"), pk=pk)


def _container(request: HttpRequest, pk: uuid.UUID) -> Container:
    rows = Container.objects.permitted(request.user, Right.OPERATE).select_related("device").defer(*_HEAVY)
    return get_object_or_404(rows, pk=pk)


def _target(request: HttpRequest, order: Decision) -> decisions.Target:
    """The container, or the image that is named; 404 for an image that nobody runs."""
    if order.container is not None:
        return decisions.Target(container=_container(request, order.container))
    named: dict[str, Any] = {"registry": order.registry, "repository": order.repository, "tag": order.tag}
    if not can_everywhere(request.user, Right.OPERATE):
        # It would count for containers of others as well.
        raise PermissionDenied("What is decided about an image takes the right “operate” everywhere: name a container.")
    if "\x00" in "".join(named.values()):
        raise Http404
    statuses = UpdateStatus.objects.permitted(request.user, Right.OPERATE).present()
    if not order.repository or not statuses.filter(**named).exists():
        raise Http404
    return decisions.Target(**named)


def _options(order: ApplyOptions) -> Options:
    given = order.model_dump(include=set(ApplyOptions.model_fields), exclude_none=True)
    try:
        return read_options({name: str(value) for name, value in given.items()}, applying.usual_options())
    except ParameterError as exc:
        raise FieldProblem({exc.field: str(exc)}) from exc
