"""The recent lines of one log, shared by all who read it."""

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice

from containers.logs.messages import MarkerMessage
from containers.rules.logframes import Records

_ENTRY_BYTES = 200  # what an entry costs beside its data
_NO_ONE = -1


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that came together; ``first`` is the number of the first one."""

    first: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker that stands before record number ``first``."""

    first: int
    message: MarkerMessage
    count: int = 0
    data: bytes = b""


Entry = Batch | Mark


class Ring:
    """Numbered entries, the oldest of which are dropped when more than ``limit`` bytes are held.

    One writer, many readers with a position each (the number of the entry they want next). Thread-safe. Records
    are numbered from 0 on, markers have no number.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Entry] = deque()
        self._starts: deque[int] = deque()  # bytes ever added before each entry
        self._size = 0
        self._added = 0
        self._moved = threading.Condition()
        self._lead = _NO_ONE
        self.first_entry = 0
        self.next_record = 0

    @property
    def end(self) -> int:
        """The position after the newest entry."""
        return self.first_entry + len(self._entries)

    @property
    def first_record(self) -> int:
        """The number of the oldest record held (the next one when none is)."""
        with self._moved:
            return self._entries[0].first if self._entries else self.next_record

    def append(self, records: Records) -> None:
        """Add records; drops what no longer fits."""
        with self._moved:
            self._add(Batch(self.next_record, records.count, records.data))
            self.next_record += records.count

    def mark(self, message: MarkerMessage) -> None:
        """Add a marker."""
        with self._moved:
            self._add(Mark(self.next_record, message))

    def wait_for_reader(self, size: int, timeout_s: float) -> bool:
        """Wait until ``size`` more bytes fit without dropping what not even the fastest reader has taken.

        True at once when they fit or nobody reads; False when ``timeout_s`` passed.
        """
        with self._moved:
            return self._moved.wait_for(lambda: self._fits(size), timeout_s)

    def read(self, position: int, size: int) -> tuple[int, list[Entry]]:
        """Entries from ``position`` on, of at least one entry and at most about ``size`` bytes.

        Gives the position of the first one, which is later than asked for when entries were dropped: then the
        middle of the ring, so that a slow reader gets long runs with few holes.
        """
        with self._moved:
            if position < self.first_entry:
                position = self.first_entry + len(self._entries) // 2
            taken: list[Entry] = []
            total = 0
            for entry in islice(self._entries, position - self.first_entry, None):
                if taken and total + len(entry.data) > size:
                    break
                taken.append(entry)
                total += len(entry.data)
            return position, taken

    def advance(self, lead: int) -> None:
        """Note how far the fastest reader is (a position), for `wait_for_reader`; below 0: nobody reads."""
        with self._moved:
            self._lead = lead
            self._moved.notify_all()

    def position_of(self, record: int) -> int | None:
        """The entry that holds a record (or would hold it next); None when it was dropped or is not known."""
        with self._moved:
            if record == self.next_record:
                return self.end
            if not self._entries or not self._entries[0].first <= record < self.next_record:
                return None
            position = self.end
            for entry in reversed(self._entries):
                position -= 1
                if entry.first <= record < entry.first + entry.count:
                    break
            return position

    def last_records(self, count: int) -> list[bytes]:
        """The newest records held, at most ``count``, in order, without newlines."""
        parts: list[bytes] = []
        found = 0
        with self._moved:
            for entry in reversed(self._entries):
                if found >= count:
                    break
                parts.append(entry.data)
                found += entry.count
        records = b"".join(reversed(parts)).split(b"\n")
        records.pop()
        return records[max(found - count, 0) :]

    def close(self) -> None:
        """Let go of all entries and take no more. Without it they would stay until the next full garbage collection."""
        with self._moved:
            self._limit = 0
            self._entries.clear()
            self._starts.clear()
            self._size = 0
            self._moved.notify_all()

    def _fits(self, size: int) -> bool:
        if self._lead == _NO_ONE:
            return True
        index = self._lead - self.first_entry
        start = self._starts[max(index, 0)] if index < len(self._starts) else self._added
        return self._added - start + size + _ENTRY_BYTES <= self._limit or start == self._added

    def _add(self, entry: Entry) -> None:
        if not self._limit:
            return
        self._entries.append(entry)
        self._starts.append(self._added)
        cost = len(entry.data) + _ENTRY_BYTES
        self._size += cost
        self._added += cost
        while self._size > self._limit and len(self._entries) > 1:
            dropped = self._entries.popleft()
            self._starts.popleft()
            self.first_entry += 1
            self._size -= len(dropped.data) + _ENTRY_BYTES
