"""A host whose clock is wrong: a relay in front of its real engine that moves every time it tells.

All engines of a fleet share this machine's clock. The relay listens on a socket of its own on the host; what the engine
answers is real, but for its times (``SystemTime``, events, inspect answers), and ``since`` is moved back on its way in.
"""

import http.client
import json
import re
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from devices.rules.http import ChunkedDecoder
from tests.devices.servers import read_request, unix_server
from tests.fleet import Host

_TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)((?:\.\d+)?Z)"')
_SINCE = re.compile(rb"since=(\d+)")


@contextmanager
def shifted_engine(host: Host, shift: timedelta) -> Iterator[str]:
    """The path of a socket on the host behind which its engine's clock is off by ``shift``."""
    relay = _Relay(host.socket_path, shift)
    with unix_server(host, relay, "shifted.sock") as path:
        yield path


class _Relay:
    def __init__(self, engine: Path, shift: timedelta) -> None:
        self._engine = engine
        self._shift = shift
        self._seconds = round(shift.total_seconds())

    def __call__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        while request := read_request(connection):
            with socket.socket(socket.AF_UNIX) as upstream:
                upstream.connect(str(self._engine))
                upstream.sendall(_SINCE.sub(lambda m: b"since=%d" % (int(m[1]) - self._seconds), request))
                if b"/events" in request.split(b"\r\n", 1)[0]:
                    self._stream(upstream, connection)
                    return
                answer = http.client.HTTPResponse(upstream)
                answer.begin()
                body = self._moved(answer.read().decode()).encode()
                head = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % (answer.status, len(body)) + body)

    def _stream(self, upstream: socket.socket, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += upstream.recv(65536)
        head, _end, rest = data.partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        decoder, line = ChunkedDecoder(), b""
        while True:
            line += decoder.feed(rest) if rest else b""
            *whole, line = line.split(b"\n")
            for event in whole:
                moved = json.dumps(self._event(json.loads(event))).encode() + b"\n"
                connection.sendall(b"%x\r\n%s\r\n" % (len(moved), moved))
            readable, _writable, _odd = select.select([upstream, connection], [], [])
            if connection in readable:
                return  # the client asks for nothing more: it has gone
            rest = upstream.recv(65536)
            if not rest:
                return

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        event["time"] += self._seconds
        event["timeNano"] += self._seconds * 1_000_000_000
        return event

    def _moved(self, text: str) -> str:
        def move(match: re.Match[str]) -> str:
            told = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
            if told.year < 2000:  # the engine's word for never
                return match[0]
            return f'"{told + self._shift:%Y-%m-%dT%H:%M:%S}{match[2]}"'

        return _TIME.sub(move, text)
