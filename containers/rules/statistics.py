"""What a container uses: the Engine's answer about one moment, and the difference between two moments (pure).

Figures are those of the docker CLI (docker/cli, ``cli/command/container/stats_helpers.go``): CPU percent by
``calculateCPUPercentUnix``, memory by ``calculateMemUsageUnixNoCache``, network and block I/O as sums over all
interfaces and devices. What the Engine does not tell is None, never 0.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

# Counters of the kernel are unsigned and 64 bits wide; anything else is no counter.
_LARGEST: Final = 2**64 - 1
# Version 1 groups without a limit say so by the largest multiple of a page; no machine has 4 EiB.
_NO_LIMIT: Final = 2**62
_MOST_ENTRIES: Final = 4096
# A difference over a longer time says little about now, unless so long a time was asked for.
LONGEST_BETWEEN_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters and gauges of one container at one moment; None for what the Engine does not tell.

    Times of the CPU are nanoseconds since the container's and the host's start. ``memory_bytes`` is usage less the
    page cache that can be given back, as the docker CLI shows it. ``read_at``: the Engine's clock, Unix seconds.
    """

    read_at: float | None = None
    cpu_ns: int | None = None
    system_ns: int | None = None
    online_cpus: int | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    pids: int | None = None

    @property
    def is_empty(self) -> bool:
        """True when the Engine tells no figure at all, as of a container that does not run."""
        return self.cpu_ns is None and self.memory_bytes is None and self.pids is None

    def as_list(self) -> list[float | int | None]:
        """The figures as plain JSON, for `reading_from_list`."""
        return list(astuple(self))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses: gauges of the later reading, rates (per second) between the two. None: not available.

    ``cpu_percent`` is in percent of one CPU, 0 to 100 times the host's CPUs.
    """

    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    network_received_bytes_per_s: float | None = None
    network_sent_bytes_per_s: float | None = None
    block_read_bytes_per_s: float | None = None
    block_written_bytes_per_s: float | None = None
    pids: int | None = None

    @property
    def memory_percent(self) -> float | None:
        """Share of the limit (of the host's memory where there is none), 0 to 100."""
        if self.memory_bytes is None or not self.memory_limit_bytes:
            return None
        return self.memory_bytes / self.memory_limit_bytes * 100


USAGE_COLUMNS: Final = tuple(field.name for field in fields(Usage))


def parse_reading(answer: Any) -> Reading:
    """Read one answer of ``GET /containers/{id}/stats?stream=false``, of Docker or podman, control groups v1 or v2.

    Anything may be missing or of a wrong kind: that figure is None. Never raises.
    """
    if not isinstance(answer, Mapping):
        return Reading()
    read_at = _time(answer.get("read"))
    if read_at is None:
        return Reading()  # of a container that does not run, Docker tells zeros at the year 1
    cpu = _mapping(answer.get("cpu_stats"))
    cpu_usage = _mapping(cpu.get("cpu_usage"))
    each_cpu = cpu_usage.get("percpu_usage")
    online = _count(cpu.get("online_cpus")) or (len(each_cpu) if isinstance(each_cpu, list) else 0)
    # Podman (which alone sends "cpu") puts there the time that all CPUs were busy, not the time that passed: by the
    # docker CLI's rule a quiet host's containers would seem to use all of it. The clock is used in its place.
    is_podman = "cpu" in cpu
    memory, limit = _memory(_mapping(answer.get("memory_stats")))
    received, sent = _network(answer.get("networks"))
    read, written = _block(_mapping(answer.get("blkio_stats")).get("io_service_bytes_recursive"))
    return Reading(
        read_at=read_at,
        cpu_ns=_count(cpu_usage.get("total_usage")),
        system_ns=None if is_podman else _count(cpu.get("system_cpu_usage")),
        online_cpus=online if 0 < online <= _MOST_ENTRIES else None,
        memory_bytes=memory,
        memory_limit_bytes=limit,
        received_bytes=received,
        sent_bytes=sent,
        read_bytes=read,
        written_bytes=written,
        pids=_count(_mapping(answer.get("pids_stats")).get("current")),
    )


def reading_from_list(values: Any) -> Reading | None:
    """The reading that `Reading.as_list` gave; None for anything else."""
    if not isinstance(values, list) or len(values) != len(fields(Reading)):
        return None
    if not all(value is None or (isinstance(value, int | float) and value >= 0) for value in values):
        return None
    return Reading(*values)


def with_block_counters(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """The readings of one host, where a container without block I/O has 0 if the host counts block I/O at all.

    The Engine sends an empty list both for "none so far" and for "this host cannot tell"; only the other containers
    of the host tell which of the two it is.
    """
    if all(reading.read_bytes is None for reading in readings.values()):
        return dict(readings)
    return {
        key: reading
        if reading.is_empty or reading.read_bytes is not None
        else replace(reading, read_bytes=0, written_bytes=0)
        for key, reading in readings.items()
    }


def usage_between(before: Reading | None, after: Reading, *, longest_s: float = LONGEST_BETWEEN_S) -> Usage:
    """What was used between two readings of one container.

    Rates are None without an earlier reading, when its counter went back (the container was restarted), or when no
    time or more than ``longest_s`` seconds passed. Gauges are those of ``after``.
    """
    gauges = Usage(memory_bytes=after.memory_bytes, memory_limit_bytes=after.memory_limit_bytes, pids=after.pids)
    if before is None or before.read_at is None or after.read_at is None:
        return gauges
    elapsed_s = after.read_at - before.read_at
    if not 0 < elapsed_s <= longest_s:
        return gauges
    return replace(
        gauges,
        cpu_percent=cpu_percent(before, after, elapsed_s),
        network_received_bytes_per_s=_rate(before.received_bytes, after.received_bytes, elapsed_s),
        network_sent_bytes_per_s=_rate(before.sent_bytes, after.sent_bytes, elapsed_s),
        block_read_bytes_per_s=_rate(before.read_bytes, after.read_bytes, elapsed_s),
        block_written_bytes_per_s=_rate(before.written_bytes, after.written_bytes, elapsed_s),
    )


def cpu_percent(before: Reading, after: Reading, elapsed_s: float) -> float | None:
    """Percent of one CPU used between two readings, 0 to 100 times the CPUs; None when a counter went back.

    Rule: the docker CLI's ``calculateCPUPercentUnix``; where the Engine does not tell the host's time, time by its
    clock (``elapsed_s`` seconds), which is the same on a host whose CPUs are all online.
    """
    if before.cpu_ns is None or after.cpu_ns is None or after.cpu_ns < before.cpu_ns:
        return None
    used = after.cpu_ns - before.cpu_ns
    if before.system_ns is None or after.system_ns is None or after.online_cpus is None:
        return used / (elapsed_s * 1e9) * 100
    passed = after.system_ns - before.system_ns
    if passed <= 0:
        return None
    return used / passed * after.online_cpus * 100


def _rate(before: int | None, after: int | None, elapsed_s: float) -> float | None:
    if before is None or after is None or after < before:
        return None
    return (after - before) / elapsed_s


def _memory(stats: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Usage less inactive page cache, and the limit. Rule: ``calculateMemUsageUnixNoCache``."""
    usage = _count(stats.get("usage"))
    limit = _count(stats.get("limit"))
    if usage is not None:
        details = _mapping(stats.get("stats"))
        for name in ("total_inactive_file", "inactive_file"):  # version 1, version 2
            cache = _count(details.get(name))
            if cache is not None and cache < usage:
                usage -= cache
                break
    return usage, limit if limit and limit < _NO_LIMIT else None


def _network(networks: Any) -> tuple[int | None, int | None]:
    """Bytes received and sent over all interfaces; None without any (the host's own network, or none)."""
    if not isinstance(networks, Mapping) or not networks or len(networks) > _MOST_ENTRIES:
        return None, None
    received = [_count(_mapping(interface).get("rx_bytes")) for interface in networks.values()]
    sent = [_count(_mapping(interface).get("tx_bytes")) for interface in networks.values()]
    return _sum(received), _sum(sent)


def _block(entries: Any) -> tuple[int | None, int | None]:
    """Bytes read and written over all block devices; None when there is no entry for either.

    As the docker CLI does, by the first letter: version 1 says Read and Write, version 2 read and write.
    """
    if not isinstance(entries, list) or len(entries) > _MOST_ENTRIES * 8:
        return None, None
    totals: dict[str, int] = {}
    for entry in entries:
        operation, value = _mapping(entry).get("op"), _count(_mapping(entry).get("value"))
        if isinstance(operation, str) and operation[:1] in ("r", "R", "w", "W") and value is not None:
            kind = operation[0].lower()
            totals[kind] = totals.get(kind, 0) + value
    if not totals:
        return None, None
    return totals.get("r", 0), totals.get("w", 0)


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST else None


def _time(text: Any) -> float | None:
    """Unix seconds of the Engine's RFC 3339 time, None for its "never" (year 1) and for what is no time."""
    if not isinstance(text, str) or len(text) > 64:
        return None
    head, dot, rest = text.partition(".")
    try:
        if dot:
            digits = len(rest) - len(rest.lstrip("0123456789"))
            moment = datetime.fromisoformat(head + rest[digits:])
            fraction = float("0." + (rest[:digits][:9] or "0"))
        else:
            moment, fraction = datetime.fromisoformat(text), 0.0
        if moment.tzinfo is None or moment.year < 1971:
            return None
        return moment.timestamp() + fraction
    except (ValueError, OverflowError):
        return None
