"""A log as a file: read once, filtered, in pieces; never more of it in memory than a few pieces."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from containers.logs.history import read_records
from containers.logs.sources import locate
from containers.rules.logfilter import LineFilterError, read_filter
from containers.rules.logframes import LogFormatError, LogStreamError, Records
from containers.rules.logresume import engine_time
from containers.rules.logspans import SpanError, read_moment
from ssm.lib.errors import SsmError

_AT_ONCE: Final = 8
_readers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="log-download")


class DownloadRefused(SsmError):
    """A parameter of a download is wrong."""

    code = "download_refused"
    status = 400


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a log is wanted. Times are nanoseconds since 1970; ``stream`` is stdout, stderr or empty for both.

    ``keeps`` judges one line of text, None keeps all.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    stream: str = ""
    timestamps: bool = False
    keeps: Callable[[str], bool] | None = None


def parse_selection(query: Mapping[str, str]) -> Selection:
    """The selection that a query string asks for. DownloadRefused."""
    now_ns = time.time_ns()
    try:
        wanted = read_filter(query)
        return Selection(
            since_ns=read_moment("since", query.get("since", ""), now_ns),
            until_ns=read_moment("until", query.get("until", ""), now_ns),
            stream=wanted.stream,
            timestamps=query.get("timestamps", "") in ("1", "true"),
            keeps=wanted.keeps,
        )
    except (LineFilterError, SpanError) as exc:
        raise DownloadRefused(str(exc)) from exc


class LogDownload:
    """One download. `open` blocks until the host answered; `pieces` then gives the file's bytes."""

    def __init__(self, container_id: str, selection: Selection) -> None:
        self._selection = selection
        parameters: dict[str, Any] = {}
        if selection.since_ns is not None:
            parameters["since"] = engine_time(selection.since_ns)
        if selection.until_ns is not None:
            parameters["until"] = engine_time(selection.until_ns)
        if selection.stream:
            parameters |= {"stdout": int(selection.stream == "stdout"), "stderr": int(selection.stream == "stderr")}
        self._records: Generator[Records, None, None] = read_records(locate, container_id, parameters)
        self._first: Records | None = None
        self._going_on = b""

    def open(self) -> None:
        """Connect and read the first piece. DeviceError, LogGone, LogFormatError, LogStreamError."""
        self._first = next(self._records, None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file, piece by piece; each read happens in one of a few threads. Ends the stream when closed early."""
        loop = asyncio.get_running_loop()
        piece = self._first
        try:
            while piece is not None:
                if piece.count:
                    yield self._written(piece)
                piece = await loop.run_in_executor(_readers, next, self._records, None)
        except (SsmError, LogFormatError, LogStreamError) as error:
            # The head of the answer is long gone: only the file itself can say that it is not whole.
            yield f"\n[This download is incomplete: {error}]\n".encode()
        finally:
            # Shielded: when the browser left we are being cancelled, and the stream must end all the same.
            await asyncio.shield(loop.run_in_executor(_readers, self._records.close))

    @staticmethod
    def file_name(container: str) -> str:
        """A name that is safe in a header and on any disk."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", container).strip(".-")[:80] or "container"
        return f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.log"

    def _written(self, records: Records) -> bytes:
        keeps, has_times = self._selection.keeps, self._selection.timestamps
        lines = records.data.split(b"\n")
        lines.pop()
        written: list[bytes] = []
        for line in lines:
            mark, text = line[:1], line[line.find(b" ") + 1 :]
            if keeps is not None and not keeps(text.decode("utf-8", "replace")):
                continue
            # Upper case: the line was too long for one record and goes on in the stream's next one.
            if self._going_on and self._going_on != mark.lower():
                written.append(b"\n")
            goes_on_here = self._going_on == mark.lower()
            written.append(line[1:] if has_times and not goes_on_here else text)
            self._going_on = mark.lower() if mark.isupper() else b""
            if not self._going_on:
                written.append(b"\n")
        return b"".join(written)
