"""The few channels that one engine's requests share: last used first, never more than the limit."""

import threading
import time
from collections import deque
from contextlib import suppress

from devices.docker.routes import Channel, Route
from devices.ssh.session import ChannelRefused
from devices.ssh.sockets import Deadline

# Podman's service ends when nobody is connected for 5 s, and each idle channel costs the host a little memory:
# beyond the last one, a channel that nobody needed for this long is closed.
IDLE_CHANNEL_S = 60.0


class ChannelSet:
    """Channels kept alive between requests. All methods are thread-safe; no lock is held while the host is asked."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._changed = threading.Condition()
        self._idle: deque[tuple[Channel, float]] = deque()
        self._capacity = route.most_requests
        self._open = 0
        self._is_closed = False

    @property
    def open_count(self) -> int:
        """Channels that exist now, in use or idle."""
        return self._open

    @property
    def busy_count(self) -> int:
        """Channels that carry a request now."""
        return self._open - len(self._idle)

    def lease(self, deadline: Deadline, *, fresh: bool = False) -> tuple[Channel, bool]:
        """A channel for one request, and whether it was used before. Must be given back or discarded.

        Waits for a free one up to the deadline: TimeoutError. ``fresh`` insists on a new channel. ChannelRefused or
        DeviceError if none can be opened.
        """
        while True:
            idle = self._take_or_reserve(deadline, fresh=fresh)
            if idle is not None:
                return idle, True
            try:
                return self._route.open(deadline.left_s), False
            except ChannelRefused:
                if not self._shrink():
                    raise
            except BaseException:
                self._forget()
                raise

    def give_back(self, channel: Channel) -> None:
        """Keep a channel whose answer was read whole for the next request."""
        if not channel.is_fresh or self._is_closed:
            self.discard(channel)
            return
        with self._changed:
            self._idle.append((channel, time.monotonic()))
            self._changed.notify()
        self.trim()

    def discard(self, channel: Channel) -> None:
        """Close a channel that can't carry another request."""
        self._forget()
        _close(channel)

    def trim(self) -> None:
        """Close channels that were idle for long, all but the one used last."""
        oldest = time.monotonic() - IDLE_CHANNEL_S
        while True:
            with self._changed:
                if len(self._idle) < 2 or self._idle[0][1] > oldest:
                    return
                channel, _since = self._idle.popleft()
            self.discard(channel)

    def close(self) -> None:
        """Close the idle channels; those in use are closed when they come back."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = list(self._idle), deque()
            self._changed.notify_all()
        for channel, _since in idle:
            self.discard(channel)

    def _take_or_reserve(self, deadline: Deadline, *, fresh: bool) -> Channel | None:
        stale: list[Channel] = []
        try:
            with self._changed:
                while True:
                    while self._idle:
                        channel, _since = self._idle.pop()
                        if channel.is_fresh and not fresh:
                            return channel
                        self._open -= 1
                        stale.append(channel)
                    if self._open < self._capacity:
                        self._open += 1
                        return None
                    if not self._changed.wait(deadline.left_s) and deadline.is_over:
                        raise TimeoutError("no free channel")
        finally:
            for channel in stale:
                _close(channel)

    def _forget(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()

    def _shrink(self) -> bool:
        """After a refusal: live with the channels there are. False if there is none, so that waiting is in vain."""
        with self._changed:
            self._open -= 1
            if self._open < 1:
                return False
            # sshd's MaxSessions counts every program channel of a connection.
            self._capacity = self._open
            return True


def _close(channel: Channel) -> None:
    """Close; where the connection itself is gone there is nothing to tell the other end any more."""
    with suppress(OSError, EOFError):
        channel.close()
