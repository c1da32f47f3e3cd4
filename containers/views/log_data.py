"""What the log pages ask for beside the stream: search, lines around a moment, density, merged downloads."""

import time
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from containers.logs.around import MOST_LINES, lines_around
from containers.logs.choosing import Choice, Chosen, find_sources
from containers.logs.density import MOST_BUCKETS, count_lines
from containers.logs.download import LogDownload
from containers.logs.merged_file import MOST_SOURCES as MOST_IN_A_FILE
from containers.logs.merged_file import merged_pieces
from containers.logs.searching import DEFAULT_HITS, MOST_HITS, Search, search_lines
from containers.rules.logfilter import LineFilterError, read_filter
from containers.rules.logspans import SpanError, read_moment, read_whole
from ssm.lib.access import allowed
from ssm.lib.roles import Right, holds

_DAY_NS: Final = 86_400 * 1_000_000_000
_HOUR_NS: Final = 3600 * 1_000_000_000
Answer = Callable[[HttpRequest, Chosen], HttpResponseBase]


def _of_chosen(request: HttpRequest, answer: Answer) -> HttpResponseBase:
    """Call with the logs that the address chose; what is wrong with it is told as text."""
    chosen = find_sources(request.user, Choice.read(request.GET))
    if not chosen.sources:
        return _refusal("None of the chosen containers is there, or none was chosen.", 404)
    try:
        return answer(request, chosen)
    except (LineFilterError, SpanError) as error:
        return _refusal(str(error), 400)


@require_GET
@allowed(holds(Right.LOGS))
def search(request: HttpRequest) -> HttpResponseBase:
    """Lines that match in the chosen logs, as NDJSON while they are found (containers.logs.searching)."""
    return _of_chosen(request, _search)


def _search(request: HttpRequest, chosen: Chosen) -> HttpResponseBase:
    wanted = read_filter(request.GET)
    if wanted.keeps is None:
        raise LineFilterError("q", "give what to look for.")
    now_ns = time.time_ns()
    found = search_lines(
        Search(
            chosen=chosen,
            filter=wanted,
            since_ns=read_moment("since", request.GET.get("since", ""), now_ns),
            until_ns=read_moment("until", request.GET.get("until", ""), now_ns),
            limit=max(1, read_whole("limit", request.GET.get("limit", ""), DEFAULT_HITS, MOST_HITS)),
        )
    )
    return _streamed(found, "application/x-ndjson")


@require_GET
@allowed(holds(Right.LOGS))
def around(request: HttpRequest) -> HttpResponseBase:
    """Lines before and after ``at_ns`` in the chosen logs, as JSON."""
    return _of_chosen(request, _around)


def _around(request: HttpRequest, chosen: Chosen) -> HttpResponseBase:
    found = lines_around(
        chosen.sources,
        at_ns=read_whole("at_ns", request.GET.get("at_ns", ""), time.time_ns(), 2**63 - 1),
        before=read_whole("before", request.GET.get("before", ""), 200, MOST_LINES),
        after=read_whole("after", request.GET.get("after", ""), 200, MOST_LINES),
        wanted=read_filter(request.GET),
    )
    answer = {
        "sources": chosen.sources,
        "lines": [line.as_json() for line in found.lines],
        "at_start": found.at_start,
        "at_end": found.at_end,
        "problems": found.problems,
    }
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


@require_GET
@allowed(holds(Right.LOGS))
def histogram(request: HttpRequest) -> HttpResponseBase:
    """Numbers of lines by time and level in the chosen logs, as JSON (containers.logs.density)."""
    return _of_chosen(request, _histogram)


def _histogram(request: HttpRequest, chosen: Chosen) -> HttpResponseBase:
    now_ns = time.time_ns()
    until_ns = read_moment("until", request.GET.get("until", ""), now_ns) or now_ns
    since_ns = read_moment("since", request.GET.get("since", ""), now_ns) or until_ns - 6 * _HOUR_NS
    if not 0 < until_ns - since_ns <= 400 * _DAY_NS:
        raise SpanError("since, until: the span must begin before it ends, and be 400 days at most.")
    density = count_lines(
        chosen.sources,
        since_ns=since_ns,
        until_ns=until_ns,
        buckets=max(1, read_whole("buckets", request.GET.get("buckets", ""), 120, MOST_BUCKETS)),
        wanted=read_filter(request.GET),
    )
    return JsonResponse(
        density.as_json() | {"sources": chosen.sources}, headers={"Cache-Control": "private, max-age=10"}
    )


@require_GET
@allowed(holds(Right.LOGS))
def download(request: HttpRequest) -> HttpResponseBase:
    """The chosen logs as one file, merged by time."""
    return _of_chosen(request, _download)


def _download(request: HttpRequest, chosen: Chosen) -> HttpResponseBase:
    if len(chosen.sources) > MOST_IN_A_FILE:
        return _refusal(f"At most {MOST_IN_A_FILE} logs go into one file: choose fewer.", 400)
    now_ns = time.time_ns()
    pieces = merged_pieces(
        chosen.sources,
        since_ns=read_moment("since", request.GET.get("since", ""), now_ns),
        until_ns=read_moment("until", request.GET.get("until", ""), now_ns),
        wanted=read_filter(request.GET),
        has_times=request.GET.get("timestamps", "") in ("1", "true"),
    )
    response = _streamed(pieces, "text/plain; charset=utf-8")
    name = LogDownload.file_name(f"{len(chosen.sources)}-logs")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _streamed(pieces: object, content_type: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(pieces, content_type=content_type)  # type: ignore[arg-type]
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Accel-Buffering"] = "no"
    response["Cache-Control"] = "no-store"
    return response


def _refusal(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
