"""One followed log: its thread, its ring, and the viewers that read it."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from typing import Literal

from containers.logs.follow import Follower
from containers.logs.limits import LogLimits
from containers.logs.messages import StateMessage
from containers.logs.ring import Ring
from containers.logs.sources import LogSource
from containers.logs.viewer import Viewer


class Upstream:
    """Belongs to one event loop, on which everything but the follower's thread happens."""

    def __init__(
        self,
        container_id: str,
        locate: Callable[[str], LogSource | None],
        *,
        tail: int | Literal["all"],
        limits: LogLimits,
    ) -> None:
        self.container_id = container_id
        self.limits = limits
        self.epoch = secrets.token_hex(8)
        self.ring = Ring(limits.ring_bytes)
        self.viewers: set[Viewer] = set()
        self.closing: asyncio.TimerHandle | None = None
        self._lead = -1
        self._loop = asyncio.get_running_loop()
        self._is_waking = False
        self._follower = Follower(container_id, locate, self.ring, tail=tail, limits=limits, changed=self._changed)
        self._thread = threading.Thread(target=self._follower.run, name=f"log-{container_id}", daemon=True)

    @property
    def state(self) -> StateMessage:
        """How the source stands; another object after each change."""
        return self._follower.state

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def attach(self, *, tail: int | Literal["all"], epoch: str, next_record: int, window_bytes: int = 0) -> Viewer:
        """Add a viewer: after the last record it holds, if that is of this epoch, else ``tail`` records back.

        It may get fewer than ``tail``: older ones are read from the host as a page.
        """
        ring = self.ring
        continued = bool(epoch) and epoch == self.epoch and 0 <= next_record <= ring.next_record
        if continued:
            record = next_record
        else:
            first = ring.first_record
            record = first if tail == "all" else max(first, ring.next_record - tail)
        position = ring.position_of(record)
        viewer = Viewer(
            self,
            record=record,
            continued=continued,
            position=-1 if position is None else position,
            window_bytes=window_bytes or self.limits.window_bytes,
        )
        self.viewers.add(viewer)
        self.reader_moved(viewer.position)
        return viewer

    def detach(self, viewer: Viewer) -> None:
        """Remove a viewer; the others decide the pace from now on."""
        self.viewers.discard(viewer)
        self._lead = max((each.position for each in self.viewers), default=-1)
        self.ring.advance(self._lead)

    def reader_moved(self, position: int) -> None:
        """A viewer has taken everything before ``position``."""
        if position > self._lead:
            self._lead = position
            self.ring.advance(position)

    def retry(self) -> None:
        """Try an unreachable host at once."""
        self._follower.retry()

    def close(self) -> None:
        """End the stream; blocks for as long as the connection needs to send that."""
        self._follower.close()
        self.ring.close()

    def _changed(self) -> None:
        """In the follower's thread: have the loop wake all viewers, once for all changes until then."""
        if self._is_waking:
            return
        self._is_waking = True
        try:
            self._loop.call_soon_threadsafe(self._wake_all)
        except RuntimeError:
            self._follower.close()  # the loop is closed: the process is going down

    def _wake_all(self) -> None:
        self._is_waking = False
        for viewer in self.viewers:
            viewer.wake()
