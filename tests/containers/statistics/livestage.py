"""What tests of live figures need: a browser's socket, and a container that uses something."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from channels.testing import WebsocketCommunicator

from ssm.asgi import application

# Half of a CPU, and some memory.
BUSY = ["sh", "-c", "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; usleep 50000; done"]


class FiguresReader:
    """A browser's socket for one container's live figures, on the real ASGI application."""

    def __init__(self, container_id: object, cookie: str, *, acknowledges: bool = True) -> None:
        headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"cookie", cookie.encode())]
        self.socket = WebsocketCommunicator(application, f"/ws/containers/{container_id}/statistics/", headers=headers)
        self.acknowledges = acknowledges
        self.samples: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.closed_with = 0

    async def open(self) -> "FiguresReader":
        connected, _ = await self.socket.connect(timeout=10)
        assert connected
        return self

    async def acknowledge(self) -> None:
        await self.socket.send_to(text_data='{"type":"ack"}')

    async def until(self, reached: Callable[[], object], timeout_s: float = 25) -> None:
        """Take what comes until the condition holds."""
        try:
            async with asyncio.timeout(timeout_s):
                while not reached():
                    await self._take(await self.socket.output_queue.get())
        except TimeoutError:
            raise AssertionError(f"not reached: {self.states[-2:]}, {self.samples[-2:]}") from None

    async def state(self, *names: str) -> None:
        """Wait until the state is one of these."""
        await self.until(lambda: self.states and self.states[-1]["state"] in names)

    async def leave(self) -> None:
        await self.socket.disconnect()

    async def _take(self, output: dict[str, Any]) -> None:
        if output["type"] == "websocket.close":
            self.closed_with = output.get("code", 1000)
            return
        message = json.loads(output["text"])
        if message["type"] == "state":
            self.states.append(message)
        else:
            self.samples += message["samples"]
        if self.acknowledges:
            await self.acknowledge()


async def eventually(condition: Callable[[], Any] | Callable[[], Awaitable[Any]], timeout_s: float = 20) -> None:
    """Wait until the condition, which may be asynchronous, holds."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return
        assert time.monotonic() < end, "not within the time"
        await asyncio.sleep(0.05)
