"""What the Engines of the whole fleet told: a list with filters that follows, and its export."""

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Self

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from containers.filters import EVENT_CLASSES, EVENT_KINDS, EVENT_SEVERITIES, LONGEST_LIST, EventFilter
from containers.models import Container, Event
from containers.querysets import EventQuerySet
from containers.rules.events import describe
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.database import database_work
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_view
from ssm.lib.tables import PAGE_SIZE, Choice

NEWEST_FIRST: Final = ("-time_ns", "-pk")
# A page that was left open for a night says "more than" and not how many.
MOST_NEW: Final = 999
_MOST_EXPORTED: Final = 100_000
_EXPORTED_AT_ONCE: Final = 1000
_FORMATS: Final = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_COLUMNS: Final = ("time", "device", "kind", "action", "name", "id", "severity", "sentence", "attributes")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list, newest first: the time and the number of a row."""

    time_ns: int
    pk: int

    @classmethod
    def read(cls, text: str) -> Self | None:
        """From an address; None for anything else than two numbers."""
        first, _dash, second = text.partition("-")
        if not (first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
            return None
        return cls(int(first), int(second)) if len(first) < 20 and len(second) < 19 else None

    @classmethod
    def of(cls, event: Event) -> Self:
        """The place of a row."""
        return cls(event.time_ns, event.pk)

    def __str__(self) -> str:
        return f"{self.time_ns}-{self.pk}"

    @property
    def older(self) -> Q:
        """What comes below."""
        return Q(time_ns__lt=self.time_ns) | Q(time_ns=self.time_ns, pk__lt=self.pk)

    @property
    def newer(self) -> Q:
        """What comes above."""
        return Q(time_ns__gt=self.time_ns) | Q(time_ns=self.time_ns, pk__gt=self.pk)


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, newest first, and how to get to those before and after; ``newest`` is the highest number of all."""

    rows: list[Event]
    older: str
    newer: str
    is_first: bool
    newest: int


def event_page(events: EventQuerySet, query: QueryDict) -> EventPage:
    """The page that an address asks for by ``before`` or ``after``. Two queries, however far down it is."""
    rows_of = events.select_related("device", "container").order_by(*NEWEST_FIRST)
    before, after = Cursor.read(query.get("before", "")), Cursor.read(query.get("after", ""))
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    if after is not None:
        rows = list(rows_of.filter(after.newer).reverse()[: PAGE_SIZE + 1])
        if len(rows) > PAGE_SIZE:
            rows = rows[:PAGE_SIZE][::-1]
            return EventPage(rows, str(Cursor.of(rows[-1])), str(Cursor.of(rows[0])), is_first=False, newest=newest)
        before = None  # the top is reached: it is shown in full
    rows = list((rows_of.filter(before.older) if before else rows_of)[: PAGE_SIZE + 1])
    has_more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    return EventPage(
        rows=rows,
        older=str(Cursor.of(rows[-1])) if has_more else "",
        newer=str(Cursor.of(rows[0])) if before and rows else "",
        is_first=before is None,
        newest=newest,
    )


@require_GET
@allowed(can_view)
def events(request: HttpRequest) -> HttpResponse:
    """The events that pass the filters of the address, newest first."""
    chosen = EventFilter.read(request.GET)
    names = dict(Device.objects.visible_to(request.user).order_by("name").values_list("pk", "name")[:LONGEST_LIST])
    container = None
    if chosen.container:
        container = Container.objects.visible_to(request.user).filter(pk=chosen.container).only("name").first()
    context = {
        "page": event_page(chosen.select(Event.objects.visible_to(request.user)), request.GET),
        "chosen": chosen,
        "chips": chosen.chips(
            request.GET,
            {str(pk): name for pk, name in names.items()}.get(chosen.device, "one device"),
            container.name if container else "one container",
        ),
        "kinds": EVENT_KINDS,
        "classes": EVENT_CLASSES,
        "severities": EVENT_SEVERITIES,
        "devices": [Choice(str(pk), name) for pk, name in names.items()],
    }
    return render_page(request, "events/list.html", "events/partials/results.html", context)


@require_GET
@allowed(can_view)
def new_events(request: HttpRequest) -> JsonResponse:
    """How many events came after the number ``than`` that pass the filters of the address: ``{"count": 12}``."""
    than = request.GET.get("than", "")
    number = int(than) if than.isascii() and than.isdigit() and len(than) < 19 else 0
    found = EventFilter.read(request.GET).select(Event.objects.visible_to(request.user)).filter(pk__gt=number)
    return JsonResponse({"count": found.order_by()[: MOST_NEW + 1].count(), "most": MOST_NEW})


@require_GET
@allowed(can_view)
def export(request: HttpRequest) -> HttpResponseBase:
    """The events that pass the filters of the address as a file (``format``: csv or ndjson), 100,000 at most."""
    form = request.GET.get("format", "csv")
    if form not in _FORMATS:
        return HttpResponse("Unknown format: csv or ndjson.\n", status=400, content_type="text/plain")
    rows = EventFilter.read(request.GET).select(Event.objects.visible_to(request.user))
    response = StreamingHttpResponse(_exported(rows, form), content_type=f"{_FORMATS[form]}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="events.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Accel-Buffering"] = "no"
    return response


async def _exported(events: EventQuerySet, form: str) -> AsyncIterator[str]:
    """The file in pieces of a thousand rows: read from one place to the next, so nothing is held."""
    if form == "csv":
        yield _csv_line(_COLUMNS)
    cursor: Cursor | None = None
    for _piece in range(_MOST_EXPORTED // _EXPORTED_AT_ONCE):
        rows = await sync_to_async(_read)(events, cursor)
        if rows:
            cursor = Cursor.of(rows[-1])
            yield "".join(_csv_line(_values(row)) if form == "csv" else _json_line(row) for row in rows)
        if len(rows) < _EXPORTED_AT_ONCE:
            return


def _read(events: EventQuerySet, cursor: Cursor | None) -> list[Event]:
    with database_work():
        chosen = events.filter(cursor.older) if cursor else events
        return list(chosen.select_related("device").order_by(*NEWEST_FIRST)[:_EXPORTED_AT_ONCE])


def _facts(event: Event) -> dict[str, Any]:
    return {
        "time": event.time.isoformat(),
        "device": event.device.name,
        "kind": event.kind,
        "action": event.action,
        "name": event.actor_name,
        "id": event.actor_id,
        "severity": event.severity,
        "sentence": describe(event).text,
        "attributes": event.attributes,
    }


def _values(event: Event) -> list[str]:
    facts = _facts(event)
    return [json.dumps(facts[name]) if name == "attributes" else str(facts[name]) for name in _COLUMNS]


def _json_line(event: Event) -> str:
    return json.dumps(_facts(event), ensure_ascii=False) + "\n"


def _csv_line(values: tuple[str, ...] | list[str]) -> str:
    """One line. What a spreadsheet would take for a formula gets an apostrophe in front: hosts choose these words."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow(
        [f"'{value}" if value.startswith(("=", "+", "-", "@", "\t")) else value for value in values]
    )
    return buffer.getvalue()
