"""How many lines of which level a span of logs holds, counted by reading it once, within bounds."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from containers.logs.choosing import SourceEntry
from containers.logs.scanning import Bounds, Scan
from containers.rules.logfilter import LineFilter
from containers.rules.loglevels import LEVELS, level_of

MOST_BUCKETS: Final = 400
AT_ONCE: Final = 8
_SECOND: Final = 1_000_000_000
_BOUNDS: Final = Bounds(bytes=48 * 1024 * 1024, seconds=8.0)
# Widths that people can read off an axis, in seconds.
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_readers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="log-density")


@dataclass(frozen=True, slots=True)
class Density:
    """``counts`` holds for each bucket of ``step_ns`` from ``from_ns`` on a number for each of LEVELS.

    ``reached_ns`` is where the reading that got least far stopped; everything before it is counted. ``problems``
    tells of logs that could not be read at all.
    """

    from_ns: int
    to_ns: int
    step_ns: int
    counts: list[list[int]]
    lines: int
    is_complete: bool
    reached_ns: int
    problems: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """For a browser: nanoseconds as text, since its numbers end at 2**53."""
        return {
            "from_ns": str(self.from_ns),
            "to_ns": str(self.to_ns),
            "step_ns": str(self.step_ns),
            "levels": list(LEVELS),
            "counts": self.counts,
            "lines": self.lines,
            "complete": self.is_complete,
            "reached_ns": str(self.reached_ns),
            "problems": self.problems,
        }


def bucket_step_ns(span_ns: int, buckets: int) -> int:
    """The width of a bucket: the smallest readable one by which at most ``buckets`` cover the span."""
    wanted = span_ns / max(1, min(buckets, MOST_BUCKETS)) / _SECOND
    for step in _STEPS:
        if step >= wanted:
            return step * _SECOND
    days = -(-int(wanted) // 86_400)
    return max(1, days) * 86_400 * _SECOND


def count_lines(
    sources: Sequence[SourceEntry], *, since_ns: int, until_ns: int, buckets: int, wanted: LineFilter
) -> Density:
    """Read the span in each log and count. Blocking, for as long as the bounds allow."""
    step = bucket_step_ns(max(1, until_ns - since_ns), buckets)
    start = since_ns // step * step
    size = max(1, -(-(until_ns - start) // step))
    counts = [[0] * len(LEVELS) for _ in range(size)]
    lock = threading.Lock()
    problems: list[dict[str, Any]] = []
    reached: list[int] = []
    total = [0]

    def count(source: SourceEntry) -> None:
        scan = Scan(source["id"], since_ns=since_ns, until_ns=until_ns, stream=wanted.stream, bounds=_BOUNDS)
        found: dict[tuple[int, int], int] = {}
        taken, last = 0, since_ns
        for line in scan:
            last = line.time_ns or last
            place = (line.time_ns - start) // step
            if 0 <= place < size and wanted.takes(line.mark, line.text):
                key = (place, level_of(line.text))
                found[key] = found.get(key, 0) + 1
                taken += 1
        with lock:
            for (place, level), number in found.items():
                counts[place][level] += number
            total[0] += taken
            if scan.state == "partial":
                reached.append(last)
            elif scan.state == "failed":
                problem = {"source": source["index"], "message": scan.problem.message, "fix": scan.problem.fix}
                problems.append(problem)

    list(_readers.map(count, sources))
    return Density(
        from_ns=start,
        to_ns=start + size * step,
        step_ns=step,
        counts=counts,
        lines=total[0],
        is_complete=not reached and not problems,
        reached_ns=min(reached, default=until_ns),
        problems=problems,
    )
