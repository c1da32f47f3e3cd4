"""The log hub: one upstream per container and web process, for any number of viewers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal
from weakref import WeakKeyDictionary

from django.conf import settings

from containers.logs.history import OlderPage, read_older
from containers.logs.limits import LogLimits
from containers.logs.sources import LogSource, locate
from containers.logs.upstream import Upstream
from containers.logs.viewer import Viewer
from ssm.lib.errors import SsmError

_READERS = 12


class TooManyLogs(SsmError):
    """This process follows as many logs, or serves as many viewers, as it may."""

    code = "too_many_logs"
    status = 503


class LogHub:
    """Use it on one event loop; see `current_hub`."""

    def __init__(self, limits: LogLimits, locate_source: Callable[[str], LogSource | None] = locate) -> None:
        self.limits = limits
        self._locate = locate_source
        self._upstreams: dict[str, Upstream] = {}
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="log-page")

    @property
    def upstreams(self) -> dict[str, Upstream]:
        """The logs that are followed now, by container id (a copy)."""
        return dict(self._upstreams)

    def attach(
        self,
        container_id: str,
        *,
        tail: int | Literal["all"],
        epoch: str = "",
        next_record: int = -1,
        window_bytes: int = 0,
    ) -> Viewer:
        """Give a viewer of a container's log, following it from now on if nobody did. Does no I/O. TooManyLogs.

        ``window_bytes``: how much may be on its way to it, instead of the limits' own.
        """
        upstream = self._upstreams.get(container_id)
        if sum(len(each.viewers) for each in self._upstreams.values()) >= self.limits.viewers or (
            upstream is None and len(self._upstreams) >= self.limits.upstreams
        ):
            raise TooManyLogs(
                "This server shows as many logs as it may at once.",
                fix="Close log pages that nobody needs, or run a second web process.",
            )
        if upstream is None:
            upstream = Upstream(container_id, self._locate, tail=tail, limits=self.limits)
            self._upstreams[container_id] = upstream
            upstream.start()
        elif upstream.closing is not None:
            upstream.closing.cancel()
            upstream.closing = None
        return upstream.attach(tail=tail, epoch=epoch, next_record=next_record, window_bytes=window_bytes)

    def detach(self, viewer: Viewer) -> None:
        """The viewer left; its log is closed some seconds later if nobody else reads it."""
        upstream = viewer.upstream
        upstream.detach(viewer)
        if not upstream.viewers and upstream.closing is None:
            loop = asyncio.get_running_loop()
            upstream.closing = loop.call_later(self.limits.linger_s, self._close, upstream)

    async def older(self, viewer: Viewer, *, before: int, edge: list[bytes], count: int) -> OlderPage:
        """Read the page of lines before record number ``before``, the first of ``edge``. DeviceError, LogGone."""
        upstream = viewer.upstream
        distance = max(upstream.ring.next_record - before, 0)
        limits = self.limits
        return await asyncio.get_running_loop().run_in_executor(
            self._readers,
            lambda: read_older(
                self._locate, upstream.container_id, edge=edge, distance=distance, count=count, limits=limits
            ),
        )

    async def close(self) -> None:
        """Close every log at once, whoever looks."""
        upstreams, self._upstreams = list(self._upstreams.values()), {}
        for upstream in upstreams:
            if upstream.closing is not None:
                upstream.closing.cancel()
            await asyncio.get_running_loop().run_in_executor(self._readers, upstream.close)
        self._readers.shutdown(wait=False)

    def _close(self, upstream: Upstream) -> None:
        if upstream.viewers or self._upstreams.get(upstream.container_id) is not upstream:
            return
        del self._upstreams[upstream.container_id]
        # Sending the close may block on a connection that hangs, so not here on the loop.
        asyncio.get_running_loop().run_in_executor(self._readers, upstream.close)


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, LogHub]" = WeakKeyDictionary()


def use_hub(hub: LogHub) -> None:
    """Have the running event loop use this hub instead of one with the limits of the settings."""
    _hubs[asyncio.get_running_loop()] = hub


def current_hub() -> LogHub:
    """The hub of the running event loop: a web process has one loop, so one hub."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = LogHub(LogLimits(linger_s=settings.SSM_LOG_LINGER_SECONDS))
    return hub
