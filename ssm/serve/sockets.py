"""One WebSocket: what it may send, what may wait for it, and how it is refused."""

import asyncio
from typing import TYPE_CHECKING, Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from ssm.serve.answers import Refusal, last_answer
from ssm.serve.channel import unsent_bytes
from ssm.serve.counting import Lease
from ssm.serve.limits import Limits

if TYPE_CHECKING:
    from ssm.serve.server import Server

# RFC 6455, section 7.4.1.
POLICY_VIOLATION = 1008
SERVICE_RESTART = 1012
_READ_BYTES = 16 * 1024
_REASONS = {
    400: Refusal(400, "This is no WebSocket that can be understood."),
    403: Refusal(403, "This WebSocket may only be opened by a page of SSM itself."),
    404: Refusal(404, "There is no such WebSocket."),
    500: Refusal(500, "SSM could not open this WebSocket."),
}


class MessageQueue(asyncio.Queue[dict[str, Any]]):
    """What a consumer has not taken yet; the socket is read no further while that is much."""

    def __init__(self, socket: "Socket") -> None:
        super().__init__()
        self._socket = socket
        self.size_bytes = 0

    def _put(self, item: dict[str, Any]) -> None:
        super()._put(item)
        self.size_bytes += _size(item)

    def _get(self) -> dict[str, Any]:
        item: dict[str, Any] = super()._get()
        self.size_bytes -= _size(item)
        self._socket.on_taken()
        return item


def _size(message: dict[str, Any]) -> int:
    return len(message.get("bytes") or message.get("text") or b"")


class _Output:
    """Twisted's push producer: while the browser takes nothing, nothing is read from it either.

    Else its pings would be answered into a buffer without end.
    """

    def __init__(self, socket: "Socket") -> None:
        self._socket = socket

    def pauseProducing(self) -> None:
        """The buffer is full."""
        self._socket.hold("output")

    def resumeProducing(self) -> None:
        """The buffer is empty."""
        self._socket.let_go("output")

    def stopProducing(self) -> None:
        """The connection is gone."""


class Socket(WebSocketProtocol):
    """daphne's WebSocket, with bounds."""

    lease: Lease | None = None
    server: "Server"
    # daphne's: no message goes in any more.
    muted: bool = False

    # The library's own, set from the factory's options.
    maxMessagePayloadSize: int

    def __init__(self) -> None:
        super().__init__()
        self._holds: set[str] = set()

    @property
    def limits(self) -> Limits:
        """The bounds of the process."""
        limits: Limits = self.factory.server_class.limits
        return limits

    def watch_transport(self) -> None:
        """Be told when the browser does not take what is sent; after the handshake was begun."""
        if self.transport is not None and self.transport.connected:
            # Taken apart in one go: many small messages in much data would keep everybody else waiting.
            self.transport.bufferSize = _READ_BYTES
            self.transport.registerProducer(_Output(self), True)
            if not self._holds:
                self.transport.resumeProducing()

    def make_queue(self) -> MessageQueue:
        """Where the consumer gets its messages."""
        return MessageQueue(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001 - the library's signature
        """One whole message."""
        super().onMessage(payload, isBinary)
        queue: MessageQueue | None = getattr(self, "application_queue", None)
        if queue is None or self.muted:
            return
        if queue.qsize() > self.limits.messages_most:
            self.server.count_refusal("socket flooded")
            self.muted = True
            queue.put_nowait({"type": "websocket.disconnect", "code": POLICY_VIOLATION})
            if self.state == self.STATE_OPEN:
                self.sendCloseFrame(code=POLICY_VIOLATION)
            # At once: what it sent already would cost time to be taken apart.
            self.dropConnection(abort=False)
        elif queue.qsize() > self.limits.messages_held or queue.size_bytes > self.limits.messages_held_bytes:
            self.hold("input")

    def on_taken(self) -> None:
        """The consumer took a message."""
        queue: MessageQueue = self.application_queue
        if queue.qsize() <= self.limits.messages_held // 2 and queue.size_bytes <= self.limits.messages_held_bytes // 2:
            self.let_go("input")

    def hold(self, why: str) -> None:
        """Read no further."""
        if not self._holds and self.transport is not None:
            self.transport.pauseProducing()
        self._holds.add(why)

    def let_go(self, why: str) -> None:
        """Read on, if nothing else speaks against it."""
        if why in self._holds:
            self._holds.discard(why)
            if not self._holds and self.transport is not None:
                self.transport.resumeProducing()

    def serverSend(self, content: Any, binary: bool = False) -> None:  # noqa: FBT001, FBT002 - daphne's signature
        """Send a message; whoever lets too much pile up is cut off."""
        # The library holds what goes out to the bound of what may come in.
        bound: int = self.maxMessagePayloadSize
        self.maxMessagePayloadSize = 0
        try:
            super().serverSend(content, binary)
        finally:
            self.maxMessagePayloadSize = bound
        if self.transport is not None and unsent_bytes(self.transport) > self.limits.unsent_bytes:
            self.server.count_refusal("socket not read")
            self.dropConnection(abort=True)

    def serverClose(self, code: int | None = None) -> None:
        """Close with any code: `sendClose` of the library refuses those of the standard, such as 1009 and 1012."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=1000 if code is None else code)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001
        """The connection is gone, or never became a socket."""
        if hasattr(self, "server"):
            super().onClose(wasClean, code, reason)

    def connectionLost(self, reason: Any) -> None:
        """Give back the connection's place."""
        if self.lease is not None:
            self.lease.give_back()
        super().connectionLost(reason)

    def sendHttpErrorResponse(self, code: int, _reason: str, _headers: Any = None) -> None:
        """Refuse the handshake, with the headers that every answer carries."""
        self.factory.server_class.count_refusal(str(code))
        self.sendData(last_answer(_REASONS.get(code, Refusal(code, "This WebSocket is refused."))))

    def wind_down(self) -> None:
        """The server stops: the page comes back by itself."""
        self.serverClose(SERVICE_RESTART)


class SocketFactory(WebSocketFactory):
    """Makes the sockets of one server."""

    protocol = Socket

    def __init__(self, server: "Server") -> None:
        super().__init__(server, server="")
        limits = server.limits
        self.setProtocolOptions(
            autoPingTimeout=server.ping_timeout,
            # Whether an origin will do is for the application to say.
            allowNullOrigin=True,
            openHandshakeTimeout=limits.handshake_s,
            maxMessagePayloadSize=limits.message_bytes,
            maxFramePayloadSize=limits.message_bytes,
            # Tell by a code what was wrong, instead of a cut that looks like a bad line.
            failByDrop=False,
        )
