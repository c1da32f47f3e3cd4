"""Operations, batches and events."""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from containers import batches, operations
from containers.api.idempotency import idempotent
from containers.api.schemas import BatchEntry, EventEntry, OperationDetail, OperationEntry, aware
from containers.errors import OperationRefused
from containers.filters import ActivityFilter, EventFilter
from containers.models import Batch, Event, Operation
from containers.rules.operation_kinds import right_for
from ssm.lib.api.access import needs
from ssm.lib.api.errors import answers
from ssm.lib.api.paging import Paging, page
from ssm.lib.database import database_work
from ssm.lib.errors import SsmError
from ssm.lib.roles import Right, SomeUser

operation_router = Router(tags=["operations"])
batch_router = Router(tags=["operations"])
event_router = Router(tags=["events"])

_NEWEST: Final = {"created": ("-created_at",)}
_FOLLOWED_EVERY_S: Final = 0.5
_FOLLOWED_FOR_S: Final = 3600
_EVENTS_EVERY_S: Final = 1.0
# Rows may be seen in another order than they were numbered: so many back are looked at again.
_LOOKED_AT_AGAIN: Final = 500
_MOST_AT_ONCE: Final = 1000
# Each costs a query a second or two.
MOST_FOLLOWERS: Final = 100


class TooManyFollowers(SsmError):
    """This process follows as much as it can."""

    code = "too_many_streams"
    status = 429

    def __init__(self) -> None:
        super().__init__("Too many callers follow something just now.", fix="Try again in a moment.")


class _Followers:
    """How many streams this process sends, all on one event loop."""

    count = 0


_followers: Final = _Followers()


@contextmanager
def _follower() -> Iterator[None]:
    _followers.count += 1
    try:
        yield
    finally:
        _followers.count -= 1


class OperationFilter(Schema):
    """Which operations; all that are given must hold."""

    q: str = Field("", description="Part of the name of the object or the device.", max_length=200)
    state: Literal["", "active", "succeeded", "failed", "cancelled"] = Field("", description="`active`: not ended.")
    kind: str = Field("", max_length=20, examples=["image_pull"])
    device: uuid.UUID | None = None
    container: uuid.UUID | None = None
    batch: uuid.UUID | None = None
    person: str = Field("", description="User name of who asked for it.", max_length=150)
    sort: Literal["created", "-created"] = Field("created", description="The newest first; with - the oldest.")


class OperationPage(Schema):
    """Some operations, the newest first, and where the next page begins."""

    items: list[OperationEntry]
    next: str


class EventPage(Schema):
    """Some events, the newest first, and where the next page begins."""

    items: list[EventEntry]
    next: str


class EventQuery(Schema):
    """Which events; all that are given must hold."""

    q: str = Field("", description="Part of a name, action or device.", max_length=200)
    kind: Literal["", "container", "image", "volume", "network", "daemon", "builder", "plugin"] = ""
    act: Literal["", "started", "ended", "health", "made", "removed", "changed"] = ""
    severity: Literal["", "good", "bad"] = ""
    device: uuid.UUID | None = None
    container: uuid.UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: Literal["time", "-time"] = Field("time", description="The newest first; with - the oldest.")


@operation_router.get("", response=answers(OperationPage), operation_id="operations_list")
@needs(Right.SEE)
def operations_list(request: HttpRequest, filters: Query[OperationFilter], paging: Query[Paging]) -> Any:
    """What was done on the hosts, the newest first."""
    chosen = ActivityFilter(
        q=filters.q.replace("\x00", ""),
        state=filters.state,
        kind=filters.kind.replace("\x00", ""),
        device=str(filters.device or ""),
        person=filters.person.replace("\x00", ""),
        operation="",
        since="",
    )
    rows = chosen.select(Operation.objects.visible_to(request.user))
    if filters.container:
        rows = rows.filter(container_id=filters.container)
    if filters.batch:
        rows = rows.filter(batch_id=filters.batch)
    return page(rows, _NEWEST, filters.sort, paging).shown(OperationEntry.of)


@operation_router.get("/{uuid:pk}", response=answers(OperationDetail), operation_id="operations_get")
@needs(Right.SEE)
def operations_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One operation with its output."""
    return OperationDetail.with_all(get_object_or_404(Operation.objects.visible_to(request.user), pk=pk))


@operation_router.get("/{uuid:pk}/follow", response=answers(OperationDetail), operation_id="operations_follow")
@needs(Right.SEE)
def operations_follow(request: HttpRequest, pk: uuid.UUID) -> Any:
    """The operation as NDJSON: a line at once, one for each change, the last one once it has ended."""
    get_object_or_404(Operation.objects.visible_to(request.user).only("pk"), pk=pk)
    return _stream(_followed(request.user, pk))


def _stream(lines: AsyncIterator[bytes]) -> StreamingHttpResponse:
    if _followers.count >= MOST_FOLLOWERS:
        raise TooManyFollowers
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    response["X-Accel-Buffering"] = "no"
    response["Cache-Control"] = "no-store"
    return response


async def _followed(user: SomeUser, pk: uuid.UUID) -> AsyncIterator[bytes]:
    with _follower():
        async for line in _changes(user, pk):
            yield line


async def _changes(user: SomeUser, pk: uuid.UUID) -> AsyncIterator[bytes]:
    told = ""
    for _look in range(int(_FOLLOWED_FOR_S / _FOLLOWED_EVERY_S)):
        detail = await sync_to_async(_look_at)(user, pk)
        if detail is None:
            return
        text = json.dumps(detail.model_dump(mode="json"))
        if text != told:
            told = text
            yield text.encode() + b"\n"
        if detail.is_final:
            return
        await asyncio.sleep(_FOLLOWED_EVERY_S)


def _look_at(user: SomeUser, pk: uuid.UUID) -> OperationDetail | None:
    with database_work():
        found = Operation.objects.visible_to(user).filter(pk=pk).first()
        return OperationDetail.with_all(found) if found is not None else None


@operation_router.post("/{uuid:pk}/cancel", response=answers(OperationEntry), operation_id="operations_cancel")
@needs(Right.SEE)
def operations_cancel(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Call it off: at once while it waits, else as soon as its worker can undo what it has begun."""
    found = _permitted(request, pk)
    if not operations.request_cancel(request.user, found):
        raise OperationRefused("It cannot be called off any more: the engine is at it, or it has ended.")
    found.refresh_from_db()
    return OperationEntry.of(found)


@operation_router.post("/{uuid:pk}/repeat", response=answers(OperationEntry, 202), operation_id="operations_repeat")
@needs(Right.SEE)
@idempotent
def operations_repeat(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Ask for the same act once more."""
    found = _permitted(request, pk)
    if not found.is_final:
        raise OperationRefused("It has not ended yet.", fix="Wait until it has.")
    return Status(202, OperationEntry.of(batches.ask_again(request.user, found)))


def _permitted(request: HttpRequest, pk: uuid.UUID) -> Operation:
    """The operation if the caller may ask for its like. Http404, PermissionDenied."""
    visible = Operation.objects.visible_to(request.user).select_related("device", "container__device", "batch")
    found = get_object_or_404(visible, pk=pk)
    right = Right(right_for(found.kind))
    if not Operation.objects.permitted(request.user, right).filter(pk=pk).exists():
        raise PermissionDenied(f"It takes the right “{right.value}”.")
    return found


@batch_router.get("/{uuid:pk}", response=answers(BatchEntry), operation_id="batches_get")
@needs(Right.SEE)
def batches_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """How far a batch is; its operations are listed by `GET /operations?batch=`."""
    found = get_object_or_404(Batch.objects.visible_to(request.user), pk=pk)
    return BatchEntry.of(found, batches.standing_of(found))


@event_router.get("", response=answers(EventPage), operation_id="events_list")
@needs(Right.SEE)
def events_list(request: HttpRequest, filters: Query[EventQuery], paging: Query[Paging]) -> Any:
    """What the engines told, the newest first."""
    rows = _event_filter(filters).select(Event.objects.visible_to(request.user)).select_related("device")
    return page(rows, {"time": ("-time_ns",)}, filters.sort, paging).shown(EventEntry.of)


def _event_filter(filters: EventQuery) -> EventFilter:
    return EventFilter(
        q=filters.q.replace("\x00", ""),
        kind=filters.kind,
        act=filters.act,
        severity=filters.severity,
        device=str(filters.device or ""),
        container=str(filters.container or ""),
        since=aware(filters.since),
        until=aware(filters.until),
    )


@event_router.get("/follow", response=answers(EventEntry), operation_id="events_follow")
@needs(Right.SEE)
def events_follow(request: HttpRequest, filters: Query[EventQuery]) -> Any:
    """Events as they come, as `application/x-ndjson`: one object of the kind below for each. An empty line now and
    then keeps the connection alive. It ends after an hour: go on with `GET /events?since=`.
    """
    return _stream(_events(request.user, _event_filter(filters)))


async def _events(user: SomeUser, chosen: EventFilter) -> AsyncIterator[bytes]:
    with _follower():
        known: deque[int] = deque(await sync_to_async(_latest)(), maxlen=2 * _MOST_AT_ONCE)
        # The head of the answer goes out at once.
        yield b"\n"
        for look in range(int(_FOLLOWED_FOR_S / _EVENTS_EVERY_S)):
            await asyncio.sleep(_EVENTS_EVERY_S)
            lines = await sync_to_async(_new_events)(user, chosen, known)
            if lines or look % 20 == 19:
                yield "".join(f"{line}\n" for line in lines or [""]).encode()


def _latest() -> list[int]:
    with database_work():
        return sorted(Event.objects.order_by("-pk").values_list("pk", flat=True)[:_LOOKED_AT_AGAIN])


def _new_events(user: SomeUser, chosen: EventFilter, known: "deque[int]") -> list[str]:
    with database_work():
        seen, after = set(known), max(known, default=0) - _LOOKED_AT_AGAIN
        ids = [
            pk
            for pk in Event.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:_MOST_AT_ONCE]
            if pk not in seen
        ]
        if not ids:
            return []
        known.extend(ids)
        rows = chosen.select(Event.objects.visible_to(user)).filter(pk__in=ids).select_related("device")
        return [json.dumps(EventEntry.of(row).model_dump(mode="json")) for row in rows.order_by("time_ns", "pk")]
