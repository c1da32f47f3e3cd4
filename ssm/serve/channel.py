"""One connection that speaks HTTP: its head, its bodies and its answers, each within bounds of size and time."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from ssm.serve.answers import Refusal, last_answer
from ssm.serve.counting import Lease
from ssm.serve.limits import MIB, Limits, rule_of, too_little

if TYPE_CHECKING:
    from ssm.serve.server import Server

# What a connection does just now.
IDLE: Final = "idle"
HEAD: Final = "head"
BODY: Final = "body"
WORK: Final = "work"
DRAIN: Final = "drain"


def unsent_bytes(transport: Any) -> int:
    """What waits in this process for the other end to take it: of Twisted's two buffers."""
    return (
        len(getattr(transport, "dataBuffer", b""))
        - getattr(transport, "offset", 0)
        + getattr(transport, "_tempDataLen", 0)
    )


class Channel(http.HTTPChannel):
    """Twisted's channel with bounds. `look` is called about once a second."""

    # Twisted's own timer begins anew with each byte.
    timeOut = None
    is_upgraded = False

    def __init__(self, server: "Server", lease: Lease) -> None:
        super().__init__()
        self.server = server
        self.limits: Limits = server.limits
        self.lease = lease
        self.MAX_LENGTH = self.limits.line_bytes
        self.totalHeadersSize = self.limits.head_bytes
        self.maxHeaders = self.limits.headers
        self.state = HEAD
        self.refused: Refusal | None = None
        # A refusal that was decided before the first byte came.
        self.unwelcome: Refusal | None = None
        self.body_limit = self.limits.body_bytes
        self.body_received = 0
        self._since = time.monotonic()
        self._heard = 0
        self._written = 0
        self._mark: tuple[float, int] = (self._since, 0)
        self._output_mark: tuple[float, int] | None = None
        self._admission: asyncio.Task[Refusal | None] | None = None
        self._holds_upload = False
        self._owes_continue = False

    # From the network

    def connectionMade(self) -> None:
        """Begin to count the time."""
        super().connectionMade()
        self.server.channels.add(self)
        if self.unwelcome:
            self.refuse(self.unwelcome)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give back all that the connection held."""
        self.leave()
        super().connectionLost(reason)

    def leave(self) -> None:
        """The connection is gone, or became a WebSocket, which keeps the lease."""
        self.server.channels.discard(self)
        if not self.is_upgraded:
            self.lease.give_back()
        self._end_upload()
        if self._admission:
            self._admission.cancel()

    def dataReceived(self, data: bytes) -> None:
        """Parse what came; throw it away once the client was refused."""
        if self.state == DRAIN:
            self._heard += len(data)
            if self._heard > self.limits.drain_bytes:
                self.transport.abortConnection()
            return
        if self.state == IDLE and data:
            self._enter(HEAD)
        self._heard += len(data)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """One line of a head."""
        if self.refused:
            return
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self._refuse_head()
        elif line[:1] in (b" ", b"\t"):
            # RFC 9112, section 5.2: headers over several lines are refused, as proxies disagree on them.
            self.refuse(Refusal(400, "A header goes on in the next line, which no browser sends."))
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, _line: bytes) -> None:
        """A line of the head that is too long."""
        self._refuse_head()

    def rawDataReceived(self, data: bytes) -> None:
        """A piece of a body, or of the next request."""
        if not self.refused:
            super().rawDataReceived(data)

    def headerReceived(self, line: bytes) -> bool:
        """One header; too many of them are told from malformed ones."""
        if self.refused:
            return False
        if self._receivedHeaderCount >= self.maxHeaders:
            self._refuse_head()
            return False
        return bool(super().headerReceived(line)) and not self.refused

    def allHeadersReceived(self) -> None:
        """Decide by the head whether its body is taken."""
        if self.refused:
            return
        self.body_received = 0
        path = self._path.partition(b"?")[0]
        rule = rule_of(path, self.server.body_rules)
        usual = self.limits.body_bytes
        self.body_limit = rule.size_bytes if rule else usual
        if self.length is not None and self.length > self.body_limit:
            self.refuse_body()
        elif rule and rule.right and (self.length is None or self.length > usual):
            self._ask_for_admission()
        self._enter(BODY)
        if not self.refused:
            super().allHeadersReceived()

    def allContentReceived(self) -> None:
        """The request is whole."""
        if not self.refused:
            self._enter(WORK)
            super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """Its answer is given: wait for the next."""
        self._end_upload()
        self._enter(IDLE)
        if self.server.is_stopping:
            self.persistent = 0
        super().requestDone(request)

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether the connection is kept; not while the server stops."""
        if self.server.is_stopping:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        return bool(super().checkPersistence(request, version))

    def _send100Continue(self) -> None:
        """Let a client that asks first begin with its body, once that is decided."""
        if self._admission:
            self._owes_continue = True
        else:
            super()._send100Continue()

    # To the network

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """The head of an answer."""
        before = unsent_bytes(self.transport)
        super().writeHeaders(version, code, reason, headers)
        self._written += unsent_bytes(self.transport) - before

    def write(self, data: bytes) -> None:
        """A piece of an answer."""
        self._written += len(data)
        super().write(data)

    def writeSequence(self, iovec: Any) -> None:
        """Pieces of an answer."""
        self._written += sum(map(len, iovec))
        super().writeSequence(iovec)

    # Time

    def look(self, now: float, late: float) -> None:
        """End what takes too long: a head, a body that trickles, an answer that is not taken, a refused client.

        `late` is how long this process itself had no time to listen: that is nobody's fault.
        """
        self._since += late
        self._mark = (self._mark[0] + late, self._mark[1])
        if self.state == DRAIN:
            if now - self._since > self.limits.drain_s:
                self.transport.abortConnection()
        elif self.state == IDLE:
            if now - self._since > self.limits.idle_s:
                self.loseConnection()
        elif self.state == HEAD and now - self._since > self.limits.head_s:
            if self._heard:
                self.refuse(Refusal(408, "The request did not come within its time."))
            else:
                # Browsers open connections ahead of need; an answer to nothing would confuse them.
                self.loseConnection()
        elif self.state == BODY and not self._admission and now - self._mark[0] > self.limits.window_s:
            if too_little(self.body_received, self._mark[1], self.limits):
                self.refuse(Refusal(408, "The body of the request came too slowly."))
            self._mark = (now, self.body_received)
        self._look_at_answer(now)

    def _look_at_answer(self, now: float) -> None:
        """Cut off whoever does not take the answer."""
        unsent = unsent_bytes(self.transport)
        taken = self._written - unsent
        if not unsent:
            self._output_mark = None
        elif self._output_mark is None:
            self._output_mark = (now, taken)
        elif now - self._output_mark[0] > self.limits.window_s:
            if too_little(taken, self._output_mark[1], self.limits):
                self.server.count_refusal("answer not taken")
                self.transport.abortConnection()
            self._output_mark = (now, taken)

    def wind_down(self) -> None:
        """The server stops: close what is idle, let what is under way come to its end."""
        if self.state in (IDLE, HEAD):
            self.loseConnection()
        self.persistent = 0

    # Refusals

    def refuse(self, refusal: Refusal) -> None:
        """Answer for the last time, then throw away what still comes for a while, or the answer would be lost."""
        if self.refused or self.state == WORK:
            return
        self.refused = refusal
        self.server.count_refusal(str(refusal.status))
        path = getattr(self, "_path", b"/")
        answer = last_answer(refusal, path, has_body=getattr(self, "_command", b"GET") != b"HEAD")
        self._written += len(answer)
        self.transport.write(answer)
        self._end_upload()
        self._enter(DRAIN)
        self._heard = 0
        self._drop_buffers()
        self._networkProducer.unregisterProducer()
        self._networkProducer.resumeProducing()
        self.transport.loseWriteConnection()

    def refuse_body(self) -> None:
        """Say how much may be sent here."""
        most = self.body_limit
        size = f"{most // MIB} MiB" if most % MIB == 0 else f"{most // 1024:,} KiB"
        self.refuse(Refusal(413, f"The request is larger than the {size} that are taken here.", "Send less at once."))

    def _refuse_head(self) -> None:
        if hasattr(self, "_command"):
            self.refuse(
                Refusal(
                    431, "The headers of the request are too large.", "Delete the cookies of this site and try again."
                )
            )
        else:
            self.refuse(Refusal(414, "The address of the request is too long.", "Choose fewer things at once."))

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted's word for whatever is no HTTP."""
        self.refuse(Refusal(400, "This is no request that can be understood."))

    def _drop_buffers(self) -> None:
        self._buffer = b""
        self._dataBuffer: list[bytes] = []
        self._transferDecoder = None

    # Bodies beyond the usual size

    def _ask_for_admission(self) -> None:
        """Read no further until it is known whether the sender may upload."""
        self.paused = True
        self._networkProducer.pauseProducing()
        request = self.requests[-1]
        self._admission = asyncio.ensure_future(self.server.admit(request, self._path, self.length))
        self._admission.add_done_callback(self._on_admission)

    def _on_admission(self, task: "asyncio.Task[Refusal | None]") -> None:
        self._admission = None
        if task.cancelled():
            return
        error = task.exception()
        if error:
            refusal: Refusal | None = Refusal(503, "It cannot be told now whether you may upload.", "Try again.", 10)
        else:
            refusal = task.result()
            self._holds_upload = refusal is None
        if self not in self.server.channels:
            self._end_upload()
            return
        self.paused = False
        if refusal:
            self.refuse(refusal)
            return
        self._enter(BODY)
        if self._owes_continue:
            super()._send100Continue()
        self._networkProducer.resumeProducing()
        super().dataReceived(b"")

    def _end_upload(self) -> None:
        if self._holds_upload:
            self._holds_upload = False
            self.server.uploads -= 1

    def _enter(self, state: str) -> None:
        self.state = state
        self._since = time.monotonic()
        self._mark = (self._since, self.body_received)
        if state == IDLE:
            self._heard = 0
