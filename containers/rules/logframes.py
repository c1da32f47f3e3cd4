"""Docker's log stream turned into records, from chunks of any size.

A record is one line of a container in the form that the ring holds and browsers get, as bytes:

    mark, timestamp, one space, text, newline

``mark`` is ``o`` (stdout) or ``e`` (stderr); in upper case it says that the line was longer than the limit
and goes on in the stream's next record. ``timestamp`` is the Engine's own (``2026-11-24T10:42:03.123456789Z``)
and empty where it sent none. The text is kept as it came, whatever bytes it holds: whoever shows it decodes
UTF-8 with replacement. So the work done per line is one slice.

Both decoders expect a stream that was asked for with ``timestamps=1``. Source of the formats: Docker Engine
API, "Attach to a container", stream format; moby ``daemon/logs.go`` (a timestamp in front of every message)
and ``daemon/logger/copier.go`` (a line over 16 KiB becomes messages that share one timestamp).
"""

import re
import struct
from dataclasses import dataclass
from typing import Protocol

LINE_LIMIT = 256 * 1024
"""Bytes of text in one record; a longer line becomes several records."""

ENGINE_MESSAGE_BYTES = 16 * 1024
"""Text bytes after which the Engine cuts a line into several messages (moby ``copier.go``)."""

_HEADER = struct.Struct(">II")
_SYSTEM_ERROR = 3 << 24
_MARKS = {0: b"o", 1 << 24: b"o", 2 << 24: b"e"}
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) ")
_STAMP_MAX = 40
NO_STAMP = b" "
_ERROR_MAX = 4096


class LogFormatError(ValueError):
    """The stream is not what the Engine documents; the message says what was found instead."""


class LogStreamError(ValueError):
    """The Engine reported an error inside the stream; the message is its sentence."""


@dataclass(frozen=True, slots=True)
class Records:
    """``count`` records, one after another, in ``data``."""

    count: int
    data: bytes


NO_RECORDS = Records(0, b"")


class LogDecoder(Protocol):
    """What both stream formats offer."""

    def feed(self, chunk: bytes) -> Records:
        """Give the records that ``chunk`` completes."""

    def finish(self) -> Records:
        """Give what was held back, after the stream's end."""


class _OpenLine:
    """A line whose newline has not come yet: its stamp (with the space) and the text so far."""

    __slots__ = ("size", "stamp", "text")

    def __init__(self, stamp: bytes) -> None:
        self.stamp = stamp
        self.text: list[bytes] = []
        self.size = 0


class FrameDecoder:
    """Decodes the multiplexed stream of a container without a TTY.

    Holds at most one frame of ``limit`` bytes and one unfinished line per stream. ``feed`` raises
    LogFormatError when a frame header is not one, and LogStreamError when the Engine sent an error frame;
    the records before it are then given by ``finish``.
    """

    def __init__(self, *, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._rest = b""
        self._large_word = 0
        self._large_left = 0
        self._large_stamp = b""
        self._open: dict[int, _OpenLine] = {}
        self._saved: list[bytes] = []

    def feed(self, chunk: bytes) -> Records:
        """Give the records that ``chunk`` completes."""
        parts: list[bytes] = []
        data = self._rest + chunk if self._rest else chunk
        try:
            self._rest = data[self._frames(data, parts) :]
        except ValueError:
            self._saved = parts
            raise
        return _records(parts)

    def finish(self) -> Records:
        """Give the unfinished lines as records; a frame that never became whole is dropped."""
        parts, self._saved = self._saved, []
        for word in list(self._open):
            self._close(word, parts)
        self._rest, self._large_left, self._large_stamp = b"", 0, b""
        return _records(parts)

    def _frames(self, data: bytes, parts: list[bytes]) -> int:
        """Append mark and payload of each whole frame to ``parts``; return how many bytes were used."""
        end = len(data)
        position = self._large_part(data, 0, parts) if self._large_left else 0
        opened, append, unpack, limit = self._open, parts.append, _HEADER.unpack_from, self._limit
        while end - position >= 8:
            word, length = unpack(data, position)
            start = position + 8
            stop = start + length
            if word not in _MARKS:
                if word == _SYSTEM_ERROR and end - start < min(length, _ERROR_MAX):
                    break
                raise _frame_error(data, position, min(length, _ERROR_MAX))
            if length > limit:
                if end - start < _STAMP_MAX:
                    break
                self._large_word, self._large_left = word, length
                position = self._large_part(data, start, parts)
                continue
            if stop > end:
                break
            if length and data[stop - 1] == 10 and word not in opened:
                append(_MARKS[word])
                append(data[start:stop])
            elif length:
                self._message(word, data[start:stop], parts)
            position = stop
        return position

    def _large_part(self, data: bytes, start: int, parts: list[bytes]) -> int:
        """Use what is here of a frame that is larger than a record may be; return where it ends in ``data``."""
        part = data[start : start + self._large_left]
        self._large_left -= len(part)
        if self._large_stamp:
            self._text(self._large_word, self._large_stamp, part, parts)
        else:
            self._large_stamp = self._message(self._large_word, part, parts)
        if not self._large_left:
            self._large_stamp = b""
        return start + len(part)

    def _message(self, word: int, payload: bytes, parts: list[bytes]) -> bytes:
        """Take one message that does not simply start and end a line; return its stamp."""
        match = _STAMP.match(payload)
        opened = self._open.get(word)
        if match is None:
            stamp = opened.stamp if opened else NO_STAMP
            self._text(word, stamp, payload, parts)
            return stamp
        stamp = match.group()
        if opened is not None and stamp != opened.stamp:
            # Another stamp is another line: the one before ended without a newline (its process did).
            self._close(word, parts)
        self._text(word, stamp, payload[len(stamp) :], parts)
        return stamp

    def _text(self, word: int, stamp: bytes, text: bytes, parts: list[bytes]) -> None:
        *lines, tail = text.split(b"\n")
        for line in lines:
            self._extend(word, stamp, line, parts)
            self._close(word, parts)
        if tail:
            self._extend(word, stamp, tail, parts)

    def _extend(self, word: int, stamp: bytes, text: bytes, parts: list[bytes]) -> None:
        opened = self._open.get(word)
        if opened is None:
            opened = self._open[word] = _OpenLine(stamp)
        opened.text.append(text)
        opened.size += len(text)
        if opened.size > self._limit:
            whole = b"".join(opened.text)
            mark = _MARKS[word].upper()
            while len(whole) > self._limit:
                parts += (mark, opened.stamp + whole[: self._limit] + b"\n")
                whole = whole[self._limit :]
            opened.text, opened.size = [whole], len(whole)

    def _close(self, word: int, parts: list[bytes]) -> None:
        opened = self._open.pop(word)
        parts += (_MARKS[word], opened.stamp + b"".join(opened.text) + b"\n")


class RawDecoder:
    """Decodes the stream of a container with a TTY, which has no frames and no stderr of its own.

    The Engine also stamps the second and later messages of a line over 16 KiB, in the middle of the text;
    those stamps are taken out where they stand exactly at a message's border. Holds one unfinished line.
    """

    def __init__(self, *, limit: int = LINE_LIMIT, message_bytes: int = ENGINE_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._message_bytes = message_bytes
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._stamp = b""

    def feed(self, chunk: bytes) -> Records:
        """Give the records that ``chunk`` completes."""
        newline = chunk.rfind(b"\n") + 1
        if not newline:
            return self._hold(chunk)
        whole = b"".join((*self._rest, chunk[:newline]))
        self._rest, self._rest_size = [], 0
        lines = whole.split(b"\n")
        lines.pop()
        longest = max(map(len, lines))
        if self._stamp or longest > min(self._message_bytes, self._limit) or not all(map(_STAMP.match, lines)):
            parts: list[bytes] = []
            for line in lines:
                self._line(line, parts)
                self._stamp = b""
            records = _records(parts)
        else:
            records = Records(len(lines), _without_returns(b"o" + b"\no".join(lines) + b"\n"))
        held = self._hold(chunk[newline:])
        return Records(records.count + held.count, records.data + held.data)

    def finish(self) -> Records:
        """Give the last line if it had no newline."""
        rest, self._rest, self._rest_size = b"".join(self._rest), [], 0
        parts: list[bytes] = []
        if rest or self._stamp:
            self._line(rest, parts)
        self._stamp = b""
        return _records(parts)

    def _hold(self, text: bytes) -> Records:
        if not text:
            return NO_RECORDS
        self._rest.append(text)
        self._rest_size += len(text)
        if self._rest_size <= self._raw_limit(_STAMP_MAX) + _STAMP_MAX:
            return NO_RECORDS
        parts: list[bytes] = []
        rest = self._cut(b"".join(self._rest), parts)
        self._rest, self._rest_size = [rest], len(rest)
        return _records(parts)

    def _raw_limit(self, stamp_size: int) -> int:
        """How many bytes of the stream hold one record's text, stamps inside it included."""
        messages = self._limit // self._message_bytes
        return messages * (self._message_bytes + stamp_size) if messages else self._limit

    def _cut(self, line: bytes, parts: list[bytes]) -> bytes:
        """Append full records off the front of a long line; return what is left of it.

        Once a record was cut off, ``_stamp`` holds the line's stamp, and what is left goes without it.
        """
        stamp = self._stamp or _stamp_of(line)
        text = line if self._stamp or stamp == NO_STAMP else line[len(stamp) :]
        size = self._limit if stamp == NO_STAMP else self._raw_limit(len(stamp))
        if len(text) <= size:
            return line
        while len(text) > size:
            parts += (b"O", stamp + self._unstamped(text[:size], stamp) + b"\n")
            text = text[size:]
        self._stamp = stamp
        return text

    def _line(self, line: bytes, parts: list[bytes]) -> None:
        rest = self._cut(line, parts)
        stamp = self._stamp or _stamp_of(rest)
        text = rest if self._stamp or stamp == NO_STAMP else rest[len(stamp) :]
        parts += (b"o", stamp + self._unstamped(text, stamp) + b"\n")

    def _unstamped(self, text: bytes, stamp: bytes) -> bytes:
        if len(text) <= self._message_bytes or stamp == NO_STAMP:
            return text
        pieces: list[bytes] = []
        position = 0
        while position < len(text):
            pieces.append(text[position : position + self._message_bytes])
            position += self._message_bytes
            if text.startswith(stamp, position):
                position += len(stamp)
        return b"".join(pieces)


def record_stamps(data: bytes) -> list[bytes]:
    """Give the timestamp of each record in ``data``, in order (empty where it has none)."""
    return [record[1 : max(record.find(b" "), 1)] for record in data.split(b"\n") if record]


def _records(parts: list[bytes]) -> Records:
    """Join marks and payloads (one after the other in ``parts``) to records."""
    if not parts:
        return NO_RECORDS
    count = len(parts) // 2
    data = b"".join(parts)
    if data.count(b"\n") != count:
        # A log driver handed over messages of several lines: each becomes a record with the message's stamp.
        parts = _one_line_each(parts)
        count = len(parts) // 2
        data = b"".join(parts)
    return Records(count, _without_returns(data))


def _one_line_each(parts: list[bytes]) -> list[bytes]:
    single: list[bytes] = []
    for mark, payload in zip(parts[::2], parts[1::2], strict=True):
        stamp = _stamp_of(payload)
        for line in payload[0 if stamp == NO_STAMP else len(stamp) : -1].split(b"\n"):
            single += (mark, stamp + line + b"\n")
    return single


def _stamp_of(payload: bytes) -> bytes:
    match = _STAMP.match(payload)
    return match.group() if match else NO_STAMP


def _without_returns(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n") if b"\r\n" in data else data


def _frame_error(data: bytes, position: int, length: int) -> ValueError:
    header = data[position : position + 8]
    if header[:4] == b"\x03\0\0\0":
        text = data[position + 8 : position + 8 + length].decode("utf-8", "replace").strip()
        return LogStreamError(text or "The Engine ended the stream with an error that has no text.")
    return LogFormatError(f"expected the header of a log frame, found the bytes {header.hex(' ')}")
