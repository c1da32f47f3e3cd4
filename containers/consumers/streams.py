"""What sockets of streams share: who may watch, until when, and that nothing is left behind."""

import asyncio
import logging
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from containers.models import Container
from ssm.lib.roles import SomeUser, can_view

logger = logging.getLogger(__name__)

UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
UNKNOWN: Final = 4404
TOO_MANY: Final = 4429
TOO_LARGE: Final = 1009


class StreamConsumer(AsyncWebsocketConsumer):
    """A socket of one page that carries a stream of its own, past the channel layer.

    The layer would copy everything through Redis, once per viewer.
    """

    channel_layer_alias = ""
    # Seconds between two looks whether the user may still watch.
    recheck_s: float = 60.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._container_id = ""
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

    async def websocket_disconnect(self, _message: dict[str, Any]) -> None:
        """The browser left."""
        raise _Stop

    async def _recheck(self) -> None:
        """Close the socket of somebody who was logged out, deactivated or lost the role."""
        while True:
            await asyncio.sleep(self.recheck_s)
            try:
                refusal = await self._refusal()
            except DatabaseError:
                continue  # nothing can be asked meanwhile; the next look counts
            if refusal:
                await self.close(refusal)
                return

    @database_sync_to_async
    def _refusal(self) -> int:
        """The closing code for who may not watch, 0 for who may."""
        user = self.scope["user"]
        if not user.is_authenticated:
            return UNAUTHENTICATED
        session = self.scope["session"]
        known = get_user_model().objects.filter(pk=user.pk, is_active=True).first()
        if known is None or not session.exists(session.session_key):
            return UNAUTHENTICATED
        if not can_view(known):
            return FORBIDDEN
        return 0 if self._is_visible_to(known) else UNKNOWN

    def _is_visible_to(self, user: SomeUser) -> bool:
        """Whether the user may see what this socket shows. In a thread."""
        return Container.objects.visible_to(user).filter(pk=self._container_id).exists()

    def _leave(self) -> None:
        """Leave nothing behind. Also when the server cancels us."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("stream socket failed", exc_info=task.exception(), extra={"container": self._container_id})


class _Stop(Exception):
    """Ends the consumer."""
