"""HTTP/1.1 answers of an engine, from bytes that arrive in any pieces (pure).

Written for one peer that is not trusted: head, chunk lines and bodies are bounded, and anything outside of
RFC 9112 that could desynchronise the connection is an error.
"""

import re
from dataclasses import dataclass, field

HEAD_LIMIT = 64 * 1024
CHUNK_LINE_LIMIT = 1024
TRAILER_LIMIT = 16 * 1024
MOST_INTERIM = 16
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?\Z")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_HEX = re.compile(rb"[0-9a-fA-F]{1,15}\Z")
# Chunk size lines of up to 4 KiB as Go writes them (lower case, no leading zero): a look-up is faster than int().
_SIZES: dict[bytes, int] = {b"%x" % size: size for size in range(1, 4097)}


class HttpError(ValueError):
    """Bytes that are no acceptable HTTP answer."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status and headers (names in lower case; repeated ones joined by a comma)."""

    status: int
    minor_version: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_chunked(self) -> bool:
        return "transfer-encoding" in self.headers

    @property
    def content_length(self) -> int | None:
        text = self.headers.get("content-length")
        return None if text is None or self.is_chunked else int(text)

    @property
    def has_body(self) -> bool:
        return self.status >= 200 and self.status not in (204, 304)

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may carry another request after this answer."""
        tokens = {token.strip().lower() for token in self.headers.get("connection", "").split(",")}
        if "close" in tokens or "upgrade" in tokens or self.status == 101:
            return False
        delimited = self.is_chunked or self.content_length is not None or not self.has_body
        return delimited and (self.minor_version == 1 or "keep-alive" in tokens)


def parse_head(block: bytes) -> ResponseHead:
    """Parse everything up to and without the empty line. HttpError when it is not HTTP/1.x."""
    lines = block.split(b"\r\n")
    match = _STATUS_LINE.match(lines[0])
    if not match:
        raise HttpError("no HTTP status line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _HEADER_NAME.match(name) or b"\n" in value or b"\0" in value or b"\r" in value:
            raise HttpError("a malformed header line")
        key, text = name.decode("ascii").lower(), value.decode("latin-1").strip(" \t")
        if key == "content-length" and (not _DIGITS.match(text) or headers.get(key, text) != text):
            raise HttpError("a malformed content length")
        if key == "transfer-encoding" and (text.lower() != "chunked" or key in headers):
            raise HttpError("a transfer encoding that is not chunked")
        headers[key] = f"{headers[key]}, {text}" if key in headers and key != "content-length" else text
    return ResponseHead(int(match[2]), int(match[1]), headers)


class HeadReader:
    """Collects bytes until the head is complete; some interim (1xx) heads but 101 are skipped."""

    __slots__ = ("_buffer", "_interim")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._interim = 0

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Add bytes; the head and the bytes behind it once complete, else None. HttpError on garbage."""
        start = max(0, len(self._buffer) - 3)
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n", start)
            if end < 0:
                self._reject_early()
                return None
            if end > HEAD_LIMIT:
                raise HttpError("a head of more than 64 KiB")
            head, rest = parse_head(bytes(self._buffer[:end])), bytes(self._buffer[end + 4 :])
            if head.status >= 200 or head.status == 101:
                return head, rest
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise HttpError("interim answers without an end")
            self._buffer, start = bytearray(rest), 0

    @property
    def is_empty(self) -> bool:
        """True while not one byte of an answer came."""
        return not self._buffer

    def _reject_early(self) -> None:
        # Waiting for an empty line that never comes would turn a wrong peer into a time-out; say it at once.
        if not b"HTTP/1.".startswith(self._buffer[:7]):
            raise HttpError("no HTTP status line")
        if len(self._buffer) > HEAD_LIMIT:
            raise HttpError("a head of more than 64 KiB")


class ChunkedDecoder:
    """Takes chunked transfer coding apart, in pieces as large as they come."""

    __slots__ = ("_left", "_line", "_state", "_trailer_bytes", "rest")

    def __init__(self) -> None:
        self._state = "size"  # size, data, data-end, trailer, done
        self._left = 0
        self._line = b""
        self._trailer_bytes = 0
        self.rest = b""

    @property
    def is_done(self) -> bool:
        return self._state == "done"

    def feed(self, data: bytes) -> bytes:
        """Add bytes, return the body bytes in them. Bytes after the end are kept in ``rest``. HttpError on garbage."""
        out: list[bytes] = []
        position, length = 0, len(data)
        while position < length:
            if self._state == "size" and not self._line:
                position = self._take_whole_chunks(data, position, out)
                if position == length:
                    break
            if self._state == "data":
                take = min(self._left, length - position)
                out.append(data[position : position + take])
                position += take
                self._left -= take
                if not self._left:
                    self._state = "data-end"
            elif self._state == "done":
                self.rest += data[position:]
                break
            else:
                newline = data.find(b"\n", position)
                if newline < 0:
                    self._line += data[position:]
                    self._check_line()
                    break
                line, self._line = self._line + data[position : newline + 1], b""
                position = newline + 1
                self._take_line(line)
        return out[0] if len(out) == 1 else b"".join(out)

    @staticmethod
    def _take_whole_chunks(data: bytes, position: int, out: list[bytes]) -> int:
        """Append the bodies of all chunks that lie whole in ``data``, return the position behind them.

        An engine sends each log line as a chunk of its own, so this loop is what bounds lines per second.
        """
        find, sizes = data.find, _SIZES
        while (newline := find(b"\r\n", position, position + 6)) > 0:
            size = sizes.get(data[position:newline])
            if size is None:
                break
            end = newline + 2 + size
            if data[end : end + 2] != b"\r\n":
                break
            out.append(data[newline + 2 : end])
            position = end + 2
        return position

    def _check_line(self) -> None:
        limit = 2 if self._state == "data-end" else CHUNK_LINE_LIMIT
        if len(self._line) > limit:
            raise HttpError("a chunk line that is too long")

    def _take_line(self, line: bytes) -> None:
        if len(line) > CHUNK_LINE_LIMIT or not line.endswith(b"\r\n"):
            raise HttpError("a malformed chunk line")
        if self._state == "data-end":
            if line != b"\r\n":
                raise HttpError("a chunk longer than announced")
            self._state = "size"
        elif self._state == "size":
            size = line[:-2].partition(b";")[0].strip(b" \t")
            if not _HEX.match(size):
                raise HttpError("a malformed chunk size")
            self._left = int(size, 16)
            self._state = "data" if self._left else "trailer"
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > TRAILER_LIMIT:
                raise HttpError("trailers of more than 16 KiB")
            if line == b"\r\n":
                self._state = "done"
