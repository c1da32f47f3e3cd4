"""Channels that keep bytes as they came, close without racing the server, and tell whether their peer is there."""

import collections
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paramiko
from paramiko.buffered_pipe import PipeTimeout
from paramiko.message import Message

# What a host may send before a slow reader takes it. Between 32 KiB and 2 MiB this made no difference to log lines
# per second (600,000 lines: the engine and sshd are the limit); the window is granted anew at each half, so that an
# ordinary answer costs no extra packet.
WINDOW_BYTES = 256 * 1024
PACKET_BYTES = 32 * 1024
# What a reader has taken is granted anew before he is done with it, so a little more than the window may be on its way.
MOST_UNREAD_BYTES = 2 * WINDOW_BYTES


class BytePipe:
    """The buffer between the transport's thread and a reader, keeping packets as they came.

    Same methods as the library's own, which copies each byte through an array three times.
    """

    def __init__(self) -> None:
        self._ready = threading.Condition(threading.Lock())
        self._pieces: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._is_closed = False
        self._event: Any = None

    def set_event(self, event: Any) -> None:
        """Keep ``event`` set while there is something to read (for the library's `fileno`)."""
        with self._ready:
            self._event = event
            if self._is_closed or self._size:
                event.set()
            else:
                event.clear()

    def feed(self, data: bytes) -> None:
        """Add bytes and wake the reader. Empty packets are nothing to keep."""
        if not data:
            return
        with self._ready:
            self._pieces.append(data)
            self._size += len(data)
            if self._event is not None:
                self._event.set()
            self._ready.notify()

    def read_ready(self) -> bool:
        """True if `read` would return bytes at once."""
        return self._size > 0

    def read(self, size: int, timeout: float | None = None) -> bytes:
        """1 to ``size`` bytes, all that is there if less; empty when closed. PipeTimeout after ``timeout`` seconds."""
        with self._ready:
            if not self._size and not self._is_closed:
                self._wait(timeout)
            return self._take(size)

    def empty(self) -> bytes:
        """Take all there is, without waiting."""
        with self._ready:
            return self._take(self._size)

    def close(self) -> None:
        """No more bytes will come; readers get what is left, then nothing."""
        with self._ready:
            self._is_closed = True
            if self._event is not None:
                self._event.set()
            self._ready.notify_all()

    def __len__(self) -> int:
        return self._size

    def _wait(self, timeout: float | None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._size and not self._is_closed:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise PipeTimeout
            self._ready.wait(left)

    def _take(self, size: int) -> bytes:
        if self._size <= size:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
        else:
            parts, missing = [], size
            while missing:
                piece = self._pieces.popleft()
                if len(piece) > missing:
                    self._pieces.appendleft(piece[missing:])
                    piece = piece[:missing]
                parts.append(piece)
                missing -= len(piece)
            data = b"".join(parts)
        self._size -= len(data)
        if not self._size and self._event is not None and not self._is_closed:
            self._event.clear()
        return data


class ByteChannel(paramiko.Channel):
    """A channel whose bytes are kept as they came, and that tells whether its peer is still there."""

    def __init__(self, chanid: int) -> None:
        super().__init__(chanid)
        self.in_buffer = BytePipe()  # type: ignore[assignment]
        self.is_gone = threading.Event()
        self._order = threading.RLock()

    def handle_close(self, message: Message) -> None:
        """The server closes: answer, and only then call the channel gone.

        Our answer is what frees its place in sshd's MaxSessions, so it must go out before anybody opens the next.
        """
        with self._order:
            self._handle_close(message)
        self.is_gone.set()

    def take(self, message: Message) -> None:
        """Data from the server; one that sends more than the window grants is not to be dealt with any longer."""
        self._feed(message)
        self._check_window()

    def take_extended(self, message: Message) -> None:
        """The same for standard error."""
        self._feed_extended(message)
        self._check_window()

    def _check_window(self) -> None:
        if len(self.in_buffer) + len(self.in_stderr_buffer) > MOST_UNREAD_BYTES:
            raise paramiko.SSHException("more data than the window grants")

    # The library decides what to send under its lock and sends after it. In between the answer to the server's closing
    # may go out, and sshd ends the whole connection when data or an end come for a channel that it has freed. So what
    # is sent, and our closing, take turns; nothing follows the closing. Waiting for room to send is outside of it.

    def _send(self, data: Any, message: Message) -> int:
        size = len(data)
        with self.lock:
            if self.closed:
                raise OSError("Socket is closed")
            size = self._wait_for_send_window(size)
            if size == 0:
                return 0
            message.add_string(data[:size])
        with self._order:
            if self.closed:
                raise OSError("Socket is closed")
            transport: Any = self.transport
            transport._send_user_message(message)
        return size

    def shutdown(self, how: int) -> None:
        """Shut down one or both directions; an end is sent at most once, and never after the closing."""
        with self._order:
            super().shutdown(how)

    def close(self) -> None:
        """Close; where the connection itself is gone there is nothing to tell the other end any more."""
        with self._order, suppress(OSError, EOFError):
            super().close()

    def close_and_wait(self, timeout_s: float = 1.0) -> None:
        """Close, and wait until the server has closed too: until then it counts the channel in MaxSessions."""
        self.close()
        if self.transport is not None and self.transport.is_active():
            self.is_gone.wait(timeout_s)

    # The library's own, which its type stubs leave out.
    in_window_threshold: int
    _event_pending: Callable[[], None]
    _feed: Callable[[Message], None]
    _feed_extended: Callable[[Message], None]
    _handle_close: Callable[[Message], None]
    _set_transport: Callable[[paramiko.Transport], None]
    _set_window: Callable[[int, int], None]
    _wait_for_send_window: Callable[[int], int]
    lock: threading.Lock
    _unlink: Callable[[], None]

    @property
    def is_fresh(self) -> bool:
        """True while open at both ends with nothing unread, so that a new request may be sent on it."""
        return not (self.closed or self.eof_received or self.in_buffer.read_ready())
