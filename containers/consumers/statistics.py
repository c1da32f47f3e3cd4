"""The socket of live figures: what one container uses, once a second or two, for one page.

From the server: ``{"type": "state", "state": …, "message": …, "fix": …}`` and ``{"type": "samples", "samples":
[{"time": …, "gap": …, "figures": {…}}]}``, oldest first, with the names of `containers.rules.statistics.Usage`. The
page answers each message with ``{"type": "ack"}``; one that is slow with it gets the newest sample and none of those
that it missed.
"""

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any, Final

from autobahn.exception import Disconnected
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from containers.models import Container
from containers.statistics.live import LiveViewer, TooManyLiveCharts, current_hub
from ssm.lib.roles import can_view

logger = logging.getLogger(__name__)

UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
UNKNOWN: Final = 4404
TOO_MANY: Final = 4429
TOO_LARGE: Final = 1009
MAX_MESSAGE: Final = 1024
RECHECK_S: Final = 60.0


class StatisticsConsumer(AsyncWebsocketConsumer):
    """One page that shows a container's live figures."""

    # Figures never cross the channel layer: it would copy each through Redis, once per viewer.
    channel_layer_alias = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._container_id = ""
        self._viewer: LiveViewer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run without a channel layer."""
        self.scope, self.base_send, self.channel_layer = scope, send, None
        try:
            while True:
                await self.dispatch(await receive())
        except _Stop:
            return
        finally:
            self._leave()

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

    async def _recheck(self) -> None:
        """Close the socket of somebody who was logged out, deactivated or lost the role."""
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                refusal = await self._refusal()
            except DatabaseError:
                continue  # nothing can be asked meanwhile
            if refusal:
                await self.close(refusal)
                return

    @database_sync_to_async
    def _refusal(self) -> int:
        """The closing code for who may not see this container, 0 for who may."""
        user = self.scope["user"]
        if not user.is_authenticated:
            return UNAUTHENTICATED
        session = self.scope["session"]
        known = get_user_model().objects.filter(pk=user.pk, is_active=True).first()
        if known is None or not session.exists(session.session_key):
            return UNAUTHENTICATED
        if not can_view(known):
            return FORBIDDEN
        return 0 if Container.objects.visible_to(known).filter(pk=self._container_id).exists() else UNKNOWN

    async def websocket_disconnect(self, _message: dict[str, Any]) -> None:
        """The browser left."""
        raise _Stop

    def _leave(self) -> None:
        """Leave nothing behind: no task, no viewer. Also when the server cancels us."""
        for task in self._tasks:
            task.cancel()
        if self._viewer is not None:
            viewer, self._viewer = self._viewer, None
            current_hub().detach(viewer)

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("statistics socket failed", exc_info=task.exception(), extra={"container": self._container_id})


class _Stop(Exception):
    """Ends the consumer."""
