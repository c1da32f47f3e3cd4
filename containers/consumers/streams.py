"""What sockets of streams share: who may watch, until when, and that nothing is left behind."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError
from django.http import HttpRequest

from containers.consumers.rights import rights_reader
from containers.models import Container
from ssm.accounts.sessions import held_back
from ssm.lib.roles import NOTHING, Right, SomeUser, can, set_grants

logger = logging.getLogger(__name__)

UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
UNKNOWN: Final = 4404
TOO_MANY: Final = 4429
TOO_LARGE: Final = 1009
# The database was away: until the next look.
RETRY_S: Final = 1.0


def current_user(scope: Any) -> User | None:
    """Whose socket it is, read anew with session and rights; None for who is logged out by now. In a thread.

    Also without an account that may log in, with another password than the session began with, or after the session's
    last day. Who is held back for a second factor or a new password has no rights.
    """
    request = HttpRequest()
    # Another object than the socket's own, whose answers are remembered.
    request.session = SessionStore(scope["session"].session_key)
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        return None
    if held_back(user, request.session):
        set_grants(user, NOTHING)
    return user


class StreamConsumer(AsyncWebsocketConsumer):
    """A socket of one page that carries a stream of its own, past the channel layer.

    The layer would copy everything through Redis, once per viewer.
    """

    channel_layer_alias = ""
    # Seconds between two looks whether the user may still watch, besides those after news of a change.
    recheck_s: float = 60.0
    # What watching takes.
    right: Right = Right.SEE

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
        """Close the socket of somebody who was logged out, deactivated or lost the right."""
        news = asyncio.Event()
        # At once too: what changed between the look at the beginning and now was told to nobody.
        news.set()
        rights_reader().join(self.scope["user"].pk, news.set)
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), self.recheck_s)
                news.clear()
                try:
                    refusal = await self._refusal()
                except DatabaseError:
                    await asyncio.sleep(RETRY_S)
                    news.set()
                    continue
                if refusal:
                    await self.close(refusal)
                    return
        finally:
            rights_reader().leave(news.set)

    async def _refusal(self) -> int:
        """The closing code for who may not watch, 0 for who may."""
        if not self.scope["user"].is_authenticated:
            return UNAUTHENTICATED
        return await database_sync_to_async(self._look)()

    def _look(self) -> int:
        user = current_user(self.scope)
        if user is None:
            return UNAUTHENTICATED
        if not can(user, self.right):
            return FORBIDDEN
        return 0 if self._is_visible_to(user) else UNKNOWN

    def _is_visible_to(self, user: SomeUser) -> bool:
        """Whether the user may see what this socket shows. In a thread."""
        return Container.objects.permitted(user, self.right).filter(pk=self._container_id).exists()

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
