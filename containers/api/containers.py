"""Containers: listed, looked at, acted on."""

import uuid
from typing import Any, Literal, get_args

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import register_converter
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from containers import batches
from containers.api.idempotency import idempotent
from containers.api.schemas import (
    ActKind,
    BatchEntry,
    ContainerDetail,
    ContainerEntry,
    OperationEntry,
)
from containers.filters import FleetFilter
from containers.inside import file_changes, processes
from containers.models import Container
from containers.operation_requests import request_operation
from containers.rules.limits import limits_of, read_limits
from containers.rules.parameters import ParameterError, read_parameters
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right, can


class ActConverter:
    """The acts as part of a path, so that it takes no other path for one."""

    regex = "|".join(get_args(ActKind))

    def to_python(self, value: str) -> str:
        """The act itself."""
        return value

    def to_url(self, value: str) -> str:
        """The act itself."""
        return value


register_converter(ActConverter, "act")
router = Router(tags=["containers"])

_SORTS = {
    "name": ("name", "device__name"),
    "device": ("device__name", "name"),
    "state": ("state", "name", "device__name"),
    "project": ("compose_project", "name", "device__name"),
    "appeared": ("-appeared_at",),
    "changed": ("-changed_at",),
}


class ContainerFilter(Schema):
    """Which containers; all that are given must hold."""

    q: str = Field("", description="Part of the name, image, device or project; or the id's beginning.", max_length=200)
    state: Literal["", "attention", "running", "restarting", "paused", "failed", "exited", "dead", "created"] = Field(
        "", description="`attention`: what somebody should look at; `failed`: exited with an error."
    )
    health: Literal["", "healthy", "unhealthy", "starting", "none"] = ""
    device: uuid.UUID | None = None
    group: str = Field("", description="A group of devices.", max_length=50)
    project: str = Field("", description="A compose project.", max_length=255)
    sort: Literal[
        "name",
        "-name",
        "device",
        "-device",
        "state",
        "-state",
        "project",
        "-project",
        "appeared",
        "-appeared",
        "changed",
        "-changed",
    ] = "name"

    def fleet_filter(self) -> FleetFilter:
        """As the fleet table filters."""
        return FleetFilter(
            q=_clean(self.q),
            state=self.state,
            health=self.health,
            device=str(self.device or ""),
            group=_clean(self.group),
            project=_clean(self.project),
            by="",
            sort="name",
        )


class ContainerPage(Schema):
    """Some containers, and where the next page begins."""

    items: list[ContainerEntry]
    next: str


class Act(Schema):
    """How to act; what the act does not know is ignored."""

    model_config = ConfigDict(extra="forbid")

    signal: str = Field("", description="kill: the signal, SIGKILL when empty.", max_length=20, examples=["SIGTERM"])
    timeout_s: int | None = Field(None, ge=0, le=3600, description="stop, restart: seconds before it is killed.")
    force: bool = Field(False, description="remove: also while it runs.")
    volumes: bool = Field(False, description="remove: its anonymous volumes too.")


class NewName(Schema):
    """What a container shall be called."""

    name: str = Field(max_length=128, examples=["web-2"])


class NewLimits(Schema):
    """Limits to change while it runs; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    memory: str | None = Field(None, max_length=30, examples=["512m"])
    memory_reservation: str | None = Field(None, max_length=30)
    cpus: str | None = Field(None, max_length=30, examples=["1.5"])
    cpu_shares: int | None = None
    pids: int | None = None
    restart_policy: Literal["no", "always", "unless-stopped", "on-failure"] | None = None
    restart_tries: int | None = Field(None, ge=0, le=1000)


class BatchOrder(Act):
    """One act on several containers."""

    kind: ActKind
    containers: list[uuid.UUID] = Field(min_length=1, max_length=batches.MOST_ITEMS)
    stops_on_failure: bool = Field(False, description="Begin nothing more after the first failure.")


class Table(Schema):
    """What `top` tells: titles, and a row for each process."""

    titles: list[str]
    rows: list[list[str]]
    is_cut: bool


class Change(Schema):
    """A path that differs from the image."""

    what: str = Field(examples=["added"])
    path: str


@router.get("", response=answers(ContainerPage), operation_id="containers_list")
@needs(Right.SEE)
def containers_list(request: HttpRequest, filters: Query[ContainerFilter], paging: Query[Paging]) -> Any:
    """The containers on all devices that the caller may see."""
    rows = filters.fleet_filter().select(Container.objects.visible_to(request.user).present()).for_page()
    return page(rows, _SORTS, filters.sort, paging).shown(ContainerEntry.of)


@router.post("/batch", response=answers(BatchEntry, 202), operation_id="containers_batch")
@needs(Right.OPERATE)
@idempotent
def containers_batch(request: HttpRequest, order: BatchOrder) -> Any:
    """Act on several containers: answers with the batch, whose operations tell the result of each.

    Within compose projects the order of dependencies is kept.
    """
    chosen = list(
        Container.objects.permitted(request.user, Right.OPERATE)
        .filter(pk__in=order.containers)
        .select_related("device")
        .defer("inspect", "environment")
        .order_by("device__name", "name")
    )
    title = f"{order.kind.capitalize()} {len(chosen)} container{'s' if len(chosen) != 1 else ''}"
    batch = batches.request_batch(
        request.user,
        chosen,
        order.kind,
        _parameters(order.kind, order),
        title=title,
        stops_on_failure=order.stops_on_failure,
    )
    return Status(202, BatchEntry.of(batch, batches.standing_of(batch)))


@router.get("/{uuid:pk}", response=answers(ContainerDetail), operation_id="containers_get")
@needs(Right.SEE)
def containers_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One container with all that SSM knows of it. Values of variables take the right `inspect_environment`."""
    found = get_object_or_404(Container.objects.visible_to(request.user).for_page().defer(None).defer("inspect"), pk=pk)
    sees = can(request.user, Right.INSPECT_ENVIRONMENT)
    sees = sees and Container.objects.permitted(request.user, Right.INSPECT_ENVIRONMENT).filter(pk=pk).exists()
    return ContainerDetail.with_all(found, sees_values=sees)


@router.get("/{uuid:pk}/inspect", response=answers(dict[str, Any]), operation_id="containers_inspect")
@needs(Right.SEE)
def containers_inspect(request: HttpRequest, pk: uuid.UUID) -> Any:
    """The engine's own answer, with secrets masked."""
    return get_object_or_404(Container.objects.visible_to(request.user).only("inspect"), pk=pk).inspect


@router.get("/{uuid:pk}/processes", response=answers(Table), operation_id="containers_processes")
@needs(Right.SEE)
def containers_processes(request: HttpRequest, pk: uuid.UUID) -> Any:
    """The processes in it now, asked of the host."""
    found = get_object_or_404(Container.objects.visible_to(request.user).select_related("device"), pk=pk)
    sees = Container.objects.permitted(request.user, Right.INSPECT_ENVIRONMENT).filter(pk=pk).exists()
    table = processes(found, masks=not sees)
    return Table(titles=list(table.titles), rows=[list(row) for row in table.rows], is_cut=table.is_cut)


@router.get("/{uuid:pk}/changes", response=answers(list[Change]), operation_id="containers_changes")
@needs(Right.SEE)
def containers_changes(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Files that differ from its image, asked of the host; 5,000 at most."""
    found = get_object_or_404(Container.objects.visible_to(request.user).select_related("device"), pk=pk)
    return [Change(what=change.what, path=change.path) for change in file_changes(found).changes]


@router.post("/{uuid:pk}/rename", response=answers(OperationEntry, 202), operation_id="containers_rename")
@needs(Right.OPERATE)
@idempotent
def containers_rename(request: HttpRequest, pk: uuid.UUID, order: NewName) -> Any:
    """Give it another name."""
    found = _operable(request, pk)
    try:
        parameters = read_parameters("rename", {"name": order.name})
    except ParameterError as exc:
        raise FieldProblem({exc.field: str(exc)}) from exc
    return Status(202, OperationEntry.of(request_operation(request.user, found, "rename", parameters)))


@router.post("/{uuid:pk}/limits", response=answers(OperationEntry, 202), operation_id="containers_limits")
@needs(Right.OPERATE)
@idempotent
def containers_limits(request: HttpRequest, pk: uuid.UUID, order: NewLimits) -> Any:
    """Change limits and the restart policy while it runs."""
    found = _operable(request, pk)
    now = limits_of(found.inspect.get("HostConfig") or {})
    given: dict[str, Any] = {
        "memory": now.memory_text,
        "memory_reservation": now.memory_reservation_text,
        "cpus": now.cpus_text,
        "cpu_shares": now.cpu_shares,
        "pids": now.pids,
        "restart_policy": now.restart_policy,
        "restart_tries": now.restart_tries,
    } | order.model_dump(exclude_none=True)
    try:
        body = read_limits({name: "" if value is None else str(value) for name, value in given.items()}, now)
    except ParameterError as exc:
        raise FieldProblem({exc.field: str(exc)}) from exc
    if not body:
        raise FieldProblem({"": "Nothing of this differs from how it stands."})
    return Status(202, OperationEntry.of(request_operation(request.user, found, "configure", body)))


@router.post("/{uuid:pk}/{act:kind}", response=answers(OperationEntry, 202), operation_id="containers_act")
@needs(Right.OPERATE)
@idempotent
def containers_act(request: HttpRequest, pk: uuid.UUID, kind: ActKind, order: Act | None = None) -> Any:
    """Start, stop, restart, pause, unpause, kill or remove it; the operation tells how it went."""
    found = _operable(request, pk)
    parameters = _parameters(kind, order) if order is not None else {}
    return Status(202, OperationEntry.of(request_operation(request.user, found, kind, parameters)))


def _operable(request: HttpRequest, pk: uuid.UUID) -> Container:
    """The container if the caller may act on it. Http404."""
    containers = Container.objects.permitted(request.user, Right.OPERATE).select_related("device").defer("environment")
    return get_object_or_404(containers, pk=pk)


def _parameters(kind: str, order: Act) -> dict[str, Any]:
    given = {
        "signal": order.signal,
        "timeout_s": "" if order.timeout_s is None else str(order.timeout_s),
        "force": "1" if order.force else "",
        "volumes": "1" if order.volumes else "",
    }
    try:
        return read_parameters(kind, given)
    except ParameterError as exc:
        raise FieldProblem({exc.field: str(exc)}) from exc


def _clean(text: str) -> str:
    # PostgreSQL's text holds no NUL.
    return text.replace("\x00", "").strip()
