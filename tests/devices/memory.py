"""How much memory a piece of work takes at its height."""

import contextlib
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096


class Peak:
    """The greatest growth over the beginning, in bytes."""

    grown = 0


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@contextlib.contextmanager
def peak_memory() -> Iterator[Peak]:
    """Watch this process a hundred times a second until the end of the block."""
    gc.collect()
    before, peak, ended = resident(), Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            peak.grown = max(peak.grown, resident() - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
