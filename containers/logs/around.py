"""Lines before and after a moment, of one log or of several merged by time: for links to a line, and for paging."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from containers.logs.choosing import SourceEntry
from containers.logs.scanning import Bounds, Line, Scan
from containers.rules.logfilter import LineFilter

MOST_LINES: Final = 2000
LONGEST_LINE: Final = 64 * 1024
AT_ONCE: Final = 8
_SECOND: Final = 1_000_000_000
# How far back is looked at first, and then: an engine reads forwards only.
_BACK_S: Final = (5, 60, 900, 6 * 3600, 2 * 86_400)
# How often a span that held too much to be read is narrowed.
_NARROWED: Final = 4
_BOUNDS: Final = Bounds(bytes=64 * 1024 * 1024, seconds=10.0)
# Of one log, held at once: fewer lines than asked for when they are that long.
_HELD_BYTES: Final = 4 * 1024 * 1024
_readers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="log-around")


@dataclass(frozen=True, slots=True)
class Found:
    """A line and the index of its source."""

    source: int
    line: Line

    def as_json(self) -> dict[str, Any]:
        """For a browser."""
        return {
            "source": self.source,
            "time": self.line.stamp.decode("ascii", "replace"),
            "time_ns": str(self.line.time_ns),
            "stream": self.line.stream,
            "text": self.line.text[:LONGEST_LINE].decode("utf-8", "replace"),
        }


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Lines in order; ``at_start`` and ``at_end`` when the logs hold nothing further that way."""

    lines: list[Found]
    at_start: bool
    at_end: bool
    problems: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Part:
    before: list[Line]
    after: list[Line]
    at_start: bool
    at_end: bool
    problem: dict[str, Any] | None


def lines_around(
    sources: Sequence[SourceEntry], *, at_ns: int, before: int, after: int, wanted: LineFilter
) -> Surroundings:
    """Up to ``before`` lines strictly before the moment and ``after`` from it on, over all of the logs. Blocking."""

    def look(source: SourceEntry) -> _Part:
        return _look(source, at_ns, before, after, wanted)

    parts = list(_readers.map(look, sources))
    earlier = _merged(sources, [part.before for part in parts])
    later = _merged(sources, [part.after for part in parts])
    return Surroundings(
        lines=(earlier[-before:] if before else []) + later[:after],
        at_start=all(part.at_start for part in parts) and len(earlier) <= before,
        at_end=all(part.at_end for part in parts) and len(later) <= after,
        problems=[part.problem for part in parts if part.problem is not None],
    )


def _merged(sources: Sequence[SourceEntry], parts: list[list[Line]]) -> list[Found]:
    """By time; within one log the order of the log, whatever its stamps."""
    keyed = []
    for source, lines in zip(sources, parts, strict=True):
        latest = 0
        for place, line in enumerate(lines):
            latest = max(latest, line.time_ns)
            keyed.append((latest, source["index"], place, Found(source["index"], line)))
    return [entry[3] for entry in sorted(keyed, key=lambda entry: entry[:3])]


def _look(source: SourceEntry, at_ns: int, before: int, after: int, wanted: LineFilter) -> _Part:
    earlier, at_start, problem = _before(source, at_ns, before, wanted) if before else ([], False, None)
    later: list[Line] = []
    at_end = False
    if after and problem is None:
        scan = Scan(source["id"], since_ns=at_ns, stream=wanted.stream, bounds=_BOUNDS)
        at_end = True
        held = 0
        for line in scan:
            if line.time_ns >= at_ns and wanted.takes(line.mark, line.text):
                if len(later) >= after or held > _HELD_BYTES:
                    at_end = False
                    break
                later.append(line)
                held += len(line.text)
        at_end = at_end and scan.state == "done"
        problem = _problem(source, scan)
    return _Part(earlier, later, at_start, at_end, problem)


def _before(
    source: SourceEntry, at_ns: int, count: int, wanted: LineFilter
) -> tuple[list[Line], bool, dict[str, Any] | None]:
    """The last lines before the moment; of what could be read whole, so that nothing is missing up to the moment."""
    found: list[Line] = []
    begins = [max(0, at_ns - back_s * _SECOND) for back_s in _BACK_S]
    near_ns, narrowed = at_ns, 0
    while True:
        since_ns = begins.pop(0) if begins else None
        scan = Scan(source["id"], since_ns=since_ns, until_ns=at_ns, stream=wanted.stream, bounds=_BOUNDS)
        kept: deque[Line] = deque()
        held = 0
        for line in scan:
            if line.time_ns < at_ns and wanted.takes(line.mark, line.text):
                kept.append(line)
                held += len(line.text)
                while len(kept) > count + 1 or (held > _HELD_BYTES and len(kept) > 1):
                    held -= len(kept.popleft().text)
        if scan.state == "done":
            found, near_ns = list(kept), since_ns or 0
            is_over = since_ns is None or narrowed
            if len(found) > count or is_over:
                return found[-count:], since_ns is None and len(found) <= count, None
        elif scan.state == "failed" or since_ns is None or narrowed >= _NARROWED or len(found) >= count:
            return found[-count:], False, _problem(source, scan)
        else:
            # What was read is the beginning of the span, and leaves a hole up to the moment.
            narrowed += 1
            begins = [(since_ns + near_ns) // 2]


def _problem(source: SourceEntry, scan: Scan) -> dict[str, Any] | None:
    if scan.state == "done":
        return None
    return {"source": source["index"], "message": scan.problem.message, "fix": scan.problem.fix}
