"""Search the logs of many containers: fan-out to their hosts, bounded, hits as they are found."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from containers.logs.choosing import Chosen, SourceEntry
from containers.logs.scanning import Bounds, Line, Scan, State
from containers.rules.logfilter import LineFilter
from ssm.lib.errors import SsmError

# At once: of one host, and of all.
PER_HOST: Final = 2
AT_ONCE: Final = 12
WHOLE_S: Final = 60.0
MOST_HITS: Final = 5000
DEFAULT_HITS: Final = 1000
LONGEST_HIT: Final = 4000
# Without a beginning the newest lines are read: an engine cannot read backwards.
TAIL_WITHOUT_SINCE: Final = 100_000
_readers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="log-search")


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, where, and how much of it. Times are nanoseconds since 1970."""

    chosen: Chosen
    filter: LineFilter
    since_ns: int | None
    until_ns: int | None
    limit: int
    bounds: Bounds = field(default_factory=Bounds)
    whole_s: float = WHOLE_S


class _Run:
    """One search under way; the reading threads hand their messages to the loop."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.cancelled = threading.Event()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.hits = 0
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()

    def look(self, source: SourceEntry) -> None:
        """Read one log. In a thread."""
        search = self.search
        scan = Scan(
            source["id"],
            since_ns=search.since_ns,
            until_ns=search.until_ns,
            tail=TAIL_WITHOUT_SINCE if search.since_ns is None else None,
            stream=search.filter.stream,
            bounds=search.bounds,
            cancelled=self.cancelled,
        )
        hits = 0
        is_ended = False
        for line in scan:
            if search.filter.takes(line.mark, line.text):
                if not self._take(source, line):
                    is_ended = True
                    break
                hits += 1
        problem, state = scan.problem, scan.state
        if is_ended or (state == "partial" and self.cancelled.is_set()):
            state, problem = "partial", SsmError("The search ended before all of it was read.")
        elif state == "done" and search.since_ns is None and scan.lines >= TAIL_WITHOUT_SINCE:
            state, problem = (
                "partial",
                SsmError(
                    f"Only its newest {TAIL_WITHOUT_SINCE:,} lines were searched.", fix="Give a time to begin at."
                ),
            )
        self._ended(source, state, problem, scan, hits)

    def leave_out(self, source: SourceEntry) -> None:
        """Tell that a log's turn never came."""
        self._ended(source, "partial", SsmError("It was not searched: the search had ended before."))

    def _ended(
        self, source: SourceEntry, state: State, problem: SsmError, scan: Scan | None = None, hits: int = 0
    ) -> None:
        self._send(
            {
                "type": "source",
                "source": source["index"],
                "state": state,
                "hits": hits,
                "lines": scan.lines if scan else 0,
                "bytes": scan.bytes if scan else 0,
                "message": problem.message,
                "fix": problem.fix,
                "reached": scan.reached.decode("ascii", "replace") if scan else "",
            }
        )

    def _take(self, source: SourceEntry, line: Line) -> bool:
        with self._lock:
            if self.hits >= self.search.limit:
                self.cancelled.set()
                return False
            self.hits += 1
        text = line.text.decode("utf-8", "replace")
        self._send(
            {
                "type": "hit",
                "source": source["index"],
                "time": line.stamp.decode("ascii", "replace"),
                "time_ns": str(line.time_ns),
                "stream": line.stream,
                "text": text[:LONGEST_HIT],
                "cut": len(text) > LONGEST_HIT,
            }
        )
        return True

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(self.messages.put_nowait, message)
        except RuntimeError:
            self.cancelled.set()  # the loop is closed: the process is going down


async def search_lines(search: Search) -> AsyncIterator[bytes]:
    """The search as NDJSON: the sources, each hit, each source's end, the end. Closing it early ends all readings."""
    run = _Run(search)
    sources = search.chosen.sources
    yield _line({"type": "sources", "sources": sources, "left_out": search.chosen.left_out})
    loop = asyncio.get_running_loop()
    hosts = {source["device"]: asyncio.Semaphore(PER_HOST) for source in sources}

    async def look(source: SourceEntry) -> None:
        async with hosts[source["device"]]:
            if run.cancelled.is_set():
                run.leave_out(source)
            else:
                await loop.run_in_executor(_readers, run.look, source)

    work = asyncio.gather(*(look(source) for source in sources))
    deadline = time.monotonic() + search.whole_s
    told = 0
    states: list[str] = []
    message = ""
    try:
        while not (work.done() and run.messages.empty()):
            if time.monotonic() >= deadline and not run.cancelled.is_set():
                message = f"The search was ended after {search.whole_s:.0f} s: choose a shorter span or fewer logs."
                run.cancelled.set()
            try:
                found = await asyncio.wait_for(run.messages.get(), 0.25)
            except TimeoutError:
                continue
            if found["type"] == "source":
                states.append(found["state"])
            else:
                told += 1
            yield _line(found)
        if run.hits >= search.limit:
            message = f"Only the first {search.limit:,} hits are shown: narrow the search."
        is_whole = not message and len(states) == len(sources) and set(states) <= {"done"}
        yield _line({"type": "end", "hits": told, "state": "done" if is_whole else "partial", "message": message})
    finally:
        run.cancelled.set()
        work.cancel()


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
