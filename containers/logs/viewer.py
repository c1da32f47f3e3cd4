"""One reader of a followed log: its place in the ring, and what it may be sent now."""

import asyncio
from typing import TYPE_CHECKING

from containers.logs.messages import (
    LinesHead,
    OpenedMessage,
    SkippedMessage,
    StateMessage,
    encode_lines,
    encode_text,
)
from containers.logs.ring import Batch, Mark

if TYPE_CHECKING:
    from containers.logs.upstream import Upstream


class Viewer:
    """Gives the messages for one browser, in order. Lives on the event loop; holds no lines of its own.

    A viewer that does not acknowledge gets nothing more after the window is full, and is told afterwards exactly
    how many records it missed. So it costs the same memory and never holds up another.
    """

    def __init__(self, upstream: "Upstream", *, record: int, continued: bool, position: int, window_bytes: int) -> None:
        self._upstream = upstream
        self._limits = upstream.limits
        self._window_bytes = window_bytes
        self._wake = asyncio.Event()
        self._wake.set()
        self._next_record = record
        self.position = position
        self._sent = 0
        self._acknowledged = 0
        self._told_state: StateMessage | None = None
        self._opened: OpenedMessage | None = {
            "type": "opened",
            "epoch": upstream.epoch,
            "first": record,
            "continued": continued,
            "acknowledge_bytes": window_bytes // 4,
        }

    @property
    def next_record(self) -> int:
        """The number of the record that it gets next."""
        return self._next_record

    @property
    def upstream(self) -> "Upstream":
        """The log it reads."""
        return self._upstream

    def wake(self) -> None:
        """Have `message` look again: the ring or the state changed."""
        self._wake.set()

    def acknowledge(self, total: int) -> None:
        """The browser has taken in ``total`` bytes of line messages. Values that can't be are ignored."""
        if self._acknowledged < total <= self._sent:
            self._acknowledged = total
            self._wake.set()

    async def message(self) -> str | bytes:
        """The next message, waiting until there is one and the browser may be sent it."""
        while True:
            message = self._take()
            if message is not None:
                return message
            self._wake.clear()
            message = self._take()
            if message is not None:
                return message
            await self._wake.wait()

    def _take(self) -> str | bytes | None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            return encode_text(opened)
        state = self._upstream.state
        if state is not self._told_state:
            self._told_state = state
            return encode_text(state)
        if self._sent - self._acknowledged >= self._window_bytes:
            return None
        return self._lines()

    def _lines(self) -> str | bytes | None:
        position, entries = self._upstream.ring.read(self.position, self._limits.message_bytes)
        if not entries:
            return None
        first = entries[0].first
        if position > self.position and first > self._next_record:
            skipped: SkippedMessage = {
                "type": "skipped",
                "first": self._next_record,
                "count": first - self._next_record,
            }
            self._move(position, first)
            return encode_text(skipped)
        if isinstance(entries[0], Mark):
            self._move(position + 1, first)
            return encode_text(entries[0].message)
        batches: list[Batch] = []
        for entry in entries:
            if isinstance(entry, Mark):
                break
            batches.append(entry)
        end = batches[-1].first + batches[-1].count
        parts = [batch.data for batch in batches]
        ahead = self._next_record - first
        if ahead > 0:
            parts[0] = _without_first(parts[0], ahead)
            first = self._next_record
        head: LinesHead = {"type": "lines", "first": first, "count": end - first}
        self._move(position + len(batches), end)
        message = encode_lines(head, *parts)
        self._sent += len(message)
        return message

    def _move(self, position: int, record: int) -> None:
        self.position = position
        self._next_record = record
        self._upstream.reader_moved(position)


def _without_first(data: bytes, count: int) -> bytes:
    start = 0
    for _ in range(count):
        start = data.index(b"\n", start) + 1
    return data[start:]
