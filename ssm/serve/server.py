"""The web server: daphne's loop with our connections, and an end that lets what is under way come to its own."""

import asyncio
import logging
import time
from collections import Counter
from functools import partial
from typing import Any, Final

from daphne.endpoints import build_endpoint_description_strings
from daphne.http_protocol import HTTPFactory
from daphne.server import Server as DaphneServer
from twisted.internet import defer, reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ReactorNotRunning
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure

from ssm.serve.admission import refusal_of_upload
from ssm.serve.answers import Refusal
from ssm.serve.channel import BODY, WORK, Channel
from ssm.serve.counting import Gate, Ledger
from ssm.serve.limits import Limits, body_rules, rule_of
from ssm.serve.request import Request
from ssm.serve.sockets import Socket, SocketFactory

logger = logging.getLogger(__name__)

_BACKLOG: Final = 512
_LOOK_S: Final = 0.5
_TELL_S: Final = 60.0
# Connections that are open only to be told that they are too many.
_TURNED_AWAY_AT_ONCE: Final = 64
# Answered even when all places are taken, or a busy process would be taken for a dead one.
_ALWAYS: Final = ("/healthz",)


class Server(DaphneServer):
    """One web process. `failure` tells after `run` why it could not listen."""

    def __init__(self, application: Any, host: str, port: int, limits: Limits, *, ready: Any = None) -> None:
        endpoints = [f"{text}:backlog={_BACKLOG}" for text in build_endpoint_description_strings(host=host, port=port)]
        super().__init__(
            application, endpoints=endpoints, verbosity=0, server_name="", ready_callable=ready, ping_timeout=30
        )
        self.limits = limits
        self.body_rules = body_rules()
        self.channels: set[Channel] = set()
        self.ledger = Ledger(limits.connections, limits.connections_per_address)
        self.gate = Gate(limits.requests_at_once, limits.waiting_s)
        self.uploads = 0
        self.is_stopping = False
        self.failure = ""
        self._ports: list[Any] = []
        self._refusals: Counter[str] = Counter()
        self.now = time.time
        self._looked = time.monotonic()

    # Running

    def run(self) -> None:
        """Serve until the process is told to end."""
        self.connections: dict[Any, dict[str, Any]] = {}
        self.http_factory = Factory(self)
        self.ws_factory = SocketFactory(self)
        globalLogBeginner.beginLoggingTo([_pass_on], redirectStandardIO=False, discardBuffer=True)
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        self._looked = time.monotonic()
        reactor.callLater(_LOOK_S, self._look)
        reactor.callLater(_TELL_S, self._tell)
        for description in self.endpoints:
            listener = serverFromString(reactor, description).listen(self.http_factory)
            listener.addCallbacks(self._on_listening, self._on_failure)
        asyncio.set_event_loop(reactor._asyncioEventloop)
        reactor.addSystemEventTrigger("before", "shutdown", self._wind_down)
        if not self.abort_start:
            reactor.run(installSignalHandlers=True)

    def _on_listening(self, port: Any) -> None:
        self._ports.append(port)
        self.listen_success(port)
        if self.ready_callable:
            self.ready_callable(port.getHost().port)

    def _on_failure(self, failure: Failure) -> None:
        self.failure = failure.getErrorMessage()
        self.stop()

    def _look(self) -> None:
        now = time.monotonic()
        late = max(now - self._looked - 2 * _LOOK_S, 0.0)
        self._looked = now
        for channel in list(self.channels):
            channel.look(now, late)
        reactor.callLater(_LOOK_S, self._look)

    # What is counted

    def count_refusal(self, what: str) -> None:
        """Remember that somebody was refused, for a line in the log."""
        self._refusals[what] += 1

    def _tell(self) -> None:
        """One line a minute however many are refused: nobody fills the log by that."""
        if self._refusals:
            logger.info(
                "refused in the last minute: %s", ", ".join(f"{n} × {what}" for what, n in self._refusals.items())
            )
            self._refusals.clear()
        reactor.callLater(_TELL_S, self._tell)

    async def admit(self, request: Request, path: bytes, length: int | None) -> Refusal | None:
        """Why a large body is not taken; when it is, one of the places for uploads is taken too."""
        rule = rule_of(path.partition(b"?")[0], self.body_rules)
        if rule is None or rule.right is None:
            return Refusal(413, "The request is too large.")
        cookies = b"; ".join(request.requestHeaders.getRawHeaders(b"cookie") or [])
        tokens = request.requestHeaders.getRawHeaders(b"authorization") or [b""]
        refusal = await refusal_of_upload(cookies.decode("latin1"), tokens[0].decode("latin1"), rule.right, length)
        if refusal is None and self.uploads >= self.limits.uploads_at_once:
            return Refusal(503, "As many uploads as SSM takes at once are under way.", "Come back later.", 60)
        if refusal is None:
            self.uploads += 1
        return refusal

    # The application

    def create_application(self, protocol: Any, scope: dict[str, Any], queue: Any = None) -> Any:
        """Run the application for a request or socket; gives the queue that it receives from."""
        details = self.connections.get(protocol)
        if details is None:
            return None
        if queue is None:
            queue = protocol.make_queue()
        scope["asgi"] = {"version": "3.0"}
        send = partial(self.handle_reply, protocol)
        if scope["type"] == "http":
            work = self._in_place(protocol, scope, queue.get, send)
        else:
            work = self.application(scope=scope, receive=queue.get, send=send)
        details["application_instance"] = asyncio.ensure_future(work)
        return queue

    async def _in_place(self, request: Request, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """The application, once there is a place for the request."""
        if scope["path"] in _ALWAYS:
            await self.application(scope=scope, receive=receive, send=send)
            return
        try:
            async with self.gate.place(request.client_address) as place:
                if request.channel is None:
                    return
                request.place = place
                await self.application(scope=scope, receive=receive, send=send)
        except TimeoutError:
            if request.place is not None:
                raise
            request.give(Refusal(503, "SSM has more to do than it can.", "Come back in a moment.", 10))

    # The end

    def _wind_down(self) -> Any:
        self.is_stopping = True
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._wait_for_the_last()))

    async def _wait_for_the_last(self) -> None:
        """Take nothing new, tell sockets to come back, wait for answers; then cut off what is left."""
        for port in self._ports:
            port.stopListening()
        for channel in list(self.channels):
            channel.wind_down()
        for protocol in list(self.connections):
            if isinstance(protocol, Socket):
                protocol.wind_down()
        until = time.monotonic() + self.limits.stop_s
        while time.monotonic() < until and self._is_busy():
            await asyncio.sleep(0.05)
        left = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details and not details["application_instance"].done()
        ]
        for instance in left:
            instance.cancel()
        if left:
            await asyncio.wait(left, timeout=2)

    def _is_busy(self) -> bool:
        """Whether requests or answers are under way, or sockets whose consumers still tidy up."""
        if any(channel.state in (BODY, WORK) for channel in self.channels):
            return True
        return any(isinstance(protocol, Socket) for protocol in self.connections)


class Factory(HTTPFactory):
    """Makes the connections of one server, and turns away those that are too many."""

    requestFactory = Request

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._turned_away = 0

    def buildProtocol(self, addr: Any) -> Channel | None:
        """A new connection; None closes it at once."""
        peer = str(getattr(addr, "host", ""))
        server: Server = self.server
        refusal = None
        if server.ledger.is_full:
            server.count_refusal("connections in all")
            return None
        if server.ledger.is_too_many_of(peer):
            server.count_refusal("connections of one address")
            if sum(bool(channel.unwelcome) for channel in server.channels) >= _TURNED_AWAY_AT_ONCE:
                return None
            refusal = Refusal(429, "Your address has too many connections open.", "Close some pages.", 30)
        channel = Channel(server, server.ledger.enter(peer))
        channel.unwelcome = refusal
        channel.factory = self
        channel.requestFactory = Request
        channel.callLater = self.reactor.callLater
        return channel


def _pass_on(event: Any) -> None:
    """Twisted's failures into our log; the rest of what it says is noise."""
    failure = event.get("log_failure")
    # A second signal while the first is obeyed.
    if failure is not None and not failure.check(ReactorNotRunning):
        logger.error(
            "%s", failure.getErrorMessage(), exc_info=(failure.type, failure.value, failure.getTracebackObject())
        )
