"""Engines without SSH between: over TCP, over TCP with TLS, and on the local socket of SSM's own machine.

Each channel is a connection of its own. What SSH tells of a peer's life, the kernel tells here: keepalive for idle
connections, unacknowledged data for those that wait for an answer.
"""

import contextlib
import errno
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from devices.connections.local import connect_local, run_here
from devices.connections.tls import client_context, tls_error
from devices.docker.engine import Engine
from devices.errors import (
    ConnectionLost,
    ConnectionRefused,
    ConnectionTimedOut,
    DeviceError,
    EngineError,
    NotDocker,
)
from devices.rules.host_keys import PinnedKey
from devices.rules.targets import LOCAL, TCP, TLS, ConnectionTarget
from devices.ssh.session import ChannelRefused, ProgramResult
from devices.ssh.sockets import Deadline, connect, resolve

_SILENCE: Final = frozenset([errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN])
# struct tcp_info of Linux: bytes 2 (retransmissions under way) and 24 (segments without acknowledgement).
_TCP_INFO: Final = struct.Struct("=2xB21xI")


class Dialer(Protocol):
    """How to make one more connection to the engine."""

    def __call__(self, timeout_s: float, /) -> socket.socket:
        """A connected socket. DeviceError."""


class DirectChannel:
    """One connection to the engine. One reader; `close` may be called from any thread and ends its wait at once."""

    def __init__(self, raw: socket.socket, session: "DirectSession") -> None:
        self._raw = raw
        self._session = session
        self._lock = threading.Lock()
        self._users = 0
        self.closed = False

    def settimeout(self, seconds: float | None) -> None:
        """Longest wait of one `recv` or `sendall`."""
        with contextlib.suppress(OSError):
            self._raw.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        """1 to ``size`` bytes; empty at the end or once closed. TimeoutError; OSError when the connection broke."""
        with self._using() as is_open:
            if not is_open:
                return b""
            try:
                return self._raw.recv(size)
            except (OSError, ValueError) as exc:
                if self.closed:
                    return b""
                self._note(exc)
                raise

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``. TimeoutError; OSError when the connection broke."""
        with self._using() as is_open:
            if not is_open:
                raise OSError(errno.EPIPE, "closed")
            try:
                self._raw.sendall(data)
            except (OSError, ValueError) as exc:
                self._note(exc)
                raise

    def shutdown_write(self) -> None:
        """Tell the engine that nothing more comes from here."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._raw, socket.SHUT_WR)

    def close(self) -> None:
        """Close; a reader that waits in another thread ends now. May be called again."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            is_used = self._users > 0
        with contextlib.suppress(OSError):
            # Of the plain socket, past TLS: its farewell may wait for the peer.
            socket.socket.shutdown(self._raw, socket.SHUT_RDWR)
        # Closed while a thread reads, the number of the file could be another's before that thread looks at it again.
        if not is_used:
            self._raw.close()

    @property
    def is_fresh(self) -> bool:
        """True while open at both ends with nothing unread, so that a new request may be sent on it."""
        with self._using() as is_open:
            if not is_open:
                return False
            try:
                self._raw.settimeout(0)
                # What TLS sends besides data (tickets, new keys) is worked off by this and is no data.
                if isinstance(self._raw, ssl.SSLSocket):
                    self._raw.recv(1)
                else:
                    self._raw.recv(1, socket.MSG_PEEK)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except (OSError, ValueError):
                return False
            return False

    @property
    def is_unanswered(self) -> bool:
        """True if the kernel keeps on sending and the peer's does not acknowledge."""
        if self._raw.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
            return False
        try:
            info = self._raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            retransmissions, unacknowledged = _TCP_INFO.unpack(info)
        except (OSError, struct.error):
            return False
        return bool(retransmissions and unacknowledged)

    @contextlib.contextmanager
    def _using(self) -> Iterator[bool]:
        with self._lock:
            is_open = not self.closed
            self._users += is_open
        try:
            yield is_open
        finally:
            if is_open:
                with self._lock:
                    self._users -= 1
                    is_last = self.closed and not self._users
                if is_last:
                    self._raw.close()

    def _note(self, exc: Exception) -> None:
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, TimeoutError):
            self._session.fail(tls_error(self._session.target, exc))
        elif isinstance(exc, OSError) and exc.errno in _SILENCE:
            self._session.fall_silent()


class DirectSession:
    """The way to one engine without SSH: a source of channels. Thread-safe."""

    host_key: PinnedKey | None = None

    def __init__(self, target: ConnectionTarget, dial: Dialer, kind: str) -> None:
        self.target = target
        self._dial = dial
        self._kind = kind
        self._lock = threading.Lock()
        self._channels: weakref.WeakSet[DirectChannel] = weakref.WeakSet()
        self._failure: DeviceError | None = None
        self._is_closed = False
        self.fell_silent = False

    @property
    def is_open(self) -> bool:
        """False once it was closed, or found that the engine can't be reached any more."""
        return not self._is_closed and self._failure is None

    def open_channel(self, timeout_s: float) -> DirectChannel:
        """One more connection. DeviceError, after which the session is over: the next try makes a new one."""
        if not self.is_open:
            raise self.lost()
        try:
            raw = self._dial(timeout_s)
        except DeviceError as exc:
            self.fail(exc)
            raise
        channel = DirectChannel(raw, self)
        with self._lock:
            if not self._is_closed:
                self._channels.add(channel)
                return channel
        channel.close()
        raise self.lost()

    def run(self, arguments: list[str], timeout_s: float, stdin: bytes = b"") -> ProgramResult:
        """Run a program on the engine's host: only for the local socket, where that is this machine.

        ChannelRefused elsewhere; ConnectionLost when it does not end in time.
        """
        if self._kind != LOCAL:
            raise ChannelRefused("no commands without SSH")
        return run_here(self.target, arguments, timeout_s, stdin)

    def open_tcp(self, address: str, port: int, timeout_s: float) -> DirectChannel:
        """A connection to a port of the engine's host: only for the local socket, where that is this machine."""
        if self._kind != LOCAL:
            raise ChannelRefused("no ports without SSH")
        try:
            raw = socket.create_connection((address, port), timeout_s)
        except OSError as exc:
            raise ChannelRefused(str(exc)) from exc
        # Of a session of its own: what becomes of this connection says nothing about the engine's.
        return DirectChannel(raw, DirectSession(self.target, self._dial, self._kind))

    def ask_for_life(self) -> None:
        """Nothing to do: the request that is under way is the question, and the kernel hears the answer."""

    @property
    def has_signs_of_life(self) -> bool:
        """False if what was sent is not even acknowledged by the host."""
        with self._lock:
            channels = list(self._channels)
        if any(channel.is_unanswered for channel in channels):
            self.fall_silent()
            return False
        return True

    def fall_silent(self) -> None:
        """The host is not heard any more."""
        self.fell_silent = True
        self.fail(
            ConnectionLost(
                f"{self.target.label}: the host no longer answers: its connection was given up.",
                fix="SSM reconnects by itself once the host is back. Check its power and network, and the way to it.",
            )
        )

    def fail(self, error: DeviceError) -> None:
        """Give the session up for this reason; the first one counts."""
        with self._lock:
            self._failure = self._failure or error

    def lost(self) -> DeviceError:
        """The error for whoever needs it now."""
        return self._failure or ConnectionLost(
            f"{self.target.label}: the connection to the engine was lost.",
            fix="SSM reconnects by itself. If this repeats, check the network and the engine's log.",
        )

    def close(self) -> None:
        """Close every connection; their readers end now."""
        with self._lock:
            self._is_closed = True
            channels = list(self._channels)
        for channel in channels:
            channel.close()


class DirectRoute:
    """Channels of a session without SSH. An engine takes as many connections as there are."""

    most_requests = 8
    most_streams = 64

    def __init__(self, session: DirectSession, kind: str) -> None:
        self.kind = kind
        self._session = session

    def open(self, timeout_s: float) -> DirectChannel:
        """Connect. DeviceError."""
        return self._session.open_channel(timeout_s)

    def explain(self, channel: DirectChannel | None) -> DeviceError:
        """Why there is no channel, or why one ended without a single byte of an answer."""
        if channel is not None and self._session.is_open:
            # A server that refuses a certificate says so behind the handshake, where a request may just be on its way.
            channel.settimeout(1.0)
            with contextlib.suppress(OSError, ValueError):
                channel.recv(1)
        if not self._session.is_open:
            return self._session.lost()
        return ConnectionLost(
            f"{self._session.target.label}: the engine closed the connection without an answer.",
            fix="The engine may be restarting: try again in a moment, and see its log (journalctl -u docker).",
        )


def open_direct(target: ConnectionTarget, handshakes: AbstractContextManager[object] | None = None) -> Engine:
    """The engine of a target whose transport is tls, tcp or local. Raises the DeviceError of what failed."""
    session = direct_session(target)
    try:
        with handshakes or nullcontext():
            return Engine(target, session, DirectRoute(session, target.transport))
    except EngineError as exc:
        session.close()
        if target.transport == TCP and "https" in exc.engine_message.lower():
            raise NotDocker(
                f"{target.label}: the engine on {target.address} port {target.port} speaks TLS only.",
                fix="Choose TCP with TLS for this device, with the certificates of that engine.",
            ) from exc
        raise
    except BaseException:
        session.close()
        raise


def direct_session(target: ConnectionTarget) -> DirectSession:
    """The source of connections for a target without SSH; nothing is connected yet. DeviceError for unusable TLS."""
    if target.transport == LOCAL:
        return DirectSession(target, lambda timeout_s: connect_local(target, timeout_s), LOCAL)
    if target.transport == TLS:
        context = client_context(target)
        return DirectSession(target, lambda timeout_s: _connect_tls(target, context, timeout_s), TLS)
    return DirectSession(target, lambda timeout_s: connect_tcp(target, Deadline(_connect_s(target, timeout_s))), TCP)


def _connect_s(target: ConnectionTarget, timeout_s: float) -> float:
    return min(timeout_s, target.connect_timeout_s)


def connect_tcp(target: ConnectionTarget, deadline: Deadline) -> socket.socket:
    """A connected TCP socket. NameNotFound, ConnectionRefused, ConnectionTimedOut, HostUnreachable."""
    try:
        return connect(target, resolve(target, deadline), deadline)
    except ConnectionRefused as exc:
        option = "--tlsverify -H" if target.transport == TLS else "-H"
        raise ConnectionRefused(
            f"{target.label}: nothing listens on {target.address} port {target.port}.",
            fix=f"Check the port, and that the engine runs there with {option} tcp://0.0.0.0:{target.port} "
            "(systemctl status docker).",
        ) from exc
    except ConnectionTimedOut as exc:
        raise ConnectionTimedOut(
            exc.message, fix="Check that the host is up and that no firewall drops connections to this port."
        ) from exc


def _connect_tls(target: ConnectionTarget, context: ssl.SSLContext, timeout_s: float) -> socket.socket:
    deadline = Deadline(_connect_s(target, timeout_s))
    return shake_hands(target, context, connect_tcp(target, deadline), deadline)


def shake_hands(
    target: ConnectionTarget, context: ssl.SSLContext, raw: socket.socket, deadline: Deadline
) -> ssl.SSLSocket:
    """TLS over a connected socket, the server's certificate checked. CertificateRefused, NotTls, ConnectionTimedOut.

    The socket's time-out bounds each step only, and a peer that sends a byte now and then could stretch the whole:
    a timer ends the connection at the deadline.
    """
    timer = threading.Timer(deadline.left_s, lambda: _cut(raw))
    timer.daemon = True
    timer.start()
    try:
        raw.settimeout(max(0.05, deadline.left_s))
        return context.wrap_socket(raw, server_hostname=target.tls_server_name or target.address.partition("%")[0])
    except (OSError, ValueError) as exc:
        raw.close()
        if deadline.is_over or isinstance(exc, TimeoutError):
            raise ConnectionTimedOut(
                f"{target.label}: {target.address} port {target.port} accepts connections, but its TLS greeting did "
                "not come in time.",
                fix="Check that this is the port of an engine with TLS and that the host is not overloaded.",
            ) from exc
        raise tls_error(target, exc) from exc
    finally:
        timer.cancel()


def _cut(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(raw, socket.SHUT_RDWR)
