"""A small HTTP server in a thread of its own, with TLS for whatever host name a client asks for."""

import asyncio
import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11

from tests.registries.servers.authority import Authority


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived. ``host`` is that of the Host header, with port."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes
    is_tls: bool
    has_client_certificate: bool = False

    @property
    def path(self) -> str:
        """The path without the query, undecoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query; of repeated names the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def authorization(self) -> str:
        """The Authorization header, or an empty text."""
        return self.headers.get("authorization", "")


@dataclass(slots=True)
class Reply:
    """What to answer. ``stream`` instead of ``body`` for answers that come bit by bit or never end."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None

    @classmethod
    def json(cls, content: Any, status: int = 200, **headers: str) -> "Reply":
        """JSON; underscores in the names of headers are hyphens."""
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return cls(status, json.dumps(content).encode(), [("Content-Type", "application/json"), *pairs])


Handler = Callable[[Asked], Reply | Awaitable[Reply]]


class Server:
    """Serves one handler on a loopback port, by plain HTTP or TLS, until it is closed."""

    def __init__(
        self,
        handler: Handler,
        authority: Authority | None = None,
        *,
        client_ca: str = "",
        needs_certificate: bool = True,
    ) -> None:
        self._handler = handler
        self._authority = authority
        self._client_ca = client_ca
        self._needs_certificate = needs_certificate
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self.port = 0
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the test server did not start")

    def close(self) -> None:
        """End all connections and the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        context = self._context("localhost") if self._authority else None
        if context is not None:
            context.sni_callback = self._by_name
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _context(self, name: str) -> ssl.SSLContext:
        if name not in self._contexts:
            assert self._authority is not None
            names = (name, "127.0.0.1") if name == "localhost" else (name,)
            issued = self._authority.issue(*names)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(issued.both)
                file.flush()
                context.load_cert_chain(file.name)
            if self._client_ca:
                context.verify_mode = ssl.CERT_REQUIRED if self._needs_certificate else ssl.CERT_OPTIONAL
                context.load_verify_locations(cadata=self._client_ca)
            self._contexts[name] = context
        return self._contexts[name]

    def _by_name(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name:
            connection.context = self._context(name)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, h11.ProtocolError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client left, as it may
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), 1)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        tls = writer.get_extra_info("ssl_object")
        while True:
            head, body = None, b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    data = await reader.read(65_536)
                    if not data and head is None:
                        return
                    connection.receive_data(data)
                elif isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            assert head is not None
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            asked = Asked(
                method=head.method.decode(),
                host=headers.get("host", ""),
                target=head.target.decode("latin-1"),
                headers=headers,
                body=body,
                is_tls=tls is not None,
                has_client_certificate=bool(tls and tls.getpeercert()),
            )
            answer = self._handler(asked)
            reply = answer if isinstance(answer, Reply) else await answer
            await self._send(connection, writer, asked, reply)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _send(self, connection: h11.Connection, writer: asyncio.StreamWriter, asked: Asked, reply: Reply) -> None:
        names = {name.lower() for name, _value in reply.headers}
        headers = list(reply.headers)
        if reply.stream is None and "content-length" not in names:
            headers.append(("Content-Length", str(len(reply.body))))
        elif reply.stream is not None and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Transfer-Encoding", "chunked"))
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        start = h11.Response(status_code=reply.status, headers=raw, reason=b"")
        writer.write(connection.send(start) or b"")
        if asked.method != "HEAD":
            if reply.stream is None:
                writer.write(connection.send(h11.Data(reply.body)) or b"")
            else:
                async for part in reply.stream:
                    writer.write(connection.send(h11.Data(part)) or b"")
                    await writer.drain()
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
