"""Processes of a fleet: found by the mark in their own environment, ended by pidfd, never by name."""

import os
import re
import select
import signal
from collections.abc import Callable
from pathlib import Path

from tests.fleet.layout import MARK, Layout
from tests.fleet.shell import announce, read_file


def environment(pid: int) -> list[bytes]:
    """The variables that a process was started with; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def namespace_pids(pid: int) -> list[int]:
    """A process's numbers from the outermost to its own PID namespace; empty when it is gone."""
    found = re.search(r"^NSpid:\s*(.*)$", read_file(Path(f"/proc/{pid}/status")), re.MULTILINE)
    return [int(number) for number in found.group(1).split()] if found else []


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def all_pids() -> list[int]:
    """Every process of the machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def marked(layout: Layout) -> dict[str, list[int]]:
    """Processes of this fleet by what they belong to: a host's name, or `registry`."""
    found: dict[str, list[int]] = {}
    prefix = f"{MARK}={layout.mark('')}".encode()
    for pid in all_pids():
        for entry in environment(pid):
            if entry.startswith(prefix):
                found.setdefault(entry[len(prefix) :].decode(), []).append(pid)
    return found


def is_marked(layout: Layout, pid: int, what: str) -> bool:
    """Whether a process still is the one that the fleet started as `what`."""
    return f"{MARK}={layout.mark(what)}".encode() in environment(pid)


def is_init(layout: Layout, pid: int, name: str) -> bool:
    """Whether a process is process 1 of the host `name`."""
    numbers = namespace_pids(pid)
    foreign = _link(f"/proc/{pid}/ns/pid") != _link("/proc/self/ns/pid")
    return len(numbers) >= 2 and numbers[-1] == 1 and foreign and is_marked(layout, pid, name)


def members(init: int) -> list[int]:
    """Processes in the PID namespace of a host's process 1 (not those inside its containers)."""
    namespace = _link(f"/proc/{init}/ns/pid")
    return [pid for pid in all_pids() if namespace and _link(f"/proc/{pid}/ns/pid") == namespace]


def executable(pid: int) -> str:
    """Name of the program that a process runs, also when the file was replaced since."""
    return Path(_link(f"/proc/{pid}/exe").split(" (deleted)")[0]).name


def find_daemon(init: int, role: str, programs: tuple[str, ...]) -> int | None:
    """Outer number of a host's daemon, from the inner number it noted, checked by its executable."""
    noted = read_file(Path(f"/proc/{init}/root/run/fleet/{role}.pid")).strip()
    if not noted.isdigit():
        return None
    for pid in members(init):
        if namespace_pids(pid)[-1:] == [int(noted)] and executable(pid) in programs:
            return pid
    return None


def family(pid: int) -> list[int]:
    """A process and all that descend from it, containers too."""
    children: dict[int, list[int]] = {}
    for candidate in all_pids():
        parent = re.search(r"^PPid:\s*(\d+)", read_file(Path(f"/proc/{candidate}/status")), re.MULTILINE)
        if parent:
            children.setdefault(int(parent.group(1)), []).append(candidate)
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += children.get(current, [])
    return found


def memory_kib(pid: int, field: str = "Pss") -> int:
    """Memory of a process in KiB: `Pss` (its share of what is shared) or `Pss_Anon` (its own)."""
    found = re.search(rf"^{field}:\s+(\d+)", read_file(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return int(found.group(1)) if found else 0


def end_process(
    pid: int,
    still: Callable[[], bool],
    *,
    by: signal.Signals = signal.SIGKILL,
    wait_s: float = 15,
    after: Callable[[], None] | None = None,
) -> None:
    """Signal one process and wait for its end; SIGKILL follows when a milder signal is not enough.

    The pidfd is opened before `still()` confirms that the number still is the process meant, so a number
    used again in between is never hit. `after` runs between the signal and the wait.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if not still():
            return
        signal.pidfd_send_signal(handle, by)
        if after:
            after()
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        if ended.poll(wait_s * 1000):
            return
        if by != signal.SIGKILL:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if ended.poll(wait_s * 1000):
                return
        announce(f"process {pid} did not end within {wait_s:g} s")
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
