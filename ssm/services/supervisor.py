"""Keep the processes of one checkout running, show what they say, and end them all in order."""

import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from ssm.services.errors import DiskFull, ServiceFailed
from ssm.services.output import LineBuffer, Output
from ssm.services.programs import Program, kill_group, spawn

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
# A process that lived this long was healthy: its next failure counts as the first.
HEALTHY_AFTER_S = 60.0
LEFTOVER_SECONDS = 15.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """The user or the machine asked us to end while something was still starting."""


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    lines: LineBuffer = field(default_factory=LineBuffer)
    # The newest lines, for the error message when it does not start.
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=20))


class Supervisor:
    """All of it happens in the calling thread, since the kernel ties the children's lives to that thread."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._selector = selectors.DefaultSelector()
        self._children: list[_Child] = []
        self._stop_requests = 0
        self._interruptible = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)

    def install_signals(self) -> None:
        """Let SIGINT, SIGTERM and SIGHUP end everything, and the end of a child wake us."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    @property
    def is_stopping(self) -> bool:
        return self._stop_requests > 0 or self._output.broken

    def request_stop(self) -> None:
        """End as if by a signal."""
        self._stop_requests += 1

    def call(self, step: Callable[[], None]) -> None:
        """Run a step in our own process that a stop signal interrupts. Raises StopRequested then."""
        if self.is_stopping:
            raise StopRequested
        self._interruptible = True
        try:
            step()
        finally:
            self._interruptible = False

    def start(self, program: Program, *, ready: Callable[[], bool] | None = None, timeout_s: float = 60.0) -> None:
        """Start it and, with `ready`, wait until that says yes.

        Raises ServiceFailed with the program's last words when it ends before or is not ready in time,
        DiskFull when they tell of a full disk, StopRequested when we were asked to end meanwhile.
        """
        child = _Child(program)
        self._children.append(child)
        begin = time.monotonic()
        self._launch(child)
        while ready is not None:
            self._pump(0.05)
            if self.is_stopping:
                raise StopRequested
            if child.process is None:
                said = "\n".join(child.tail)
                left_over = program.leftover and re.search(program.leftover, said)
                if not left_over or time.monotonic() - begin > LEFTOVER_SECONDS:
                    raise _start_failure(program, child.tail)
                child.restart_at = None
                time.sleep(0.3)
                child.tail.clear()
                self._launch(child)
            elif ready():
                return
            elif time.monotonic() - begin > timeout_s:
                raise ServiceFailed(f"{program.name} was not ready after {timeout_s:.0f} seconds.")

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Keep everything running until `condition` holds; False when it does not in time or we shall stop."""
        deadline = time.monotonic() + timeout_s
        while not self.is_stopping and time.monotonic() < deadline:
            if condition():
                return True
            self._pump(0.1)
            self._restart_due()
        return False

    def run(self) -> None:
        """Keep everything running until a stop is requested or nobody reads our output any more."""
        while not self.is_stopping:
            self._pump(self._seconds_to_restart())
            self._restart_due()

    def stop(self) -> None:
        """End all children, the last stage first, in at most the sum of the stages' `stop_seconds`."""
        self._stop_requests = max(1, self._stop_requests)
        for stage in sorted({child.program.stage for child in self._children}, reverse=True):
            members = [child for child in reversed(self._children) if child.program.stage == stage]
            self._stop_together(members)
        self._children.clear()

    def _stop_together(self, members: list[_Child]) -> None:
        """Ask every member to end, wait, then kill what is left of their process groups."""
        processes = []
        deadline = time.monotonic()
        for child in members:
            child.restart_at = None
            if child.process is not None:
                processes.append(child.process)
                deadline = max(deadline, time.monotonic() + child.program.stop_seconds)
                child.process.send_signal(child.program.stop_signal)
        while any(child.process for child in members) and time.monotonic() < deadline:
            if self._stop_requests > 1:  # pressed again: no more patience, except with the database
                deadline = min(deadline, time.monotonic() + (1 if members[0].program.stage else 4))
                self._stop_requests = 1
            self._pump(min(0.2, max(0.0, deadline - time.monotonic())))
        for process in processes:
            kill_group(process)
            process.wait()
        self._pump(0)

    def _launch(self, child: _Child) -> None:
        child.process = spawn(child.program)
        child.started_at = time.monotonic()
        child.restart_at = None
        child.lines = LineBuffer()
        stream = child.process.stdout
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, child)

    def _pump(self, timeout_s: float | None) -> None:
        """Show what children wrote and notice which of them ended; wait at most `timeout_s` (None: for long)."""
        for key, _events in self._selector.select(timeout_s):
            if key.data is None:
                self._drain_wakeups()
            else:
                self._read(key.data)
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._on_exit(child, child.process)

    def _read(self, child: _Child) -> bool:
        """Show what is there; False at the end of the stream."""
        stream = child.process.stdout if child.process else None
        if stream is None or stream.closed:
            return False
        try:
            data = os.read(stream.fileno(), 65536)
        except BlockingIOError:
            return False
        if data:
            self._show(child, child.lines.feed(data))
            return True
        self._selector.unregister(stream)
        stream.close()
        return False

    def _show(self, child: _Child, lines: list[str]) -> None:
        for line in lines:
            child.tail.append(line)
            if not child.program.hide or not re.search(child.program.hide, line):
                self._output.line(child.program.name, line)

    def _on_exit(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        # What it forked must not run on beside its successor; this also ends a stream that a fork keeps open.
        kill_group(process)
        while self._read(child):
            pass
        self._show(child, child.lines.end())
        if process.stdout is not None and not process.stdout.closed:
            self._selector.unregister(process.stdout)
            process.stdout.close()
        child.process = None
        if self.is_stopping:
            return
        lived_s = time.monotonic() - child.started_at
        child.failures = 1 if lived_s >= HEALTHY_AFTER_S else child.failures + 1
        delay_s = restart_delay(child.failures)
        child.restart_at = time.monotonic() + delay_s
        self._output.message(
            f"{child.program.name} ended ({describe_exit(process.returncode)}), starting it again in {delay_s:.0f} s"
        )

    def _seconds_to_restart(self) -> float | None:
        times = [child.restart_at for child in self._children if child.restart_at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _restart_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.restart_at is not None and child.restart_at <= now and not self.is_stopping:
                try:
                    self._launch(child)
                except ServiceFailed as error:
                    child.failures += 1
                    child.restart_at = now + restart_delay(child.failures)
                    self._output.message(error.message)

    def _drain_wakeups(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return

    def _on_stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_requests += 1
        if self._interruptible:
            self._interruptible = False
            raise StopRequested


def restart_delay(failures: int) -> float:
    """Seconds before the next start after so many failures in a row: 1, 2, 4, … at most 30."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 10))


def describe_exit(code: int) -> str:
    """`exit code 1`, or `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _start_failure(program: Program, tail: deque[str]) -> ServiceFailed | DiskFull:
    """The error for a program that ended at its start, with the line that tells most."""
    lines = [line for line in tail if line.strip()]
    if any("No space left on device" in line for line in lines):
        return DiskFull(
            f"The disk is full: {program.name} could not start.",
            fix="Free some space, or set SSM_DATA_DIR to a directory on a larger disk.",
        )
    telling = [line for line in lines if re.search(r"FATAL|PANIC|[Ee]rror|[Ff]ailed", line)]
    said = (telling or lines or ["it said nothing"])[-1].strip()
    return ServiceFailed(f"{program.name} did not start: {said[:500]}")
