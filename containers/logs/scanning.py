"""Read a log once, line by line, within bounds of bytes and time. Blocking; for threads."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Literal

from containers.logs.history import read_records
from containers.logs.sources import LogSource, locate
from containers.rules.logframes import LogFormatError, LogStreamError
from containers.rules.logresume import engine_time, stamp_ns
from ssm.lib.errors import SsmError

State = Literal["done", "partial", "failed"]
_STREAMS: Final = {"stdout": {"stdout": 1, "stderr": 0}, "stderr": {"stdout": 0, "stderr": 1}}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one look into one log may cost."""

    bytes: int = 64 * 1024 * 1024
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Line:
    """One record: its mark (see containers.rules.logframes), its stamp as it came, its time, its text."""

    mark: bytes
    stamp: bytes
    time_ns: int
    text: bytes

    @property
    def stream(self) -> str:
        """stdout or stderr."""
        return "stderr" if self.mark in (b"e", b"E") else "stdout"


class Scan:
    """One reading; afterwards ``state`` and ``problem`` tell how it went, ``bytes`` and ``lines`` what it took.

    ``reached`` is the stamp of the last line read. A reading that meets its bounds, or is cancelled, is "partial".
    """

    def __init__(
        self,
        container_id: str,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        tail: int | None = None,
        stream: str = "",
        bounds: Bounds | None = None,
        cancelled: threading.Event | None = None,
        locate_source: Callable[[str], LogSource | None] = locate,
    ) -> None:
        self._container_id = container_id
        self._since_ns, self._until_ns = since_ns, until_ns
        self._parameters: dict[str, Any] = dict(_STREAMS.get(stream, {}))
        if since_ns is not None:
            self._parameters["since"] = engine_time(since_ns)
        if until_ns is not None:
            self._parameters["until"] = engine_time(until_ns)
        if tail is not None:
            self._parameters["tail"] = tail
        self._bounds = bounds or Bounds()
        self._cancelled = cancelled or threading.Event()
        self._locate = locate_source
        self.state: State = "done"
        self.problem = SsmError("")
        self.bytes = 0
        self.lines = 0
        self.reached = b""

    def __iter__(self) -> Iterator[Line]:
        """The lines in the log's order. Never raises what a host or its log can cause: see ``state``."""
        try:
            yield from self._read()
        except SsmError as error:
            self.state, self.problem = "failed", error
        except (LogFormatError, LogStreamError) as error:
            self.state, self.problem = "failed", SsmError(f"The log can't be read: {error}.")

    def _read(self) -> Iterator[Line]:
        deadline = time.monotonic() + self._bounds.seconds
        with closing(read_records(self._locate, self._container_id, self._parameters)) as parts:
            for records in parts:
                self.bytes += len(records.data)
                for record in records.data.split(b"\n")[:-1]:
                    space = record.find(b" ")
                    stamp = record[1:space]
                    self.lines += 1
                    self.reached = stamp or self.reached
                    yield Line(record[:1], stamp, stamp_ns(stamp) or 0, record[space + 1 :])
                if self._cancelled.is_set():
                    self._stop("It was cancelled.")
                    return
                if self.bytes >= self._bounds.bytes:
                    self._stop(f"Only the first {self._bounds.bytes >> 20} MiB were read.", "Choose a shorter span.")
                    return
                if time.monotonic() >= deadline:
                    self._stop(f"It took longer than {self._bounds.seconds:.0f} s.", "Choose a shorter span.")
                    return

    def _stop(self, message: str, fix: str = "") -> None:
        self.state, self.problem = "partial", SsmError(message, fix=fix)
