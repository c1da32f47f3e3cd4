"""Logs as NDJSON: a line of JSON for each line of the log, followed if wanted."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import Field

from containers.logs.history import read_records
from containers.logs.hub import current_hub
from containers.logs.sources import locate
from containers.models import Container
from containers.rules.logfilter import LineFilter, LineFilterError, read_filter
from containers.rules.logframes import LogFormatError, LogStreamError, Records
from containers.rules.logresume import engine_time
from containers.rules.logspans import SpanError, read_moment
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.errors import SsmError
from ssm.lib.roles import Right

router = Router(tags=["logs"])

_AT_ONCE: Final = 8
_MOST_TAIL: Final = 1_000_000
_readers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="log-api")


class LogQuery(Schema):
    """Which lines. Times are RFC 3339, Unix seconds, or spans back from now such as `15m`."""

    since: str = Field("", max_length=40, examples=["15m"])
    until: str = Field("", max_length=40)
    tail: int | None = Field(None, ge=0, le=_MOST_TAIL, description="Only the last lines; 100 when following.")
    follow: bool = Field(False, description="Stay, and tell what comes.")
    stream: Literal["", "stdout", "stderr"] = ""
    q: str = Field("", description="Text that a line must hold.", max_length=300)
    exclude: str = Field("", description="Text that a line must not hold.", max_length=300)
    pattern: bool = Field(False, description="`q` and `exclude` are RE2 patterns.")
    case: bool = Field(False, description="Upper and lower case count.")


class Line(Schema):
    """One line of the answer: of the log, or (with `event`) about it."""

    time: str = Field("", description="When the container wrote it, RFC 3339 with nanoseconds.")
    stream: str = Field("", examples=["stdout"])
    text: str = ""
    partial: bool = Field(False, description="The line was too long, and goes on in the stream's next one.")
    event: str = Field("", description="state, gap, skipped, error …: what happened between lines, told by `text`.")


@router.get("/{uuid:pk}/logs", response=answers(Line), operation_id="containers_logs")
@needs(Right.LOGS)
def containers_logs(request: HttpRequest, pk: uuid.UUID, query: Query[LogQuery]) -> Any:
    """The log as `application/x-ndjson`: one object of the kind below for each line.

    What follows resumes after a lost connection, without loss or doubles; a gap that cannot be closed is told.
    """
    containers = Container.objects.permitted(request.user, Right.LOGS).only("pk")
    found = get_object_or_404(containers, pk=pk)
    given = {name: str(value) if value is not False else "" for name, value in query.model_dump().items()}
    try:
        wanted = read_filter({**given, "pattern": "1" if query.pattern else "", "case": "1" if query.case else ""})
        now_ns = time.time_ns()
        since, until = (read_moment(name, given[name], now_ns) for name in ("since", "until"))
    except (LineFilterError, SpanError) as exc:
        raise FieldProblem({getattr(exc, "field", "since"): str(exc)}) from exc
    if query.follow:
        lines = _followed(str(found.pk), 100 if query.tail is None else query.tail, wanted)
    else:
        parameters: dict[str, Any] = {}
        if since is not None:
            parameters["since"] = engine_time(since)
        if until is not None:
            parameters["until"] = engine_time(until)
        if query.tail is not None:
            parameters["tail"] = query.tail
        lines = _read(read_records(locate, str(found.pk), parameters), wanted)
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    response["X-Accel-Buffering"] = "no"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response


async def _read(records: Generator[Records, None, None], wanted: LineFilter) -> AsyncIterator[bytes]:
    """The log once, in pieces. Ends the engine's stream when its reader leaves."""
    loop = asyncio.get_running_loop()
    try:
        while (piece := await loop.run_in_executor(_readers, next, records, None)) is not None:
            if piece.count:
                yield _told(piece.data, wanted)
    except (SsmError, LogFormatError, LogStreamError) as error:
        # The head of the answer is gone: only the stream itself can say that it is not whole.
        yield _event("error", f"The log is incomplete: {error}")
    finally:
        await asyncio.shield(loop.run_in_executor(_readers, records.close))


async def _followed(container_id: str, tail: int, wanted: LineFilter) -> AsyncIterator[bytes]:
    """The log as it is written, from the hub's one upstream."""
    hub = current_hub()
    try:
        viewer = hub.attach(container_id, tail=tail)
    except SsmError as error:
        yield _event("error", str(error))
        return
    taken = 0
    try:
        while True:
            message = await viewer.message()
            if isinstance(message, bytes):
                taken += len(message)
                yield _told(message.partition(b"\n")[2], wanted)
                # Only now, when it has been taken: what is slow to read is sent no more meanwhile.
                viewer.acknowledge(taken)
                continue
            told = json.loads(message)
            if told["type"] == "skipped":
                yield _event("skipped", f"{told['count']} lines were skipped: the reader was slower than the log.")
            elif told["type"] in ("state", "marker"):
                yield _event(told.get("state") or told["kind"], told.get("message") or told.get("text", ""))
            if told.get("state") in ("removed", "unreadable"):
                return
    finally:
        hub.detach(viewer)


def _told(data: bytes, wanted: LineFilter) -> bytes:
    """Records (containers.rules.logframes) as lines of JSON."""
    lines = []
    for record in data.split(b"\n")[:-1]:
        mark, (stamp, _space, text) = record[:1], record[1:].partition(b" ")
        if wanted.takes(mark, text):
            line: dict[str, Any] = {
                "time": stamp.decode("ascii", "replace"),
                "stream": "stderr" if mark.lower() == b"e" else "stdout",
                "text": text.decode("utf-8", "replace"),
            }
            if mark.isupper():
                line["partial"] = True
            lines.append(json.dumps(line, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines).encode()


def _event(kind: str, text: str) -> bytes:
    return json.dumps({"event": kind, "text": text}, ensure_ascii=False).encode() + b"\n"
