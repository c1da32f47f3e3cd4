"""The log page's socket: one container's log for one user, at the browser's own pace."""

import asyncio
from contextlib import suppress
from typing import Any, Final, Literal

from autobahn.exception import Disconnected

from containers.consumers.streams import TOO_LARGE, TOO_MANY, StreamConsumer
from containers.logs.hub import TooManyLogs, current_hub
from containers.logs.messages import LinesHead, decode_command, encode_lines, encode_text, error_message
from containers.logs.viewer import Viewer
from containers.rules.logframes import LogFormatError, LogStreamError
from ssm.lib.errors import SsmError
from ssm.lib.roles import Right

MAX_MESSAGE: Final = 8 * 1024
MAX_TAIL: Final = 1_000_000
MAX_EDGE: Final = 16
MAX_EDGE_TEXT: Final = 101


class LogConsumer(StreamConsumer):
    """One open log page. Commands and messages are those of `containers.logs.messages`."""

    right = Right.LOGS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._viewer: Viewer | None = None
        self._older: asyncio.Task[None] | None = None

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

    def _leave(self) -> None:
        """Leave nothing behind: no task, no viewer. Also when the server cancels us."""
        super()._leave()
        if self._viewer is not None:
            viewer, self._viewer = self._viewer, None
            current_hub().detach(viewer)


def whole(value: Any, default: int) -> int:
    """A whole number of a command, the default for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
