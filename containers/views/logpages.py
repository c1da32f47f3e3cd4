"""The pages of logs: of one container, of several merged by time, the choice of them, and the search over them."""

import re
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from containers.logs.around import lines_around
from containers.logs.choosing import Choice, Chosen, SourceEntry, find_sources
from containers.logs.clocks import host_offsets
from containers.models import Container, Event
from containers.rules.events import Severity, describe
from containers.rules.logfilter import LineFilter, LineFilterError, read_filter
from containers.views.pages import find_container
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.roles import Right, holds
from ssm.lib.tables import text_of

LEVELS: Final = (("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("none", "other"))
PLAIN_LINES: Final = 200
LONGEST_PLAIN: Final = 2000
MOST_OFFERED: Final = 300
MOST_EVENTS: Final = 300
_DRAWN: Final = {
    "start": "started",
    "die": "stopped",
    "oom": "oom",
    "kill": "killed",
    "pause": "paused",
    "unpause": "started",
    "rename": "renamed",
    "destroy": "removed",
}
# Colours and other commands to a terminal, and characters that control or reorder text.
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_CONTROLS: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNREAD: Final = ("inspect", "environment")


@dataclass(frozen=True, slots=True)
class PlainLine:
    """A line as the page without scripts shows it."""

    time: str
    time_ns: int
    stream: str
    text: str
    source: str


@require_GET
@allowed(holds(Right.LOGS))
def container_log(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One container's log, followed over a socket; ``plain=1`` gives lines as plain HTML, older ones by links."""
    container = find_container(request, pk, unread=_UNREAD, right=Right.LOGS)
    selection = urlencode({"container": str(container.pk)})
    context: dict[str, Any] = {
        "container": container,
        "tab": "logs",
        "selection": selection,
        "log_levels": LEVELS,
        "download_url": reverse("containers:log_download", args=[container.pk]) + "?timestamps=1",
        "histogram_url": reverse("logs:histogram"),
        "plain_url": _with(request, plain="1"),
    }
    if "plain" in request.GET:
        context |= _plain(request, find_sources(request.user, Choice(containers=(str(container.pk),))))
    return render(request, "containers/logs.html", context)


@require_GET
@allowed(holds(Right.LOGS))
def merged(request: HttpRequest) -> HttpResponse:
    """Several logs as one. Without a choice in the address: the page that offers containers to choose."""
    choice = Choice.read(request.GET)
    if choice.is_empty:
        return render(request, "logs/choose.html", _offer(request))
    chosen = find_sources(request.user, choice)
    selection = _selection(choice)
    context: dict[str, Any] = {
        "chosen": chosen,
        "selection": selection,
        "title": _title(request, choice, chosen),
        "hosts": len({source["device"] for source in chosen.sources}),
        "log_levels": LEVELS,
        "download_url": f"{reverse('logs:download')}?{selection}&timestamps=1",
        "histogram_url": reverse("logs:histogram"),
        "plain_url": _with(request, plain="1"),
    }
    if "plain" in request.GET:
        context |= _plain(request, chosen)
    return render(request, "logs/merged.html", context)


@require_GET
@allowed(holds(Right.LOGS))
def find(request: HttpRequest) -> HttpResponse:
    """The search over many logs; its hits are streamed to the page."""
    choice = Choice.read(request.GET)
    chosen = find_sources(request.user, choice)
    context = {
        "chosen": chosen,
        "selection": _selection(choice),
        "title": _title(request, choice, chosen) if chosen.sources else "",
        "q": text_of(request.GET, "q"),
        "given": request.GET,
    }
    return render(request, "logs/find.html", context if chosen.sources else context | _offer(request))


@require_GET
@allowed(holds(Right.LOGS))
def clocks(request: HttpRequest) -> JsonResponse:
    """Minutes that the hosts of the chosen containers are ahead of UTC, by container id, as far as they answer."""
    return JsonResponse({"offsets": host_offsets(find_sources(request.user, Choice.read(request.GET)).sources)})


@require_GET
@allowed(holds(Right.LOGS))
def drawn_events(request: HttpRequest) -> JsonResponse:
    """What happened to the chosen containers from ``from_ns`` to ``to_ns``, to be drawn between their lines.

    The newest MOST_EVENTS, oldest first: ``source`` (container id), ``time_ns`` (as text), ``kind`` and ``text``.
    """
    ids = [uuid.UUID(source["id"]) for source in find_sources(request.user, Choice.read(request.GET)).sources]
    first, last = (_whole(request.GET.get(name, "")) for name in ("from_ns", "to_ns"))
    health = Q(action__startswith="health_status")
    events = (
        Event.objects.filter(Q(action__in=_DRAWN) | health, container__in=ids, kind="container")
        .filter(time_ns__gte=first, time_ns__lte=last)
        .order_by("-time_ns")[:MOST_EVENTS]
    )
    return JsonResponse(
        {
            "events": [
                {"source": str(event.container_id), "time_ns": str(event.time_ns)} | _drawn(event)
                for event in reversed(events)
            ]
        }
    )


def _drawn(event: Event) -> dict[str, str]:
    sentence = describe(event)
    kind = _DRAWN.get(event.action) or event.action.rpartition(":")[2].strip()
    if kind == "stopped" and sentence.severity >= Severity.WARNING:
        kind = "died"
    return {"kind": kind, "text": sentence.text}


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _selection(choice: Choice) -> str:
    """The choice as the data endpoints take it."""
    fields = [("container", each) for each in choice.containers] + [("device", each) for each in choice.devices]
    fields += [("project", choice.project)] if choice.project else []
    return urlencode(fields + [("label", each) for each in choice.labels])


def _title(request: HttpRequest, choice: Choice, chosen: Chosen) -> str:
    """What was chosen, in a few words."""
    parts = []
    if choice.project:
        parts.append(choice.project)
    if choice.devices:
        names = Device.objects.visible_to(request.user).filter(pk__in=choice.devices).values_list("name", flat=True)
        parts.append(", ".join(names[:3]))
    parts.extend(choice.labels)
    if not parts:
        parts.append(", ".join(source["name"] for source in chosen.sources[:3]))
        if len(chosen.sources) > 3:
            parts[-1] += f" and {len(chosen.sources) - 3} more"
    return " · ".join(part for part in parts if part)


def _offer(request: HttpRequest) -> dict[str, Any]:
    """Containers, projects and devices to choose from."""
    q = text_of(request.GET, "find")
    containers = Container.objects.permitted(request.user, Right.LOGS).present()
    if q:
        found = Q(name__icontains=q) | Q(display_name__icontains=q) | Q(image_reference__icontains=q)
        containers = containers.filter(found | Q(device__name__icontains=q) | Q(compose_project__icontains=q))
    rows = containers.select_related("device").only(
        "name", "display_name", "image_reference", "state", "compose_project", "device__name"
    )
    visible = Container.objects.permitted(request.user, Right.LOGS).present().order_by()
    return {
        "find": q,
        "containers": rows.order_by("device__name", "name", "pk")[:MOST_OFFERED],
        "projects": visible.exclude(compose_project="")
        .values("compose_project")
        .annotate(count=Count("pk"))
        .order_by("compose_project")[:60],
        "devices": visible.values("device", "device__name").annotate(count=Count("pk")).order_by("device__name")[:60],
    }


def _plain(request: HttpRequest, chosen: Chosen) -> dict[str, Any]:
    """Lines for the page without scripts: up to those before ``before`` (nanoseconds), the newest at the bottom."""
    before = _whole(request.GET.get("before", "")) or None
    try:
        wanted, problem = read_filter(request.GET), ""
    except LineFilterError as error:
        wanted, problem = LineFilter(), str(error)
    now_ns = time.time_ns() + 600 * 1_000_000_000  # a host's clock may be ahead of ours
    found = lines_around(chosen.sources, at_ns=before or now_ns, before=PLAIN_LINES, after=0, wanted=wanted)
    lines = [_plain_line(each.as_json(), chosen.sources) for each in found.lines]
    problems = [f"{each['message']} {each['fix']}".strip() for each in found.problems]
    older = _with(request, before=str(lines[0].time_ns)) if lines and not found.at_start else ""
    return {
        "is_plain": True,
        "lines": lines,
        "problems": [text for text in [problem, *problems] if text],
        "older_url": older,
        "newest_url": _with(request, before=""),
        "is_newest": before is None,
        "q": request.GET.get("q", ""),
    }


def _plain_line(line: dict[str, Any], sources: list[SourceEntry]) -> PlainLine:
    name = sources[line["source"]]["name"] if len(sources) > 1 else ""
    return PlainLine(
        line["time"][:23].replace("T", " "),
        int(line["time_ns"]),
        line["stream"],
        _CONTROLS.sub("", _ESCAPES.sub("", line["text"][:LONGEST_PLAIN])),
        name,
    )


def _with(request: HttpRequest, **changes: str) -> str:
    """This page's address with other values; empty ones are left out."""
    query = request.GET.copy()
    for name, value in changes.items():
        if value:
            query[name] = value
        else:
            query.pop(name, None)
    return f"?{query.urlencode()}"
