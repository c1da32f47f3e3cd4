"""Notice at once when somebody's rights may have changed, so that no open stream outlives them.

One reader per event loop, and only while there are sockets: it waits on the stream of `ssm.accounts.rights_news`, and
tells those whose user it is about to look again. Whenever it may have missed something, all look again.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.conf import settings
from redis import asyncio as redis
from redis.exceptions import RedisError

from ssm.accounts.rights_news import STREAM, USER

logger = logging.getLogger(__name__)

BLOCK_MS: Final = 2000
PATIENCE_S: Final = 5.0
AGAIN_S: Final = 1.0


class RightsReader:
    """Calls those who joined when there is news of their user."""

    def __init__(self) -> None:
        self._joined: dict[Callable[[], None], int] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, user_id: int, on_news: Callable[[], None]) -> None:
        """Have ``on_news`` called, on the event loop, whenever the user's rights may have changed.

        Look once after joining: what came before is not told.
        """
        self._joined[on_news] = user_id
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def leave(self, on_news: Callable[[], None]) -> None:
        """The opposite of ``join``; the last one who leaves ends the reading."""
        self._joined.pop(on_news, None)
        if not self._joined and self._task is not None:
            self._task.cancel()
            self._task = None

    def _tell(self, user_id: int | None = None) -> None:
        for on_news, whose in list(self._joined.items()):
            if user_id is None or whose == user_id:
                on_news()

    async def _run(self) -> None:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=BLOCK_MS / 1000 + PATIENCE_S, socket_connect_timeout=PATIENCE_S
        )
        place = ""
        try:
            # The library may answer a cancellation by an error of its own, which would be taken for Redis being away.
            while not _is_cancelled():
                try:
                    if not place:
                        place = await self._newest(client)
                        # What came before the reading began was told to nobody.
                        self._tell()
                    place = await self._read(client, place)
                except (RedisError, OSError, TimeoutError):
                    # Missed news are made good for by a look of everybody, once it answers again.
                    place = ""
                    await asyncio.sleep(AGAIN_S)
        finally:
            with suppress(RedisError, OSError):
                await client.aclose()

    @staticmethod
    async def _newest(client: "redis.Redis") -> str:
        newest: Any = await client.xrevrange(STREAM, count=1)
        return str(newest[0][0].decode()) if newest else "0-0"

    async def _read(self, client: "redis.Redis", place: str) -> str:
        """Wait for news after the place, tell them, and return the place of the last one."""
        answer: Any = await client.xread({STREAM: place}, block=BLOCK_MS)
        for _name, entries in answer or ():
            for entry, fields in entries:
                place = entry.decode()
                text = fields.get(USER, b"").decode()
                self._tell(int(text) if text.isdigit() else None)
        return place


def _is_cancelled() -> bool:
    """Whether somebody wants the running task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_instances: WeakKeyDictionary[asyncio.AbstractEventLoop, RightsReader] = WeakKeyDictionary()


def rights_reader() -> RightsReader:
    """The reader of the running event loop."""
    return _instances.setdefault(asyncio.get_running_loop(), RightsReader())
