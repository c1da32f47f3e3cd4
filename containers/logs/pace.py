"""When a log waits for its viewers and when it drops lines instead."""

import time
from email.utils import parsedate_to_datetime

from containers.logs.ring import Ring
from containers.rules.logframes import Records
from containers.rules.logresume import stamp_ns

_STEP_S = 0.25
_FRESH_S = 2.5  # the host's clock is known to a second, from the Date header
_IDLE_READ_S = 0.2


class Pace:
    """Decides for one stream, in the thread that reads it.

    Until the stream has caught up with the present, history is read no faster than the fastest viewer takes it, so
    nothing of it is lost. Afterwards the stream may fall behind by ``lag_s`` seconds of waiting; then it is
    read at full speed and viewers skip, until it has caught up again.
    """

    def __init__(self, lag_s: float) -> None:
        self._lag_s = lag_s
        self._clock_offset_s: float | None = None
        self._is_live = False
        self._is_skipping = False
        self._waited_s = 0.0
        self._checked_at = 0.0

    def opened(self, date_header: str) -> None:
        """A stream was opened; ``date_header`` is the host's time as HTTP writes it (may be empty)."""
        self._is_live = self._is_skipping = False
        self._waited_s = 0.0
        try:
            self._clock_offset_s = parsedate_to_datetime(date_header).timestamp() - time.time()
        except (ValueError, TypeError):
            self._clock_offset_s = None

    def read_took(self, seconds: float) -> None:
        """A read had to wait this long: if long, the stream had no more to give."""
        if seconds > _IDLE_READ_S:
            self._caught_up()

    def give_way(self, ring: Ring, records: Records) -> None:
        """Wait, before ``records`` are added, as long as it is right to hold the stream up for its viewers."""
        self._look_at_clock(records)
        while not self._is_skipping:
            before = time.monotonic()
            if ring.wait_for_reader(len(records.data), _STEP_S):
                return
            if self._is_live:
                self._waited_s += time.monotonic() - before
                self._is_skipping = self._waited_s > self._lag_s

    def _look_at_clock(self, records: Records) -> None:
        now = time.time()
        if self._clock_offset_s is None or now - self._checked_at < _STEP_S:
            return
        self._checked_at = now
        last = records.data[records.data.rfind(b"\n", 0, -1) + 1 :]
        written_ns = stamp_ns(last[1 : max(last.find(b" "), 1)])
        if written_ns is not None and now + self._clock_offset_s - written_ns / 1e9 < _FRESH_S:
            self._caught_up()

    def _caught_up(self) -> None:
        self._is_live = True
        self._is_skipping = False
        self._waited_s = 0.0
