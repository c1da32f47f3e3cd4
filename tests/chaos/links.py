"""The way to a host: a TCP proxy on loopback that can refuse, fall silent, be slow, and lose what it carries.

Packets vanish only where a kernel does it (`Host.cut`); here a loss is what TCP makes of it: a pause until it is sent
again, and now and then a connection that is given up.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Final

_PIECE: Final = 16 * 1024
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Quality:
    """How a link is: seconds that each piece takes, and how likely one is held up, or ends its connection."""

    delay_s: float = 0.0
    stalls: float = 0.0
    breaks: float = 0.0
    is_silent: bool = False
    refuses: bool = False


GOOD: Final = Quality()
QUALITIES: Final = {
    "link refused": Quality(refuses=True),
    "link silent": Quality(is_silent=True),
    "link slow": Quality(delay_s=0.25),
    "link lossy": Quality(delay_s=0.02, stalls=0.08, breaks=0.015),
}


class Link:
    """One proxy, from ``port`` of this machine to a host's sshd."""

    def __init__(self, address: str, seed: int, *, port: int = 22) -> None:
        self._far = (address, port)
        self._server: asyncio.Server | None = None
        self.port = 0
        self._chance = random.Random(seed)  # noqa: S311 - for variety, no secret
        self._quality = GOOD
        self._loud = asyncio.Event()
        self._loud.set()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()

    async def open(self) -> None:
        """Take connections from now on."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End it with all its connections."""
        if self._server is not None:
            self._server.close()
        for pair in list(self._pairs):
            _reset(pair)

    async def become(self, quality: Quality) -> None:
        """Be like this from now on; connections end only where the link refuses."""
        self._quality = quality
        if quality.is_silent:
            self._loud.clear()
        else:
            self._loud.set()
        if quality.refuses:
            for pair in list(self._pairs):
                _reset(pair)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._loud.wait()
        if self._quality.refuses:
            _reset((writer,))
            return
        try:
            far_reader, far_writer = await asyncio.wait_for(asyncio.open_connection(*self._far), 30)
        except OSError:
            _reset((writer,))
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer, pair))
                group.create_task(self._carry(far_reader, writer, pair))
        finally:
            self._pairs.discard(pair)
            for end in pair:
                end.close()

    async def _carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(_PIECE):
                await self._loud.wait()
                quality = self._quality
                if quality.breaks and self._chance.random() < quality.breaks:
                    _reset(pair)
                    return
                held_s = self._chance.uniform(0.2, 1.2) if self._chance.random() < quality.stalls else 0.0
                if quality.delay_s or held_s:
                    await asyncio.sleep(quality.delay_s + held_s)
                target.write(piece)
                await target.drain()
            if target.can_write_eof():
                target.write_eof()


def _reset(writers: tuple[asyncio.StreamWriter, ...]) -> None:
    for writer in writers:
        raw = writer.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()


class Links:
    """All links, in one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()

    def add(self, address: str, seed: int) -> Link:
        """A good link to a host's sshd."""
        link = Link(address, seed)
        asyncio.run_coroutine_threadsafe(link.open(), self._loop).result(10)
        return link

    def become(self, link: Link, quality: Quality) -> None:
        """Change a link."""
        asyncio.run_coroutine_threadsafe(link.become(quality), self._loop).result(10)

    def close(self) -> None:
        """End all."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
