"""The log page's socket: one container's log for one user, at the browser's own pace."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final, Literal

from autobahn.exception import Disconnected
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model

from containers.logs.hub import TooManyLogs, current_hub
from containers.logs.messages import LinesHead, decode_command, encode_lines, encode_text, error_message
from containers.logs.viewer import Viewer
from containers.models import Container
from containers.rules.logframes import LogFormatError, LogStreamError
from ssm.lib.errors import SsmError
from ssm.lib.roles import can_view

logger = logging.getLogger(__name__)

UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
UNKNOWN: Final = 4404
TOO_MANY: Final = 4429
TOO_LARGE: Final = 1009
MAX_MESSAGE: Final = 8 * 1024
RECHECK_S: Final = 60.0
MAX_TAIL: Final = 1_000_000
MAX_EDGE: Final = 16
MAX_EDGE_TEXT: Final = 101


class LogConsumer(AsyncWebsocketConsumer):
    """One open log page. Commands and messages are those of `containers.logs.messages`."""

    # Logs never cross the channel layer: it would copy every line through Redis, once per viewer.
    channel_layer_alias = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._container_id = ""
        self._viewer: Viewer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._older: asyncio.Task[None] | None = None

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
        else:
            self._start(self._recheck())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Carry out a command; what is none is ignored."""
        if text_data is None or len(text_data) > MAX_MESSAGE:
            await self.close(TOO_LARGE)
            return
        command = decode_command(text_data)
        if command is None:
            return
        if command["type"] == "open" and self._viewer is None and self._tasks:
            await self._open(command)
        elif self._viewer is None:
            return
        elif command["type"] == "ack":
            self._viewer.acknowledge(whole(command.get("bytes"), 0))
        elif command["type"] == "older" and (self._older is None or self._older.done()):
            self._older = self._start(self._send_older(self._viewer, command))
        elif command["type"] == "retry":
            # Resetting the pool's breaker takes locks that a handshake may hold.
            await asyncio.to_thread(self._viewer.upstream.retry)

    async def _open(self, command: dict[str, Any]) -> None:
        hub = current_hub()
        tail: int | Literal["all"] = hub.limits.tail_default
        if command.get("tail") == "all":
            tail = "all"
        elif "tail" in command:
            tail = min(max(whole(command["tail"], hub.limits.tail_default), 0), MAX_TAIL)
        try:
            self._viewer = hub.attach(
                self._container_id,
                tail=tail,
                epoch=str(command.get("epoch", ""))[:64],
                next_record=whole(command.get("next"), -1),
            )
        except TooManyLogs as error:
            await self.send(text_data=encode_text(error_message("open", error)))
            await self.close(TOO_MANY)
            return
        self._start(self._pump(self._viewer))

    async def _pump(self, viewer: Viewer) -> None:
        """Send what there is, as fast as the browser acknowledges it."""
        with suppress(Disconnected):  # the browser left; its disconnect message is on its way to us
            while True:
                message = await viewer.message()
                if isinstance(message, bytes):
                    await self.send(bytes_data=message)
                else:
                    await self.send(text_data=message)

    async def _send_older(self, viewer: Viewer, command: dict[str, Any]) -> None:
        edge = command.get("edge")
        if not isinstance(edge, list):
            return
        before = whole(command.get("before"), 0)
        try:
            page = await current_hub().older(
                viewer,
                before=before,
                edge=[str(each)[:MAX_EDGE_TEXT].encode("utf-8", "replace") for each in edge[:MAX_EDGE]],
                count=min(max(whole(command.get("count"), 0), 1), current_hub().limits.page_lines),
            )
        except SsmError as error:
            await self.send(text_data=encode_text(error_message("older", error)))
            return
        except (LogFormatError, LogStreamError) as error:
            unreadable = SsmError(f"The older lines can't be read: {error}.", fix="Look at the log on the host itself.")
            await self.send(text_data=encode_text(error_message("older", unreadable)))
            return
        head: LinesHead = {
            "type": "older",
            "first": before - page.count,
            "count": page.count,
            "at_start": page.at_start,
        }
        await self.send(bytes_data=encode_lines(head, page.data))

    async def _recheck(self) -> None:
        """Close the socket of somebody who was logged out, deactivated or lost the role."""
        while True:
            await asyncio.sleep(RECHECK_S)
            refusal = await self._refusal()
            if refusal:
                await self.close(refusal)
                return

    @database_sync_to_async
    def _refusal(self) -> int:
        """The closing code for who may not see this log, 0 for who may."""
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

    def _start(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("log socket task failed", exc_info=task.exception(), extra={"container": self._container_id})


class _Stop(Exception):
    """Ends the consumer."""


def whole(value: Any, default: int) -> int:
    """A whole number of a command, the default for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
