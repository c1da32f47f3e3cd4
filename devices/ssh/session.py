"""One SSH session: opened step by step with every check, then a source of channels."""

import errno
import logging
import shlex
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from devices.errors import ConnectionLost, DeviceError, JumpRefused, NotSsh
from devices.rules.host_keys import PinnedKey, wanted_algorithms
from devices.rules.targets import DEFAULT_KEEPALIVE_S, ConnectionTarget
from devices.rules.texts import clean_text
from devices.ssh.authentication import log_in, timed_out
from devices.ssh.channels import ByteChannel
from devices.ssh.host_keys import check_host_key
from devices.ssh.keys import public_key
from devices.ssh.proxies import connect_through
from devices.ssh.sockets import Deadline, ReadAheadSocket, connect, resolve
from devices.ssh.transport import NoAnswer, Transport

# The library logs what servers say, unbounded and as errors; we report each failure once, cleaned, by ourselves.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

OUTPUT_LIMIT = 64 * 1024
SESSION_FREE_S = 0.1
DELAY_OFF_S = 1.0


class ChannelRefused(Exception):
    """The server would not open a channel; its reason tells nothing (OpenSSH answers all causes with one code)."""


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What a command on the host gave: exit status (None if it was ended by a signal) and bounded output."""

    status: int | None
    output: str
    errors: str


class SshSession:
    """An authenticated connection to one host. Thread-safe. ``host_key`` is the key that the host proved."""

    def __init__(self, target: ConnectionTarget, transport: Transport, host_key: PinnedKey) -> None:
        self.target = target
        self.host_key = host_key
        self._transport = transport

    @property
    def is_open(self) -> bool:
        """False once the connection was closed or found dead."""
        return bool(self._transport.active)

    def open_socket(self, path: str, timeout_s: float) -> ByteChannel:
        """A channel to a Unix socket on the host. ChannelRefused or ConnectionLost."""
        return self._open(lambda: self._transport.open_socket(path, timeout_s))

    def open_tcp(self, address: str, port: int, timeout_s: float) -> ByteChannel:
        """A channel to a TCP port, as the host reaches it. ChannelRefused or ConnectionLost."""
        return self._open(lambda: self._transport.open_tcp(address, port, timeout_s))

    def open_program(self, command: str, timeout_s: float) -> ByteChannel:
        """A channel to a command that the user's shell starts. ChannelRefused or ConnectionLost."""
        try:
            return self._open(lambda: self._transport.open_program(command, timeout_s))
        except ChannelRefused:
            # sshd frees the place of a session that we closed (MaxSessions) only after it has worked off all packets
            # that came together with our closing, a request for the next session among them.
            time.sleep(min(SESSION_FREE_S, timeout_s))
            return self._open(lambda: self._transport.open_program(command, timeout_s))

    def run(self, arguments: list[str], timeout_s: float, stdin: bytes = b"") -> ProgramResult:
        """Run one short program, quoted for a POSIX shell, and collect at most 64 KiB of each output.

        ConnectionLost when it does not end within ``timeout_s`` seconds, ChannelRefused if sessions are refused.
        """
        deadline = Deadline(timeout_s)
        channel = self.open_program(shlex.join(arguments), timeout_s)
        try:
            if stdin:
                channel.settimeout(deadline.left_s)
                channel.sendall(stdin)
            channel.shutdown_write()
            output = _read_all(channel.recv, channel, deadline)
            errors = _read_all(channel.recv_stderr, channel, deadline)
            finished = channel.status_event.wait(deadline.left_s)
        except OSError as exc:
            raise self.lost() from exc
        finally:
            channel.close_and_wait()
        status = channel.exit_status if finished and channel.exit_status >= 0 else None
        return ProgramResult(status, clean_text(output, 2000), clean_text(errors, 2000))

    def ask_for_life(self) -> None:
        """Send a question that any living SSH server answers; `has_signs_of_life` tells whether it did."""
        self._transport.ask_for_life()

    @property
    def has_signs_of_life(self) -> bool:
        """False if nothing at all came since the last `ask_for_life`."""
        return self._transport.has_signs_of_life

    @property
    def fell_silent(self) -> bool:
        """True when it ended because the host was not heard any more, not because the host closed it."""
        return self._transport.fell_silent

    def lost(self) -> ConnectionLost:
        """The error for a connection that broke."""
        return host_silent(self.target) if self.fell_silent else connection_lost(self.target)

    def close(self) -> None:
        """Close the connection; every channel's reader ends now."""
        close_transport(self._transport)

    def _open(self, opener: Callable[[], ByteChannel]) -> ByteChannel:
        try:
            return opener()
        except paramiko.ChannelException as exc:
            raise ChannelRefused(str(exc)) from exc
        except NoAnswer as exc:
            # No refusal, after which another way would be tried, each for as long again.
            if not self.is_open:
                raise self.lost() from exc
            raise ConnectionLost(
                f"{self.target.label}: the SSH server does not answer when it is asked for a channel.",
                fix="The host may be overloaded: look at its load and at sshd's log (journalctl -u ssh).",
            ) from exc
        except (paramiko.SSHException, EOFError, OSError) as exc:
            if self.is_open:
                raise ChannelRefused(str(exc)) from exc
            raise self.lost() from exc


def connection_lost(target: ConnectionTarget) -> ConnectionLost:
    """The error for a connection to the target that broke."""
    return ConnectionLost(
        f"{target.label}: the SSH connection was lost.",
        fix="SSM reconnects by itself. If this repeats, check the network and the host's SSH log.",
    )


def host_silent(target: ConnectionTarget) -> ConnectionLost:
    """The error for a host that is not heard any more."""
    return ConnectionLost(
        f"{target.label}: the host no longer answers: its SSH connection was given up.",
        fix="SSM reconnects by itself once the host is back. Check its power and network, and the way to it.",
    )


def _read_all(receive: Callable[[int], bytes], channel: ByteChannel, deadline: Deadline) -> bytes:
    pieces, size = [], 0
    while size < OUTPUT_LIMIT:
        channel.settimeout(max(0.01, deadline.left_s))
        data = receive(OUTPUT_LIMIT - size)
        if not data:
            break
        pieces.append(data)
        size += len(data)
    return b"".join(pieces)


# ---- opening: the three steps are functions of their own, so that the connection test can tell them apart


def start_transport(target: ConnectionTarget, raw: "AnySocket", deadline: Deadline) -> tuple[Transport, PinnedKey]:
    """Negotiate encryption over a connected socket; the transport and the host key that the server proved.

    The key is not judged yet and nobody is logged in. ConnectionTimedOut, NotSsh or ConnectionLost.
    """
    transport = Transport(
        ReadAheadSocket(raw),
        wanted_algorithms(target.pinned_keys, certified=bool(target.authorities)),
        legacy=target.legacy_algorithms,
        compression=target.compression,
        ask_after_s=None if target.keepalive_s == DEFAULT_KEEPALIVE_S else target.keepalive_s,
    )
    transport.banner_timeout = transport.handshake_timeout = max(0.1, deadline.left_s)
    try:
        transport.start_client(timeout=deadline.left_s)
        if not transport.initial_kex_done or transport.host_key is None:
            raise timed_out(target, "its SSH greeting and key exchange")
        return transport, public_key(transport.host_key)
    except BaseException as exc:
        close_transport(transport)
        if isinstance(exc, DeviceError) or not isinstance(exc, paramiko.SSHException | EOFError | OSError | ValueError):
            raise
        raise _negotiation_error(target, exc, deadline) from exc


def finish_session(target: ConnectionTarget, transport: Transport, shown: PinnedKey, deadline: Deadline) -> SshSession:
    """Log in over a transport whose key was accepted, and tune the connection. Closes it on any failure.

    AuthenticationFailed, KeyUnreadable, ConnectionTimedOut, ConnectionLost.
    """
    try:
        try:
            log_in(transport, target, deadline)
        except (paramiko.SSHException, EOFError, OSError) as exc:
            if deadline.is_over:
                raise timed_out(target, "the answer to the log-in") from exc
            raise connection_lost(target) from exc
        transport.settle()
        session = SshSession(target, transport, shown)
        _turn_off_delay(session, deadline)
        return session
    except BaseException:
        close_transport(transport)
        raise


def open_session(target: ConnectionTarget, handshakes: AbstractContextManager[object] | None = None) -> SshSession:
    """Resolve, connect, check the host key and log in, all within the target's ``connect_timeout_s``.

    The key is judged before anything of the credential is sent. The SSH handshake runs inside ``handshakes`` (a
    semaphore that bounds their number); time spent waiting for that does not count, and a host that does not even
    accept TCP takes no place in it. Raises the DeviceErrors of the steps.
    """
    deadline = Deadline(total_connect_s(target))
    raw: AnySocket = connect_first(target, deadline)
    waiting_since = time.monotonic()
    with _closing_on_failure(raw), handshakes or nullcontext():
        deadline.extend(time.monotonic() - waiting_since)
        for position, hop in enumerate(target.hops):
            raw = pass_through(_handshake(hop, raw, deadline), next_of(target, position), deadline)
        return _handshake(target, raw, deadline)


def total_connect_s(target: ConnectionTarget) -> float:
    """The time for all of the way: the target's own, and as much again for each jump host (theirs, at most)."""
    return target.connect_timeout_s + sum(hop.connect_timeout_s for hop in target.hops)


def connect_first(target: ConnectionTarget, deadline: Deadline) -> socket.socket:
    """The one real TCP connection: to the nearest jump host if there are any, through the proxy if there is one."""
    nearest = target.hops[0] if target.hops else target
    proxy = target.proxy or nearest.proxy
    if proxy is not None:
        return connect_through(proxy, nearest, deadline)
    return connect(nearest, resolve(nearest, deadline), deadline)


def next_of(target: ConnectionTarget, position: int) -> ConnectionTarget:
    """Where the jump host at ``position`` has to lead to."""
    return (*target.hops, target)[position + 1]


def pass_through(carrier: SshSession, there: ConnectionTarget, deadline: Deadline) -> "CarriedSocket":
    """A way to the next server through a jump host, which belongs to it from now on. Closes it on any failure."""
    try:
        channel = carrier.open_tcp(there.address, there.port, max(0.1, deadline.left_s))
    except ChannelRefused as exc:
        carrier.close()
        raise JumpRefused(
            f"{carrier.target.label} lets us in, but gives no way to {there.address} port {there.port}.",
            fix="Check that it reaches this address itself, and that its sshd_config has AllowTcpForwarding yes and no "
            "PermitOpen that forbids it.",
        ) from exc
    except BaseException:
        carrier.close()
        raise
    return CarriedSocket(channel, carrier)


class CarriedSocket:
    """A channel of a jump host's session in the shape of a socket; closing it closes the jump host's connection."""

    def __init__(self, channel: ByteChannel, carrier: SshSession) -> None:
        self._channel = channel
        self._carrier = carrier

    def recv(self, size: int) -> bytes:
        """1 to ``size`` bytes; empty at the end. OSError when the jump host fell silent, TimeoutError in time."""
        data = self._channel.recv(size)
        if not data and self._carrier.fell_silent:
            raise OSError(errno.EHOSTUNREACH, "the jump host is silent")
        return data

    def send(self, data: bytes) -> int:
        """Send some of ``data``, return how many bytes."""
        return self._channel.send(data)

    def settimeout(self, seconds: float | None) -> None:
        """Longest wait of one `recv` or `send`."""
        self._channel.settimeout(seconds)

    def getpeername(self) -> object:
        """The address of the nearest server: the host's own is the jump host's affair."""
        return self._channel.getpeername()

    def shutdown(self, _how: int) -> None:
        """End both directions."""
        self._channel.close()

    def close(self) -> None:
        """Close the channel and the connection that carries it."""
        self._channel.close()
        self._carrier.close()


AnySocket = socket.socket | CarriedSocket


@contextmanager
def _closing_on_failure(raw: AnySocket) -> Iterator[None]:
    # Whoever takes over a socket closes it himself; this is for the time of waiting for a place.
    try:
        yield
    except BaseException:
        raw.close()
        raise


def _handshake(target: ConnectionTarget, raw: AnySocket, deadline: Deadline) -> SshSession:
    transport, shown = start_transport(target, raw, deadline)
    try:
        check_host_key(target, shown)
    except BaseException:
        close_transport(transport)
        raise
    return finish_session(target, transport, shown, deadline)


def _turn_off_delay(session: SshSession, deadline: Deadline) -> None:
    """Make sshd set TCP_NODELAY on its side, which it does only once a session channel has existed.

    Without, each answer waits up to 40 ms for our acknowledgement. A host that refuses sessions works all the same.
    """
    try:
        channel = session.open_program("true", max(0.1, deadline.left_s))
    except ChannelRefused:
        return
    try:
        # A key that is tied to one command runs that instead, which may wait for us in turn.
        channel.status_event.wait(min(DELAY_OFF_S, deadline.left_s))
    finally:
        channel.close_and_wait()


def close_transport(transport: Transport) -> None:
    """Close a transport in any state, with the threads that belong to it."""
    # A failed handshake leaves the library's timer thread running until it fires.
    transport.packetizer.complete_handshake()
    transport.close()
    transport.sock.close()


def _negotiation_error(target: ConnectionTarget, exc: BaseException, deadline: Deadline) -> DeviceError:
    text = str(exc)
    where = f"{target.address} port {target.port}"
    if isinstance(exc, IncompatiblePeer):
        return NotSsh(
            f"{target.label}: the SSH server on {where} has no algorithm in common with SSM.",
            fix="Update the host's OpenSSH: it must offer an Ed25519, ECDSA or RSA (SHA-2) host key and AES. Else "
            "allow outdated algorithms for this device.",
        )
    if deadline.is_over or "timed out" in text or isinstance(exc, TimeoutError):
        return timed_out(target, "its SSH greeting")
    if "Indecipherable" in text or "Invalid SSH banner" in text or isinstance(exc, ValueError):
        return NotSsh(f"{target.label}: what answers on {where} is not an SSH server.", fix="Check the port.")
    return ConnectionLost(
        f"{target.label}: {where} closed the connection during the SSH greeting.",
        fix="The server may limit log-ins that start at once (MaxStartups), ban this address, or not be SSH.",
    )
