"""A client that sends what no library would: bytes as they are, as slowly as it likes, and reads as little."""

import json
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when the connection was closed without a word."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Wire:
    """One TCP connection to the server."""

    def __init__(self, port: int, *, timeout_s: float = 20.0, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout_s)
        self.socket.connect(("127.0.0.1", port))
        self._held = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Send it all; False when the server wants no more."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"nothing more came behind {self._held[:200]!r}") from None
        except OSError:
            return False
        self._held += data
        return bool(data)

    def answer(self) -> Answer:
        """The next answer, read to its end. Interim answers (1xx) count."""
        while b"\r\n\r\n" not in self._held:
            if not self._more():
                return Answer(0, {}, self._held)
        head, self._held = self._held.split(b"\r\n\r\n", 1)
        lines = head.decode("latin1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if "chunked" in headers.get("transfer-encoding", ""):
            return Answer(status, headers, self._chunks())
        return Answer(status, headers, self._piece(int(headers.get("content-length", "0"))))

    def _piece(self, length: int) -> bytes:
        while len(self._held) < length and self._more():
            pass
        piece, self._held = self._held[:length], self._held[length:]
        return piece

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._held and self._more():
                pass
            size, _, self._held = self._held.partition(b"\r\n")
            piece = self._piece(int(size, 16))
            self._piece(2)
            if not piece:
                return body
            body += piece

    def is_closed_within(self, seconds: float) -> bool:
        """Whether the server closes the connection in that time, whatever it says before."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False


def request(port: int, data: bytes) -> Answer:
    """One connection, one answer."""
    with Wire(port) as wire:
        wire.send(data)
        return wire.answer()


def head(method: str, path: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin1")


def handshake(port: int, path: str, *headers: str, host: str = "127.0.0.1", **wire: Any) -> tuple[Wire, Answer]:
    """Ask for a WebSocket; the connection stays open when that is granted."""
    connection = Wire(port, **wire)
    connection.send(
        head(
            "GET",
            path,
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            *headers,
            host=host,
        )
    )
    return connection, connection.answer()


def frame(payload: bytes, *, code: int = 1, is_last: bool = True) -> bytes:
    """A frame as a browser sends it: masked. Codes: 0 continuation, 1 text, 2 binary, 8 close, 9 ping."""
    mask = os.urandom(4)
    if len(payload) < 126:
        size = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        size = bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        size = bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    covered = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([(0x80 if is_last else 0) | code]) + size + mask + covered


def closing_code(wire: Wire, seconds: float = 20.0) -> int:
    """The code that the server closes a socket with; 0 when it just cuts the connection."""
    wire.socket.settimeout(seconds)
    data = wire._held
    try:
        while True:
            while len(data) >= 2:
                size, skip = data[1] & 127, 2
                if size == 126:
                    if len(data) < 4:
                        break
                    size, skip = struct.unpack("!H", data[2:4])[0], 4
                elif size == 127:
                    if len(data) < 10:
                        break
                    size, skip = struct.unpack("!Q", data[2:10])[0], 10
                if len(data) < skip + size:
                    break
                if data[0] & 15 == 8:
                    return int(struct.unpack("!H", data[skip : skip + 2])[0])
                data = data[skip + size :]
            more = wire.socket.recv(65536)
            if not more:
                return 0
            data += more
    except OSError:
        return 0
