"""Notice when messages between processes may have been lost, so that no open page goes on showing old rows as live.

The channel layer is at-most-once and does not tell when it was deaf: while Redis restarts, sockets of pages stay open
and what is published is gone. One watch per event loop sends itself a message every few seconds; when it does not come
back, or comes by another Redis than before, the sockets are closed: their pages say "reconnecting", come back by
themselves and read anew.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.conf import settings
from redis import asyncio as redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

BEAT_S: Final = 5.0
PATIENCE_S: Final = 5.0


class Pulse:
    """Tells those who joined that messages may have been lost. Lives on one event loop, and only while some joined."""

    beat_s: float = BEAT_S

    def __init__(self) -> None:
        self._joined: set[Callable[[], None]] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, on_loss: Callable[[], None]) -> None:
        """Have ``on_loss`` called, on the event loop, whenever something may have been lost."""
        self._joined.add(on_loss)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def leave(self, on_loss: Callable[[], None]) -> None:
        """The opposite of ``join``; the last one who leaves ends the watch."""
        self._joined.discard(on_loss)
        if not self._joined and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        layer = get_channel_layer()
        known = ""
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S)
        try:
            while True:
                server = await self._beat(layer, client)
                if not server or (known and server != known):
                    logger.warning("messages between processes may have been lost: pages are asked to come back")
                    for on_loss in list(self._joined):
                        on_loss()
                known = server
                await asyncio.sleep(self.beat_s)
        finally:
            await client.aclose()

    async def _beat(self, layer: Any, client: "redis.Redis") -> str:
        """Which Redis our message came back by; empty when it did not."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                channel = await layer.new_channel("pulse.")
                receiving = asyncio.ensure_future(layer.receive(channel))
                try:
                    await layer.send(channel, {"type": "pulse"})
                    await asyncio.shield(receiving)
                finally:
                    await _end(receiving, layer, channel)
                return str((await client.info("server"))["run_id"])
        except (RedisError, OSError, TimeoutError):
            return ""


async def _end(receiving: "asyncio.Task[Any]", layer: Any, channel: str) -> None:
    """Have the layer forget the channel: it does so when a receiver is cancelled."""
    if receiving.done():
        receiving = asyncio.ensure_future(layer.receive(channel))
        await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)


_instances: WeakKeyDictionary[asyncio.AbstractEventLoop, Pulse] = WeakKeyDictionary()


def pulse() -> Pulse:
    """The watch of the running event loop."""
    return _instances.setdefault(asyncio.get_running_loop(), Pulse())
