"""Memory, CPU, load and disk of a host, out of one command that reads and changes nothing (pure)."""

import re
from dataclasses import dataclass
from typing import Final

# Its argument is the folder whose disk is asked for. The shell's own words do the reading: besides it only df is
# started. Memory that is available is told by line 3 of meminfo; the rest of it is read on kernels before 3.14 alone.
HOST_SCRIPT: Final = """\
LC_ALL=C; export LC_ALL
echo ssm-begin
read -r line </proc/loadavg && echo "load $line"
read -r line </proc/stat && echo "$line"
while read -r name value unit; do
case $name in
MemTotal:|MemFree:|Buffers:|Cached:|SReclaimable:) echo "$name $value" ;;
MemAvailable:) echo "$name $value"; break ;;
esac
done </proc/meminfo
df -P -k -- "$1" 2>/dev/null
echo ssm-end
"""

_NUMBER = r"([0-9]{1,19})"
_LOAD = re.compile(r" load ([0-9]{1,6}\.[0-9]{1,3}) ([0-9]{1,6}\.[0-9]{1,3}) ([0-9]{1,6}\.[0-9]{1,3}) ")
# user, nice, system, idle, iowait, irq, softirq, steal; guests' time, which follows, is in the first two already.
_CPU = re.compile(r" cpu((?: [0-9]{1,19}){4,10}) ")
_MEMORY = re.compile(rf" (MemTotal|MemFree|MemAvailable|Buffers|Cached|SReclaimable): {_NUMBER}(?= )")
_DISK = re.compile(rf" {_NUMBER} {_NUMBER} -?[0-9]{{1,19}} [0-9]{{1,3}}% /")
_MOST_BYTES: Final = 2**60
_CPU_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class HostReading:
    """Counters and gauges of a host at one moment; None for what it does not tell.

    CPU times are the kernel's ticks since its start, over all CPUs: busy, and in all. Memory that is used is what
    the kernel does not call available, as ``free`` shows it; the disk is the one of the engine's data, as by ``df``.
    """

    cpu_busy_ticks: int | None = None
    cpu_total_ticks: int | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    load_1: float | None = None
    load_5: float | None = None
    load_15: float | None = None
    disk_used_bytes: int | None = None
    disk_total_bytes: int | None = None


def is_folder(path: object) -> bool:
    """Whether an engine's word for its data folder may be handed to a host's df."""
    return isinstance(path, str) and path.startswith("/") and len(path) <= 1000 and path.isprintable()


def parse_host_reading(output: str) -> HostReading | None:
    """Read what `HOST_SCRIPT` printed, lines joined to one by single spaces; None when it was not that script.

    Figures that are missing, wrong or beyond all machines are None. Never raises.
    """
    begin, end = output.find("ssm-begin "), output.rfind(" ssm-end")
    if not 0 <= begin < end:
        return None
    text = output[begin + len("ssm-begin") : end] + " "
    busy, total = _cpu(text)
    used, size = _memory(text)
    load = _LOAD.search(text)
    disk = _DISK.search(text)
    return HostReading(
        cpu_busy_ticks=busy,
        cpu_total_ticks=total,
        memory_used_bytes=used,
        memory_total_bytes=size,
        load_1=float(load[1]) if load else None,
        load_5=float(load[2]) if load else None,
        load_15=float(load[3]) if load else None,
        disk_used_bytes=_bytes(disk[2]) if disk else None,
        disk_total_bytes=_bytes(disk[1]) if disk else None,
    )


def host_cpu_percent(before: tuple[int, int] | None, after: HostReading) -> float | None:
    """Busy share of all CPUs between two readings, 0 to 100; ``before`` is (busy, total) ticks.

    None without an earlier reading, and when a counter went back (the host was restarted).
    """
    if before is None or after.cpu_busy_ticks is None or after.cpu_total_ticks is None:
        return None
    busy, total = after.cpu_busy_ticks - before[0], after.cpu_total_ticks - before[1]
    if total <= 0 or not 0 <= busy <= total:
        return None
    return busy / total * 100


def _cpu(text: str) -> tuple[int | None, int | None]:
    found = _CPU.search(text)
    if not found:
        return None, None
    times = [int(word) for word in found[1].split()][:_CPU_COLUMNS]
    idle = times[3] + (times[4] if len(times) > 4 else 0)
    return sum(times) - idle, sum(times)


def _memory(text: str) -> tuple[int | None, int | None]:
    """Used and in all."""
    told = {name: _bytes(value) for name, value in _MEMORY.findall(text)}
    total, available = told.get("MemTotal"), told.get("MemAvailable")
    if available is None and total is not None:
        parts = [told.get(name) for name in ("MemFree", "Buffers", "Cached", "SReclaimable")]
        available = sum(part or 0 for part in parts) if parts[0] is not None else None
    used = total - available if total is not None and available is not None and available <= total else None
    return used, total


def _bytes(kibibytes: str) -> int | None:
    size = int(kibibytes) * 1024
    return size if size <= _MOST_BYTES else None
