"""The hub of live figures: one upstream per container and web process, for any number of viewers."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from containers.statistics.following import FollowLimits, LiveFollower, LiveSample, LiveSource, LiveState, locate
from ssm.lib.errors import SsmError

_CLOSERS: Final = 4


class TooManyLiveCharts(SsmError):
    """This process follows as many containers, or serves as many viewers, as it may."""

    code = "too_many_live_charts"
    status = 503


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """What live figures may cost in one web process.

    ``kept``: recent samples that a new viewer gets at once. ``unacknowledged``: messages on their way to one viewer;
    beyond it the viewer waits, and then gets the newest sample alone. ``linger_s``: how long an upstream stays open
    after its last viewer left.
    """

    upstreams: int = 200
    viewers: int = 1000
    kept: int = 120
    unacknowledged: int = 2
    linger_s: float = 5.0
    follow: FollowLimits = field(default_factory=FollowLimits)


class LiveViewer:
    """One page's place in an upstream. One reader, on the hub's event loop."""

    def __init__(self, upstream: "LiveUpstream") -> None:
        self.upstream = upstream
        # Samples that were skipped because this viewer was slow.
        self.skipped = 0
        self._next = upstream.first
        self._state: LiveState | None = None
        self._on_the_way = 0
        self._is_late = False
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """There may be something new."""
        self._changed.set()

    def acknowledge(self) -> None:
        """The browser has taken in a message."""
        self._on_the_way = max(0, self._on_the_way - 1)
        self._changed.set()

    async def message(self) -> str:
        """The next message, as JSON: the state when it changed, else the samples since the last message."""
        while True:
            self._changed.clear()
            if self._on_the_way < self.upstream.limits.unacknowledged:
                text = self._take()
                if text:
                    self._on_the_way += 1
                    return text
            elif self._next < self.upstream.end:
                self._is_late = True
            await self._changed.wait()

    def _take(self) -> str:
        upstream = self.upstream
        if self._state is not upstream.state:
            self._state = upstream.state
            return json.dumps(self._state)
        if self._next >= upstream.end:
            return ""
        first = max(self._next, upstream.first)
        if self._is_late:
            first = upstream.end - 1
            self.skipped += first - self._next
        self._next, self._is_late = upstream.end, False
        return f'{{"type":"samples","samples":[{",".join(upstream.texts(first))}]}}'


class LiveUpstream:
    """The figures of one container: its thread, its recent samples, its viewers. All but the thread is on one loop."""

    def __init__(
        self, container_id: str, locate_source: Callable[[str], LiveSource | None], limits: LiveLimits
    ) -> None:
        self.container_id = container_id
        self.limits = limits
        self.viewers: set[LiveViewer] = set()
        self.closing: asyncio.TimerHandle | None = None
        # The number of the sample that comes next.
        self.end = 0
        self._texts: deque[str] = deque(maxlen=limits.kept)
        self._loop = asyncio.get_running_loop()
        self._follower = LiveFollower(
            container_id, locate_source, limits=limits.follow, sampled=self._on_sample, changed=self._on_change
        )
        self.state: LiveState = self._follower.state
        self._thread = threading.Thread(target=self._follower.run, name=f"live-{container_id}", daemon=True)

    @property
    def first(self) -> int:
        """The number of the oldest sample that is kept."""
        return self.end - len(self._texts)

    @property
    def is_running(self) -> bool:
        """Whether its thread still lives."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def texts(self, first: int) -> list[str]:
        """The samples from a number on, each as JSON; made once for all viewers."""
        return list(self._texts)[first - self.first :]

    def close(self) -> None:
        """End the thread; blocks for as long as the connection needs."""
        self._follower.close()

    # ---- called in the follower's thread

    def _on_sample(self, sample: LiveSample) -> None:
        self._on_loop(self._keep, _sample_text(sample))

    def _on_change(self) -> None:
        self._on_loop(self._turn, self._follower.state)

    def _on_loop(self, act: Callable[..., None], *values: object) -> None:
        try:
            self._loop.call_soon_threadsafe(act, *values)
        except RuntimeError:
            self._follower.close()  # the loop is closed: the process is going down

    # ---- on the loop

    def _keep(self, text: str) -> None:
        self._texts.append(text)
        self.end += 1
        self._wake_all()

    def _turn(self, state: LiveState) -> None:
        self.state = state
        self._wake_all()

    def _wake_all(self) -> None:
        for viewer in self.viewers:
            viewer.wake()


def _sample_text(sample: LiveSample) -> str:
    figures = {
        name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(sample.usage).items()
    }
    message = {"time": round(sample.time, 2), "gap": sample.has_gap, "figures": figures}
    return json.dumps(message, separators=(",", ":"))


class LiveHub:
    """Use it on one event loop; see `current_hub`."""

    def __init__(
        self, limits: LiveLimits | None = None, locate_source: Callable[[str], LiveSource | None] = locate
    ) -> None:
        self.limits = limits or LiveLimits()
        self._locate = locate_source
        self._upstreams: dict[str, LiveUpstream] = {}
        self._closers = ThreadPoolExecutor(_CLOSERS, thread_name_prefix="live-close")

    @property
    def upstreams(self) -> dict[str, LiveUpstream]:
        """The containers that are followed now, by id (a copy)."""
        return dict(self._upstreams)

    def attach(self, container_id: str) -> LiveViewer:
        """Give a viewer of a container, following it from now on if nobody did. Does no I/O. TooManyLiveCharts."""
        upstream = self._upstreams.get(container_id)
        if sum(len(each.viewers) for each in self._upstreams.values()) >= self.limits.viewers or (
            upstream is None and len(self._upstreams) >= self.limits.upstreams
        ):
            raise TooManyLiveCharts(
                "This server shows as many live charts as it may at once.",
                fix="Close statistics pages that nobody needs, or run a second web process.",
            )
        if upstream is None:
            upstream = LiveUpstream(container_id, self._locate, self.limits)
            self._upstreams[container_id] = upstream
            upstream.start()
        elif upstream.closing is not None:
            upstream.closing.cancel()
            upstream.closing = None
        viewer = LiveViewer(upstream)
        upstream.viewers.add(viewer)
        return viewer

    def detach(self, viewer: LiveViewer) -> None:
        """The viewer left; its upstream is closed some seconds later if nobody else looks."""
        upstream = viewer.upstream
        upstream.viewers.discard(viewer)
        if not upstream.viewers and upstream.closing is None:
            loop = asyncio.get_running_loop()
            upstream.closing = loop.call_later(self.limits.linger_s, self._close, upstream)

    async def close(self) -> None:
        """Close every upstream at once, whoever looks."""
        upstreams, self._upstreams = list(self._upstreams.values()), {}
        for upstream in upstreams:
            if upstream.closing is not None:
                upstream.closing.cancel()
            await asyncio.get_running_loop().run_in_executor(self._closers, upstream.close)
        self._closers.shutdown(wait=False)

    def _close(self, upstream: LiveUpstream) -> None:
        if upstream.viewers or self._upstreams.get(upstream.container_id) is not upstream:
            return
        del self._upstreams[upstream.container_id]
        # Sending the close may block on a connection that hangs, so not here on the loop.
        asyncio.get_running_loop().run_in_executor(self._closers, upstream.close)


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, LiveHub]" = WeakKeyDictionary()


def use_hub(hub: LiveHub) -> None:
    """Have the running event loop use this hub instead of one with the usual limits."""
    _hubs[asyncio.get_running_loop()] = hub


def current_hub() -> LiveHub:
    """The hub of the running event loop: a web process has one loop, so one hub."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = LiveHub()
    return hub
