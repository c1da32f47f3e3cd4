"""Figures over time: which columns there are, and how many moments become one point (pure)."""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from containers.rules.statistics import USAGE_COLUMNS, Usage

Row = Sequence[float | None]
Point = tuple[float, Row | None]

# What is kept of a moment: of each container, and of the host with the sums over its containers.
CONTAINER_COLUMNS: Final = USAGE_COLUMNS
HOST_COLUMNS: Final = (
    "cpu_percent",
    "memory_used_bytes",
    "memory_total_bytes",
    "load_1",
    "load_5",
    "load_15",
    "disk_used_bytes",
    "disk_total_bytes",
)
_SUMMED: Final = tuple(name for name in USAGE_COLUMNS if name != "memory_limit_bytes")
DEVICE_COLUMNS: Final = (*HOST_COLUMNS, *(f"containers_{name}" for name in _SUMMED), "containers_sampled")
# Whose highest value is kept beside the mean when moments are rolled up: a short peak is what matters there.
_PEAKS: Final = frozenset(
    {"cpu_percent", "memory_bytes", "memory_used_bytes", "containers_cpu_percent", "containers_memory_bytes"}
)
# At most so many points, which is more than a chart has pixels.
MOST_POINTS: Final = 1500
_NICE_STEPS_S: Final = (60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
# So many times the usual distance between two moments is a gap and no delay.
_GAP: Final = 2.5


@dataclass(frozen=True, slots=True)
class Series:
    """Figures over time. ``times`` are Unix seconds, ascending; every column is as long, with None for gaps.

    ``step_s`` is the usual distance between two points. Rolled-up points begin at their time and hold means; peaks
    are in columns of their own, such as ``cpu_percent_max``, which there are in every series.
    """

    step_s: int
    times: list[int]
    columns: dict[str, list[float | None]]


def peaks_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Those of the columns whose highest value is kept too."""
    return tuple(name for name in columns if name in _PEAKS)


def rolled_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Names of what `roll_up` gives: the means, then the peaks."""
    return (*columns, *(f"{name}_max" for name in peaks_of(columns)))


def totals(usages: Sequence[Usage]) -> list[float | None]:
    """The last part of a device's row: sums over its containers, None where none of them has the figure."""
    sums: list[float | None] = []
    for name in _SUMMED:
        known = [value for value in (getattr(usage, name) for usage in usages) if value is not None]
        sums.append(sum(known) if known else None)
    return [*sums, len(usages)]


def roll_up(rows: Sequence[Row], columns: Sequence[str]) -> list[float | None]:
    """One row of `rolled_columns` for some rows of ``columns``: means, then peaks, of what is known."""
    means: list[float | None] = []
    peaks: list[float | None] = []
    for name, column in zip(columns, zip(*rows, strict=True), strict=True):
        known = [value for value in column if value is not None]
        means.append(sum(known) / len(known) if known else None)
        if name in _PEAKS:
            peaks.append(max(known) if known else None)
    return means + peaks


def with_peaks(row: Row, columns: Sequence[str]) -> list[float | None]:
    """A row of ``columns`` as one of `rolled_columns`: a moment is its own peak."""
    return [*row, *(value for name, value in zip(columns, row, strict=True) if name in _PEAKS)]


def merge(rows: Sequence[Row], columns: Sequence[str]) -> list[float | None]:
    """One row of `rolled_columns` for some rows of `rolled_columns`: means of means, peaks of peaks."""
    merged: list[float | None] = []
    for place, column in enumerate(zip(*rows, strict=True)):
        known = [value for value in column if value is not None]
        if not known:
            merged.append(None)
        else:
            merged.append(sum(known) / len(known) if place < len(columns) else max(known))
    return merged


def step_for(span_s: float, least_s: int) -> int:
    """The distance of points with which a span has at most `MOST_POINTS`: a multiple of ``least_s``."""
    for step in _NICE_STEPS_S:
        if step >= least_s and step % least_s == 0 and span_s / step <= MOST_POINTS:
            return step
    return least_s * max(1, -(-int(span_s) // (MOST_POINTS * least_s)))


def rolled_series(points: Iterable[Point], columns: Sequence[str], start: float, end: float, step_s: int) -> Series:
    """A series with one point for each step of the span, gaps included.

    ``points`` are moments with rows of ``columns`` or of ``rolled_columns(columns)``; the order does not matter.
    """
    first = int(start // step_s) * step_s
    times = list(range(first, max(first, int(end)) + 1, step_s))
    spans: list[list[Row]] = [[] for _ in times]
    for moment, row in points:
        place = int((moment - first) // step_s)
        if row is not None and 0 <= place < len(spans):
            spans[place].append(with_peaks(row, columns) if len(row) == len(columns) else row)
    names = rolled_columns(columns)
    empty = [None] * len(names)
    return _series(step_s, times, [merge(span, columns) if span else empty for span in spans], names)


def plain_series(points: Sequence[Point], columns: Sequence[str]) -> Series:
    """A series of the moments as they are, in their order; where some are missing there is a point without figures."""
    distances = [after[0] - before[0] for before, after in itertools.pairwise(points)]
    usual = max(1.0, statistics.median(distances)) if distances else 60.0
    names = rolled_columns(columns)
    empty: list[float | None] = [None] * len(names)
    times: list[int] = []
    rows: list[Row] = []
    for moment, row in points:
        if times and int(moment) <= times[-1]:
            continue
        if times and moment - times[-1] > _GAP * usual:
            times.append(int(times[-1] + usual))
            rows.append(empty)
        times.append(int(moment))
        rows.append(empty if row is None else with_peaks(row, columns))
    return _series(round(usual), times, rows, names)


def _series(step_s: int, times: list[int], rows: Sequence[Row], names: Sequence[str]) -> Series:
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
    return Series(step_s, times, dict(zip(names, columns, strict=True)))
