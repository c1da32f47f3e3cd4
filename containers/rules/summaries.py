"""A series in a few numbers: the last, lowest, mean and highest figure of each column (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from containers.rules.series import Series

# A figure is the latest for so long after its moment: three times the distance of two points, and 90 s at least.
_LATEST_STEPS: Final = 3
_LATEST_S: Final = 90


@dataclass(frozen=True, slots=True)
class Measure:
    """A column and how people read it; ``unit`` is "percent", "bytes", "rate" (bytes per second) or "number"."""

    column: str
    label: str
    unit: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a measure over a span of time; None where nothing is known."""

    measure: Measure
    last: float | None
    low: float | None
    mean: float | None
    high: float | None


CONTAINER_MEASURES: Final = (
    Measure("cpu_percent", "CPU", "percent"),
    Measure("memory_bytes", "Memory", "bytes"),
    Measure("network_received_bytes_per_s", "Network received", "rate"),
    Measure("network_sent_bytes_per_s", "Network sent", "rate"),
    Measure("block_read_bytes_per_s", "Disk read", "rate"),
    Measure("block_written_bytes_per_s", "Disk written", "rate"),
    Measure("pids", "Processes", "number"),
)
DEVICE_MEASURES: Final = (
    Measure("cpu_percent", "CPU of the host", "percent"),
    Measure("containers_cpu_percent", "CPU of its containers", "percent"),
    Measure("memory_used_bytes", "Memory of the host", "bytes"),
    Measure("containers_memory_bytes", "Memory of its containers", "bytes"),
    Measure("load_1", "Load, 1 min", "number"),
    Measure("load_5", "Load, 5 min", "number"),
    Measure("load_15", "Load, 15 min", "number"),
    Measure("disk_used_bytes", "Disk", "bytes"),
    Measure("containers_network_received_bytes_per_s", "Network received", "rate"),
    Measure("containers_network_sent_bytes_per_s", "Network sent", "rate"),
    Measure("containers_block_read_bytes_per_s", "Disk read", "rate"),
    Measure("containers_block_written_bytes_per_s", "Disk written", "rate"),
)


def summaries(series: Series, measures: Sequence[Measure], end: float) -> list[Summary]:
    """One per measure, in their order, of a series that was asked for until ``end`` (Unix seconds).

    The last figures are those of the last moment with any, None when that was long before the end. The highest is that
    of the peaks where a series has them.
    """
    return [_summary(series, measure, _latest_place(series, end)) for measure in measures]


def _latest_place(series: Series, end: float) -> int | None:
    oldest = end - max(_LATEST_STEPS * series.step_s, _LATEST_S)
    for place in range(len(series.times) - 1, -1, -1):
        if series.times[place] < oldest:
            return None
        if any(column[place] is not None for column in series.columns.values()):
            return place
    return None


def _summary(series: Series, measure: Measure, latest: int | None) -> Summary:
    values = series.columns.get(measure.column, [])
    known = [value for value in values if value is not None]
    if not known:
        return Summary(measure, None, None, None, None)
    peaks = [value for value in series.columns.get(f"{measure.column}_max", []) if value is not None]
    last = None if latest is None else values[latest]
    return Summary(measure, last, min(known), sum(known) / len(known), max([*known, *peaks]))
