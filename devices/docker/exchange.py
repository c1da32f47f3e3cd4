"""One HTTP request and its answer over one channel, within a deadline."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from devices.docker.routes import Channel
from devices.rules.http import ChunkedDecoder, HeadReader, HttpError, ResponseHead
from devices.ssh.sockets import Deadline

READ_BYTES = 1024 * 1024
# Read into memory whole, and decoded into up to five times as much for a moment.
BODY_LIMIT = 32 * 1024 * 1024
_SAFE = "/:@!$&'()*+,;=~-._%"


class AnswerMissing(Exception):
    """The channel ended before a single byte of the answer: the request may be sent again if it is safe."""


class AnswerCut(Exception):
    """The channel ended in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``keeps_alive`` tells whether the channel may carry another request."""

    status: int
    headers: dict[str, str]
    body: bytes
    keeps_alive: bool


def request_bytes(
    method: str,
    path: str,
    params: Mapping[str, Any] | None,
    body: Any | None,
    version: str,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The request as one piece, so that it is one packet.

    ``path`` is below ``/v<version>`` (or at the root for an empty version) and percent-encoded where needed; of
    ``params`` None is left out, booleans become 1 and 0, mappings and lists become JSON as the Engine takes them.
    """
    target = (f"/v{version}" if version else "") + quote(path, safe=_SAFE)
    pairs = [(key, _parameter(value)) for key, value in (params or {}).items() if value is not None]
    if pairs:
        target += "?" + urlencode(pairs)
    head = f"{method} {target} HTTP/1.1\r\nHost: docker\r\nUser-Agent: ssm\r\n"
    more = headers or {}
    for name, value in more.items():
        if any(mark in name + value for mark in "\r\n\0"):
            # A value must not become headers of its own.
            raise ValueError(f"the header {name} holds a line break")
        head += f"{name}: {value}\r\n"
    content = b""
    if body is not None:
        content = json.dumps(body).encode("utf-8")
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    elif method in ("POST", "PUT") and "Transfer-Encoding" not in more:
        head += "Content-Length: 0\r\n"
    return head.encode("ascii") + b"\r\n" + content


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return json.dumps(value) if isinstance(value, Mapping | list | tuple) else str(value)


def send_pieces(channel: Channel, pieces: Iterable[bytes], timeout_s: float) -> None:
    """Send a chunked body (RFC 9112, section 7.1), each piece within ``timeout_s``; TimeoutError.

    An engine that refuses half-way closes its end: the rest is not sent then, as its answer tells why.
    """
    for piece in pieces:
        if not piece:
            continue
        channel.settimeout(timeout_s)
        try:
            channel.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return
    channel.settimeout(timeout_s)
    with suppress(OSError, EOFError):
        channel.sendall(b"0\r\n\r\n")


def receive(channel: Channel, deadline: Deadline, nudge: Callable[[], None] | None = None) -> bytes:
    """All bytes that are there, waiting for the first one until the deadline; empty at the end. TimeoutError.

    After half of the time left ``nudge`` is called once: it asks the SSH server for a sign of life, so that a slow
    engine can be told from a dead connection.
    """
    left = deadline.left_s
    if left <= 0:
        raise TimeoutError
    if nudge is not None and left > 0.2:
        channel.settimeout(left / 2)
        try:
            return channel.recv(READ_BYTES)
        except TimeoutError:
            nudge()
    channel.settimeout(max(0.001, deadline.left_s))
    return channel.recv(READ_BYTES)


def read_head(
    channel: Channel, deadline: Deadline, nudge: Callable[[], None] | None = None
) -> tuple[ResponseHead, bytes]:
    """The head of an answer and the body bytes that came with it. AnswerMissing, AnswerCut, HttpError, TimeoutError."""
    reader = HeadReader()
    while True:
        data = receive(channel, deadline, nudge)
        if not data:
            raise AnswerMissing if reader.is_empty else AnswerCut
        done = reader.feed(data)
        if done is not None:
            return done


def read_body(
    channel: Channel,
    head: ResponseHead,
    rest: bytes,
    deadline: Deadline,
    nudge: Callable[[], None] | None = None,
    limit: int = BODY_LIMIT,
) -> bytes:
    """The whole body, of at most ``limit`` bytes. AnswerCut, HttpError, TimeoutError."""
    if not head.has_body:
        return b""
    decoder = ChunkedDecoder() if head.is_chunked else None
    wanted = head.content_length
    if wanted is not None and wanted > limit:
        raise HttpError(f"an answer of more than {limit >> 20} MiB")
    pieces, size, data = [], 0, rest
    while True:
        if data:
            piece = decoder.feed(data) if decoder else data
            pieces.append(piece)
            size += len(piece)
        if size > limit:
            raise HttpError(f"an answer of more than {limit >> 20} MiB")
        if decoder.is_done if decoder else (wanted is not None and size >= wanted):
            break
        data = receive(channel, deadline, nudge)
        if not data:
            if decoder is None and wanted is None:
                break
            raise AnswerCut
    if (decoder and decoder.rest) or (wanted is not None and size > wanted):
        raise HttpError("bytes behind the end of the answer")
    return b"".join(pieces)


def perform(channel: Channel, request: bytes, deadline: Deadline, nudge: Callable[[], None] | None = None) -> Answer:
    """Send a request and read its whole answer. AnswerMissing, AnswerCut, HttpError, TimeoutError."""
    channel.settimeout(max(0.001, deadline.left_s))
    try:
        channel.sendall(request)
    except TimeoutError:
        raise
    except (OSError, EOFError) as exc:  # the SSH library's word for a connection that breaks while it writes
        raise AnswerMissing from exc
    head, rest = read_head(channel, deadline, nudge)
    body = read_body(channel, head, rest, deadline, nudge)
    return Answer(head.status, head.headers, body, head.keeps_alive)
