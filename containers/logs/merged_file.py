"""Several logs as one file, merged by time: each is read in a thread of its own, a few pieces ahead at most."""

import asyncio
import heapq
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from containers.logs.choosing import SourceEntry
from containers.logs.scanning import Bounds, Line, Scan
from containers.rules.logfilter import LineFilter

MOST_SOURCES: Final = 16
PIECE_BYTES: Final = 64 * 1024
# Lines of a log read before they are wanted; one may be 256 KiB long.
_AHEAD: Final = 32
_BOUNDS: Final = Bounds(bytes=1 << 40, seconds=3600.0)
_writers = ThreadPoolExecutor(4, thread_name_prefix="log-merged-file")


class _Ahead:
    """One log, read ahead by a thread as far as a short queue holds."""

    def __init__(self, source: SourceEntry, since_ns: int | None, until_ns: int | None, wanted: LineFilter) -> None:
        self.source = source
        self._wanted = wanted
        self._cancelled = threading.Event()
        self._lines: queue.Queue[Line | None] = queue.Queue(_AHEAD)
        self.is_whole = False
        self.scan = Scan(
            source["id"],
            since_ns=since_ns,
            until_ns=until_ns,
            stream=wanted.stream,
            bounds=_BOUNDS,
            cancelled=self._cancelled,
        )
        threading.Thread(target=self._read, name="log-merged-reader", daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self.scan:
                if self._wanted.takes(line.mark, line.text) and not self._put(line):
                    return
            self.is_whole = self.scan.state == "done"
        finally:
            self._put(None)

    def _put(self, line: Line | None) -> bool:
        while not self._cancelled.is_set():
            try:
                self._lines.put(line, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False

    def lines(self) -> Iterator[tuple[int, int, int, Line]]:
        """Sorted by a time that never falls: within one log its own order counts."""
        latest = place = 0
        while (line := self._next()) is not None:
            latest = max(latest, line.time_ns)
            place += 1
            yield latest, self.source["index"], place, line

    def _next(self) -> Line | None:
        """The next line, None at the end. A reading that was closed tells no end, and must not be waited for."""
        while not self._cancelled.is_set():
            try:
                return self._lines.get(timeout=0.5)
            except queue.Empty:
                continue
        return None

    def close(self) -> None:
        """End the reading."""
        self._cancelled.set()


async def merged_pieces(
    sources: list[SourceEntry],
    *,
    since_ns: int | None,
    until_ns: int | None,
    wanted: LineFilter,
    has_times: bool,
) -> AsyncIterator[bytes]:
    """The file, piece by piece: ``device/name | line``. Ends all readings when closed early."""
    ahead = [_Ahead(source, since_ns, until_ns, wanted) for source in sources]
    names = {source["index"]: f"{source['device']}/{source['name']} | ".encode() for source in sources}
    merged = heapq.merge(*(each.lines() for each in ahead), key=lambda entry: entry[:3])
    loop = asyncio.get_running_loop()

    def piece() -> bytes:
        parts: list[bytes] = []
        size = 0
        for _latest, index, _place, line in merged:
            stamp = line.stamp + b" " if has_times and line.stamp else b""
            parts.append(names[index] + stamp + line.text + b"\n")
            size += len(parts[-1])
            if size >= PIECE_BYTES:
                break
        return b"".join(parts)

    try:
        while written := await loop.run_in_executor(_writers, piece):
            yield written
        for each in ahead:
            if not each.is_whole:
                problem = each.scan.problem.message or "it could not be read to its end."
                yield names[each.source["index"]] + f"[This log is incomplete: {problem}]\n".encode()
    finally:
        for each in ahead:
            each.close()
