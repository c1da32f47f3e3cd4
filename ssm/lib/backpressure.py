"""Streamed answers no faster than the browser takes them.

daphne's ``send`` returns at once, whatever is still waiting in memory: without this, a download of gigabytes over a
slow line would pile up here. Twisted's own push producer protocol tells when the connection's buffer (64 KiB) is
full and when it is empty again.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class _Gate:
    """Twisted's push producer: open while the connection takes more."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.is_open.set()

    def pauseProducing(self) -> None:
        """The buffer is full."""
        self.is_open.clear()

    def resumeProducing(self) -> None:
        """The buffer is empty."""
        self.is_open.set()

    def stopProducing(self) -> None:
        """The connection is gone; whoever waits will learn it by the disconnect message."""
        self.is_open.set()


def with_backpressure(application: Application) -> Application:
    """Wrap an ASGI application of HTTP; on a server other than daphne it stays as it is."""

    async def wrapped(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        # daphne gives functools.partial(server.handle_reply, request).
        request: Any = next(iter(getattr(send, "args", ())), None)
        if not hasattr(request, "registerProducer"):
            await application(scope, receive, send)
            return
        gate: _Gate | None = None

        async def send_when_taken(message: Message) -> None:
            nonlocal gate
            if message["type"] == "http.response.body" and getattr(request, "channel", None) is not None:
                if message.get("more_body"):
                    if gate is None:
                        gate = _Gate()
                        request.registerProducer(gate, True)
                    await gate.is_open.wait()
                elif gate is not None:
                    gate = None
                    request.unregisterProducer()
            await send(message)

        try:
            await application(scope, receive, send_when_taken)
        finally:
            if gate is not None and getattr(request, "channel", None) is not None:
                request.unregisterProducer()

    return wrapped
