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
    """From where to ask (``since_ns``, included) and the stamps of the records known from there on, in order."""

    since_ns: int
    known: tuple[bytes, ...]


def resume_point(stamps: Sequence[bytes]) -> ResumePoint | None:
    """Where to resume after the records with these stamps (the newest ones held, in order).

    None when the newest has no readable stamp: then nothing exact can be said.
    """
    last = stamp_ns(stamps[-1]) if stamps else None
    if last is None:
        return None
    times = [stamp_ns(stamp) or 0 for stamp in stamps]
    since = max(last - MARGIN_NS, min(times))
    return ResumePoint(since, tuple(stamp for stamp, time in zip(stamps, times, strict=True) if time >= since))


class Resumer:
    """Leaves the known records out of a resumed stream.

    ``matched`` is None until a record came, then tells whether the stream began with the first known one; False
    means that the log no longer reaches back so far (rotated, truncated) and lines may be missing.
    """

    def __init__(self, point: ResumePoint) -> None:
        self._known = point.known
        self._next = 0
        self._latest_ns = max((stamp_ns(stamp) or 0 for stamp in point.known), default=0) + MARGIN_NS
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
            stamp = _stamp_of(line)
            found = self._find(stamp)
            if self.matched is None:
                self.matched = found == 0
            if found is not None:
                self._next = found + 1
            else:
                new.append(line)
                if (stamp_ns(stamp) or 0) > self._latest_ns:
                    self._next = len(self._known)
        return Records(len(new), b"\n".join(new) + b"\n") if new else NO_RECORDS

    def _find(self, stamp: bytes) -> int | None:
        try:
            return self._known.index(stamp, self._next)
        except ValueError:
            return None


class EdgeFinder:
    """Finds, in a page of older records, where the records begin that are held already.

    ``edge`` are the stamps of the oldest held records, in order. Keeps the last ``count`` records before them, and
    no more than about ``size`` bytes (``is_cut`` tells that there were more).
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
            self._recent.append(_stamp_of(line))
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


def _stamp_of(line: bytes) -> bytes:
    return line[1 : max(line.find(b" "), 1)]
