"""Continuing a log stream after it broke, without losing a line and without telling one twice.

The Engine can only be asked for the log *since* a time, that time included, and times neither rise strictly
(stdout and stderr are stamped before they queue for the file) nor differ from line to line (podman stamps
whole seconds). What is certain is the order of the log file. So the stream is resumed a little before the last
line that was seen, and the lines known from then on, which must come again in the same order, are left out
one by one.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from containers.rules.logframes import NO_RECORDS, Records

MARGIN_NS = 1_000_000_000
"""How far before the last line a resumed stream starts: more than lines can be out of order."""

_PLAIN = re.compile(rb"[ -~]{0,60}")
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z")


def stamp_ns(stamp: bytes) -> int | None:
    """Nanoseconds since 1970 of a record's timestamp, None if it is none (RFC 3339, as Docker and podman write it)."""
    match = _STAMP.match(stamp)
    if not match:
        return None
    day, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(day.decode() + ("+00:00" if zone == b"Z" else zone.decode()))
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000 + int((fraction or b"").ljust(9, b"0"))


def engine_time(moment_ns: int) -> str:
    """The form in which the Engine takes ``since`` and ``until``: seconds, point, nine digits."""
    return f"{moment_ns // 1_000_000_000}.{moment_ns % 1_000_000_000:09d}"


def iso_time(moment_ns: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(moment_ns / 1e9, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """From where to ask (``since_ns``, included) and the records known from there on, in order.

    ``is_exact`` tells that the stream must begin with the first of them. It need not where the records known do not
    reach back that far: then older ones, which are not known, come first.
    """

    since_ns: int
    known: tuple[bytes, ...]
    is_exact: bool


def resume_point(records: Sequence[bytes]) -> ResumePoint | None:
    """Where to resume after these records (the newest ones held, in order, without newlines).

    None when the newest has no readable stamp: then nothing exact can be said.
    """
    times = [stamp_ns(_stamp_of(record)) or 0 for record in records]
    if not times or not times[-1]:
        return None
    since = times[-1] - MARGIN_NS
    known = tuple(record for record, time in zip(records, times, strict=True) if time >= since)
    return ResumePoint(since, known, is_exact=since - min(times) > MARGIN_NS)


class Resumer:
    """Leaves the known records out of a resumed stream.

    ``matched`` is None until it is known, then tells whether the known records came again as they should; False
    means that the log no longer reaches back so far (rotated, truncated) and lines may be missing.
    """

    def __init__(self, point: ResumePoint) -> None:
        self._known = point.known
        self._next = 0
        self._is_seeking = not point.is_exact and bool(point.known)
        self._failures = _prefix_function(point.known) if self._is_seeking else []
        self._latest_ns = max((stamp_ns(_stamp_of(each)) or 0 for each in point.known), default=0) + MARGIN_NS
        self.matched: bool | None = None if point.known else True

    @property
    def is_done(self) -> bool:
        """True once no record can be a known one any more."""
        return self._next >= len(self._known)

    def filter(self, records: Records) -> Records:
        """Give the new ones of ``records``."""
        if self.is_done or not records.count:
            return records
        new: list[bytes] = []
        lines = records.data.split(b"\n")
        lines.pop()
        for index, line in enumerate(lines):
            if self.is_done:
                new += lines[index:]
                break
            if self._is_beyond(line) if self._is_seeking else self._is_new(line):
                new.append(line)
        return Records(len(new), b"\n".join(new) + b"\n") if new else NO_RECORDS

    def _is_new(self, line: bytes) -> bool:
        try:
            found: int | None = self._known.index(line, self._next)
        except ValueError:
            found = None
        if self.matched is None:
            self.matched = found == 0
        if found is not None:
            self._next = found + 1
        elif (stamp_ns(_stamp_of(line)) or 0) > self._latest_ns:
            self._next = len(self._known)
        return found is None

    def _is_beyond(self, line: bytes) -> bool:
        """Look for all known records in a row (Knuth, Morris, Pratt); what comes before them is older."""
        while self._next and line != self._known[self._next]:
            self._next = self._failures[self._next - 1]
        if line == self._known[self._next]:
            self._next += 1
            self.matched = True if self.is_done else None
        elif (stamp_ns(_stamp_of(line)) or 0) > self._latest_ns:
            # They will not come any more.
            self.matched = False
            self._next = len(self._known)
            return True
        return False


def _prefix_function(pattern: Sequence[bytes]) -> list[int]:
    lengths = [0] * len(pattern)
    length = 0
    for index in range(1, len(pattern)):
        while length and pattern[index] != pattern[length]:
            length = lengths[length - 1]
        if pattern[index] == pattern[length]:
            length += 1
        lengths[index] = length
    return lengths


class EdgeFinder:
    """Finds, in a page of older records, where the records begin that are held already.

    ``edge`` are the oldest held records, in order, as `edge_of` gives them. Keeps the last ``count`` records before
    them, and no more than about ``size`` bytes (``is_cut`` tells that there were more).
    """

    def __init__(self, edge: Sequence[bytes], count: int, size: int) -> None:
        self._edge = list(edge)
        self._count = count
        self._size = size
        self._lines: deque[bytes] = deque()
        self._held = 0
        self._recent: deque[bytes] = deque(maxlen=len(self._edge))
        self.is_found = False
        self.is_cut = False

    def feed(self, records: Records) -> bool:
        """Add records; True once the edge was found, after which nothing more is wanted."""
        lines = records.data.split(b"\n")
        lines.pop()
        for line in lines:
            self._lines.append(line)
            self._held += len(line) + 1
            self._recent.append(edge_of(line))
            if self._recent[-1] == self._edge[-1] and list(self._recent) == self._edge:
                self.is_found = True
                for _ in self._edge:
                    self._lines.pop()
                break
            self._trim(self._count + len(self._edge))
        return self.is_found

    def records(self) -> list[bytes]:
        """The last ``count`` records before the edge, without newlines.

        None when the edge was not found: the log was rotated meanwhile, and what is older went with it.
        """
        if not self.is_found:
            return []
        self._held = sum(len(line) + 1 for line in self._lines)
        self._trim(self._count)
        return list(self._lines)

    def _trim(self, count: int) -> None:
        least = len(self._edge) + 1
        while len(self._lines) > count or (self._held > self._size and len(self._lines) > least):
            self._held -= len(self._lines.popleft()) + 1
            self.is_cut = True


def edge_of(record: bytes) -> bytes:
    """By what a record is recognised: its stamp, a space, and its text up to the first byte that is not plain.

    A browser, which has the text but not its bytes, can tell the same.
    """
    match = _PLAIN.match(record, record.find(b" ") + 1)
    return _stamp_of(record) + b" " + (match.group() if match else b"")


def _stamp_of(line: bytes) -> bytes:
    return line[1 : max(line.find(b" "), 1)]
