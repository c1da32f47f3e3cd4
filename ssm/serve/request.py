"""One request: its body in memory or on disk, handed to Django as a file and never copied into memory."""

import asyncio
import logging
import tempfile
import traceback
from typing import IO, Any, Final, cast
from urllib.parse import unquote

from daphne.http_protocol import WebRequest
from daphne.utils import HEADER_NAME_RE, INVALID_HEADER_VALUE_BYTES

from ssm.lib.addresses import told_address
from ssm.serve.answers import Refusal, answer, phrase
from ssm.serve.channel import Channel
from ssm.serve.counting import Place

logger = logging.getLogger(__name__)

# Upgrades are a matter of the connection; a header of daphne's that lets clients choose the root path is nobody's.
_UNHEARD: Final = (b"daphne-root-path",)


class BodyQueue(asyncio.Queue[dict[str, Any]]):
    """What the application receives: the body, read from its file piece by piece when asked for, then the end.

    Django takes the file itself (`ssm.lib.bodies`).
    """

    _PIECE: Final = 64 * 1024

    def __init__(self, body: IO[bytes]) -> None:
        super().__init__()
        self._body: IO[bytes] | None = body

    def take_body(self) -> IO[bytes]:
        """The body as a file at its beginning; whoever takes it closes it."""
        body, self._body = cast(IO[bytes], self._body), None
        return body

    async def get(self) -> dict[str, Any]:
        """The next message."""
        if self._body is None:
            return await super().get()
        piece = self._body.read(self._PIECE)
        has_more = len(piece) == self._PIECE
        if not has_more:
            self.take_body().close()
        return {"type": "http.request", "body": piece, "more_body": has_more}

    def close(self) -> None:
        """Nobody asks any more."""
        if self._body is not None:
            self.take_body().close()


class Request(WebRequest):
    """daphne's request, with bounds."""

    channel: Channel
    place: Place | None = None
    client_addr: list[Any] | None
    # Twisted's and daphne's, which have no types.
    content: IO[bytes] | None
    transport: Any
    _response_started: bool

    def __init__(self, channel: Channel, queued: object = 0) -> None:
        # Else Twisted would parse bodies of forms in memory, where Django does it again.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)

    @property
    def client_address(self) -> str:
        """Who asks, as far as proxies are believed."""
        peer = str(getattr(self.client, "host", ""))
        forwarded = b",".join(self.requestHeaders.getRawHeaders(b"x-forwarded-for") or [])
        return told_address(peer, forwarded.decode("latin1"))

    def gotLength(self, _length: int | None) -> None:
        """Make room for the body: it goes to disk once it is larger than a little."""
        self.content = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by whoever takes it, or with the request
            max_size=self.channel.limits.memory_bytes, dir=tempfile.gettempdir()
        )

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body."""
        channel = self.channel
        if channel.refused:
            return
        channel.body_received += len(data)
        if channel.body_received > channel.body_limit:
            channel.refuse_body()
            return
        try:
            super().handleContentChunk(data)
        except OSError as exc:
            logger.error("A body cannot be kept in %s: %s", tempfile.gettempdir(), exc.strerror)
            channel.refuse(Refusal(507, "There is no room left for what was sent.", "Tell an administrator of SSM."))

    def process(self) -> None:
        """Hand the request to Django, or the connection to a WebSocket."""
        try:
            self._process()
        except Exception:
            logger.error("A request could not be begun:\n%s", traceback.format_exc())
            self.basic_error(500, b"", "")

    def _process(self) -> None:
        self._set_addresses()
        wrong = self._what_is_wrong()
        if wrong:
            self.path, self.uri = b"/", b"/"
            self._give_at_last(Refusal(400, wrong))
            return
        self.query_string = self.uri.partition(b"?")[2]
        upgrade = self.requestHeaders.getRawHeaders(b"upgrade") or [b""]
        if upgrade[0].lower() == b"websocket":
            self._become_socket()
        else:
            self._begin()

    def _set_addresses(self) -> None:
        self.request_start = self.server.now()
        if hasattr(self.client, "port"):
            self.client_addr = [str(self.client.host), self.client.port]
            self.server_addr = [str(self.host.host), self.host.port]
        self.client_scheme = "https" if self.isSecure() else "http"

    def _what_is_wrong(self) -> str:
        """What no browser would send, and what different programs may understand differently; "" when all is well."""
        for name, values in self.requestHeaders.getAllRawHeaders():
            if not HEADER_NAME_RE.fullmatch(name):
                return "A header has a name that is none."
            if any(INVALID_HEADER_VALUE_BYTES.intersection(value) for value in values):
                return "A header has a value that is none."
        if not self.uri.isascii() or not self.uri.startswith(b"/"):
            return "The address is no path of this server."
        if len(self.requestHeaders.getRawHeaders(b"host") or []) > 1:
            return "The request names several hosts."
        return ""

    def _clean_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers as the application gets them. With underscores they could pass for others (CVE-2015-0219)."""
        return [
            (name.lower(), value)
            for name, values in self.requestHeaders.getAllRawHeaders()
            for value in values
            if b"_" not in name and name.lower() not in _UNHEARD
        ]

    def _begin(self) -> None:
        body, self.content = cast(IO[bytes], self.content), None
        body.seek(0)
        queue = BodyQueue(body)
        self.application_queue = self.server.create_application(
            self,
            {
                "type": "http",
                "http_version": self.clientproto.partition(b"/")[2].decode("ascii"),
                "method": self.method.decode("ascii"),
                "path": unquote(self.path.decode("ascii")),
                "raw_path": self.path,
                "root_path": "",
                "scheme": self.client_scheme,
                "query_string": self.query_string,
                "headers": self._clean_headers(),
                "client": self.client_addr,
                "server": self.server_addr,
            },
            queue,
        )

    def _become_socket(self) -> None:
        """Give the connection, with the request's head, to the WebSocket's protocol."""
        channel, transport = self.channel, self.transport
        if self.method != b"GET" or channel.body_received:
            self._give_at_last(Refusal(400, "A WebSocket begins with a GET without a body."))
            return
        if self.server.is_stopping:
            self._give_at_last(Refusal(503, "SSM is being restarted.", "Come back in a moment.", 5))
            return
        protocol = self.server.ws_factory.buildProtocol(transport.getPeer())
        protocol._raw_query_string = self.query_string
        protocol.lease = channel.lease
        channel.is_upgraded = True
        channel.leave()
        self.transport = None
        transport.unregisterProducer()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        head = [self.method + b" " + self.uri + b" HTTP/1.1"]
        head += [name + b": " + value for name, value in self._joined(self._clean_headers())]
        protocol.dataReceived(b"\r\n".join(head) + b"\r\n\r\n")
        self.server.protocol_disconnected(self)
        # What came behind the head belongs to the socket.
        early, channel._dataBuffer = b"".join(channel._dataBuffer), []
        early, channel._buffer = early + channel._buffer, b""
        if early and protocol.transport is not None:
            protocol.dataReceived(early)
        protocol.watch_transport()

    @staticmethod
    def _joined(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Headers of one name as one, as the WebSocket library wants them; cookies have their own separator."""
        joined: dict[bytes, bytes] = {}
        for name, value in headers:
            separator = b"; " if name == b"cookie" else b","
            joined[name] = joined[name] + separator + value if name in joined else value
        return list(joined.items())

    def handle_reply(self, message: dict[str, Any]) -> None:
        """What the application answers."""
        if self.place is not None:
            self.place.give_back()
        if message.get("type") == "http.response.start" and self.server.is_stopping and self.channel is not None:
            self.channel.persistent = 0
            message = {**message, "headers": [*message.get("headers", ()), (b"Connection", b"close")]}
        super().handle_reply(message)

    def _give_at_last(self, refusal: Refusal) -> None:
        """Answer in the application's place, and end the connection."""
        self.channel.persistent = 0
        self.give(refusal)

    def give(self, refusal: Refusal) -> None:
        """Answer in the application's place."""
        if self._response_started:
            # Too late for a page: a cut is all that tells the client that this is not the whole answer.
            self.loseConnection()
            return
        headers, body = answer(refusal, self.path or b"/")
        self.server.count_refusal(str(refusal.status))
        self.setResponseCode(refusal.status, phrase(refusal.status).encode())
        self._response_started = True
        if not self.channel.persistent:
            headers.append((b"Connection", b"close"))
        for name, value in headers:
            self.responseHeaders.addRawHeader(name, value)
        self.write(body)
        self.finish()

    def basic_error(self, status: int, _status_text: bytes, _body: str) -> None:
        """daphne's word for what went wrong inside; the log says more."""
        if self.finished or self.channel is None:
            return
        self.give(Refusal(status, "SSM could not answer this.", "Try again; if it stays, the log of SSM tells why."))

    def finish(self) -> None:
        """The answer is complete."""
        if not self.finished and self.channel is not None:
            super().finish()

    def connectionLost(self, reason: Any) -> None:
        """The client is gone."""
        if self.application_queue is not None:
            self.application_queue.close()
        super().connectionLost(reason)
