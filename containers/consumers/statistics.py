"""The socket of live figures: what one container uses, once a second or two, for one page.

From the server: ``{"type": "state", "state": …, "message": …, "fix": …}`` and ``{"type": "samples", "samples":
[{"time": …, "gap": …, "figures": {…}}]}``, oldest first, with the names of `containers.rules.statistics.Usage`. The
page answers each message with ``{"type": "ack"}``; one that is slow with it gets the newest sample and none of those
that it missed.
"""

import json
from contextlib import suppress
from typing import Any, Final

from autobahn.exception import Disconnected

from containers.consumers.streams import TOO_LARGE, TOO_MANY, StreamConsumer
from containers.statistics.live import LiveViewer, TooManyLiveCharts, current_hub

MAX_MESSAGE: Final = 1024


class StatisticsConsumer(StreamConsumer):
    """One page that shows a container's live figures."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._viewer: LiveViewer | None = None

    async def connect(self) -> None:
        """Let in who may see the container; others learn why by the closing code."""
        await self.accept()
        self._container_id = str(self.scope["url_route"]["kwargs"]["container_id"])
        refusal = await self._refusal()
        if refusal:
            await self.close(refusal)
            return
        try:
            self._viewer = current_hub().attach(self._container_id)
        except TooManyLiveCharts:
            await self.close(TOO_MANY)
            return
        self._start(self._pump(self._viewer))
        self._start(self._recheck())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take an acknowledgement; what is none is ignored."""
        if text_data is None or len(text_data) > MAX_MESSAGE:
            await self.close(TOO_LARGE)
            return
        try:
            message = json.loads(text_data)
        except (ValueError, RecursionError):
            return
        if self._viewer is not None and isinstance(message, dict) and message.get("type") == "ack":
            self._viewer.acknowledge()

    async def _pump(self, viewer: LiveViewer) -> None:
        with suppress(Disconnected):  # the browser left; its disconnect message is on its way to us
            while True:
                await self.send(text_data=await viewer.message())

    def _leave(self) -> None:
        """Leave nothing behind: no task, no viewer. Also when the server cancels us."""
        super()._leave()
        if self._viewer is not None:
            viewer, self._viewer = self._viewer, None
            current_hub().detach(viewer)
