"""What containers and hosts used, over time."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import Field

from containers.api.schemas import aware
from containers.models import Container
from containers.statistics.reading import Series, container_series, device_series
from devices.models import Device
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.roles import Right

router = Router(tags=["statistics"])
_LONGEST = timedelta(days=400)


class Span(Schema):
    """From when to when; the last hour when nothing is given."""

    since: datetime | None = None
    until: datetime | None = None


class FigureColumns(Schema):
    """Columns of figures over one axis of time; null where nothing was read."""

    step_s: int = Field(description="Usual seconds between two points.")
    times: list[int] = Field(description="Unix seconds.")
    columns: dict[str, list[float | None]]


@router.get("/containers/{uuid:pk}/statistics", response=answers(FigureColumns), operation_id="containers_statistics")
@needs(Right.SEE)
def containers_statistics(request: HttpRequest, pk: uuid.UUID, span: Query[Span]) -> Any:
    """CPU (100 is one core), memory, network and block I/O of a container, in the finest steps that are kept."""
    found = get_object_or_404(Container.objects.visible_to(request.user).only("pk", "device_id"), pk=pk)
    return _figures(container_series(found, *_ends(span)))


@router.get("/devices/{uuid:pk}/statistics", response=answers(FigureColumns), operation_id="devices_statistics")
@needs(Right.SEE)
def devices_statistics(request: HttpRequest, pk: uuid.UUID, span: Query[Span]) -> Any:
    """The figures of a host, and the sums over its containers."""
    found = get_object_or_404(Device.objects.visible_to(request.user).only("pk"), pk=pk)
    return _figures(device_series(found, *_ends(span)))


def _figures(series: Series) -> FigureColumns:
    return FigureColumns(step_s=series.step_s, times=list(series.times), columns=dict(series.columns))


def _ends(span: Span) -> tuple[datetime, datetime]:
    until = aware(span.until) or datetime.now(UTC)
    since = aware(span.since) or until - timedelta(hours=1)
    if not timedelta() < until - since <= _LONGEST:
        raise FieldProblem({"since": "The span must begin before it ends, and be 400 days at most."})
    return since, until
