"""TCP to an SSH server: look-up and connect within a deadline, and a socket that reads far ahead."""

import contextlib
import errno
import ipaddress
import queue
import socket
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from devices.errors import ConnectionRefused, ConnectionTimedOut, HostUnreachable, NameNotFound
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text

READ_AHEAD_BYTES = 128 * 1024
# A read that waits holds its buffer all the time, in each of hundreds of idle connections.
IDLE_READ_BYTES = 4 * 1024
# A host that vanished is noticed within 16 s, whether something is under way to it or not.
TCP_IDLE_S, TCP_INTERVAL_S, TCP_PROBES, TCP_DEAD_MS = 8, 4, 2, 16_000
_FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_NO_ADDRESS = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)
# What the kernel says of a peer that it gave up.
_SILENCE = frozenset([errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that a name stands for."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]

    @property
    def text(self) -> str:
        return str(self.address[0])


class Deadline:
    """A moment on the monotonic clock, and how far it is away in seconds."""

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def extend(self, seconds: float) -> None:
        """Move the moment, for time that was spent waiting on ourselves."""
        self.at += seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.at


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[Endpoint]:
    infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    found = [Endpoint(info[0], info[4]) for info in infos]  # type: ignore[arg-type]
    return list(dict.fromkeys(found))


def resolve(target: ConnectionTarget, deadline: Deadline) -> list[Endpoint]:
    """Addresses of the target's host, of the wanted family, in the system's order of preference.

    The system's resolver knows no time-out, so a name is looked up in a thread of its own that is left behind
    when the deadline passes (it ends by itself when the resolver gives up). NameNotFound or ConnectionTimedOut.
    """
    family = _FAMILIES[target.address_family]
    try:
        known = ipaddress.ip_address(target.address.partition("%")[0])
    except ValueError:
        pass
    else:
        if family not in (socket.AF_UNSPEC, socket.AF_INET if known.version == 4 else socket.AF_INET6):
            raise _wrong_family(target)
        return _look_up(target.address, target.port, family)
    answer: queue.SimpleQueue[list[Endpoint] | OSError | UnicodeError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answer.put(_look_up(target.address, target.port, family))
        except (OSError, UnicodeError) as exc:
            answer.put(exc)

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    try:
        result = answer.get(timeout=deadline.left_s)
    except queue.Empty as exc:
        raise ConnectionTimedOut(
            f"{target.label}: the name {target.address} could not be resolved in time.",
            fix="Check the name servers of the machine that SSM runs on, or use the IP address.",
        ) from exc
    if isinstance(result, socket.gaierror) and result.errno in _NO_ADDRESS and family != socket.AF_UNSPEC:
        raise _wrong_family(target) from result
    if isinstance(result, Exception):
        raise NameNotFound(
            f"{target.label}: the host name {target.address} is not known.",
            fix="Check the spelling, the DNS or /etc/hosts of the machine that SSM runs on, or use the IP address.",
        ) from result
    return result


def _wrong_family(target: ConnectionTarget) -> NameNotFound:
    wanted = "IPv4" if target.address_family == "ipv4" else "IPv6"
    return NameNotFound(
        f"{target.label}: {target.address} has no {wanted} address, and the device is set to {wanted} only.",
        fix=f"Allow both families for this device, or give it an {wanted} address.",
    )


def connect(target: ConnectionTarget, endpoints: list[Endpoint], deadline: Deadline) -> socket.socket:
    """Connect to the first endpoint that accepts, sharing the time that is left among those not tried yet.

    Raises ConnectionRefused, ConnectionTimedOut or HostUnreachable, for the last endpoint tried.
    """
    failure: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for position, endpoint in enumerate(endpoints):
        raw = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            raw.settimeout(max(0.05, deadline.left_s / (len(endpoints) - position)))
            raw.connect(endpoint.address)
            _tune(raw)
        except OSError as exc:
            raw.close()
            failure = exc
        else:
            return raw
    raise _connect_error(target, failure) from failure


def _tune(raw: socket.socket) -> None:
    # No delay: requests are small and each waits for its answer. Keepalive and the user time-out let the kernel
    # give up on a peer that vanished without a word after 16 s instead of 15 minutes.
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", TCP_IDLE_S),
        ("TCP_KEEPINTVL", TCP_INTERVAL_S),
        ("TCP_KEEPCNT", TCP_PROBES),
        ("TCP_USER_TIMEOUT", TCP_DEAD_MS),
    ):
        if hasattr(socket, option):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _connect_error(target: ConnectionTarget, exc: OSError) -> ConnectionRefused | ConnectionTimedOut | HostUnreachable:
    where = f"{target.address} port {target.port}"
    if exc.errno == errno.ECONNREFUSED:
        return ConnectionRefused(
            f"{target.label}: {where} refused the connection.",
            fix="Check the port, and that the SSH server runs on the host (systemctl status ssh).",
        )
    if isinstance(exc, TimeoutError) or exc.errno == errno.ETIMEDOUT:
        return ConnectionTimedOut(
            f"{target.label}: {where} did not answer within {target.connect_timeout_s:g} s.",
            fix="Check that the host is up and that no firewall drops connections to this port.",
        )
    return HostUnreachable(
        f"{target.label}: there is no way to {where} ({clean_text(exc.strerror or str(exc), 100)}).",
        fix="Check the address, the host's power and network, and the route or VPN between SSM and the host.",
    )


class RawSocket(Protocol):
    """What a connection is read from and written to: a socket, or a channel of a jump host."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes, /) -> int: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def getpeername(self) -> object: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class ReadAheadSocket:
    """A connected socket, in the shape that the SSH library asks for, that takes all there is in one system call.

    The library reads each packet in two or three small pieces; with each being a poll and a read, that costs more
    than the decryption. `close` wakes a blocked reader at once, which allows the library's long idle waits.
    ``fell_silent`` tells whether the connection ended because the peer was not heard any more.
    """

    def __init__(self, raw: "RawSocket") -> None:
        self._raw = raw
        self._ahead = b""
        self._position = 0
        self._read_bytes = IDLE_READ_BYTES
        self.last_heard = time.monotonic()
        self.fell_silent = False
        self._closed = False

    def recv(self, size: int) -> bytes:
        """1 to ``size`` bytes; empty at the end. TimeoutError after the set time without any."""
        position = self._position
        if position < len(self._ahead):
            data = self._ahead[position : position + size]
            self._position = position + len(data)
            return data
        try:
            ahead = self._raw.recv(self._read_bytes)
        except OSError as exc:
            if exc.errno in _SILENCE:
                self.fell_silent = True
                # ETIMEDOUT is a TimeoutError in Python, which the library takes for patience.
                raise EOFError("no sign of life") from exc
            raise
        self.last_heard = time.monotonic()
        # Where much comes there is more to come.
        self._read_bytes = READ_AHEAD_BYTES if len(ahead) >= self._read_bytes else max(IDLE_READ_BYTES, len(ahead))
        if len(ahead) <= size:
            return ahead
        self._ahead, self._position = ahead, size
        return ahead[:size]

    def send(self, data: bytes) -> int:
        """Send some of ``data``, return how many bytes."""
        try:
            return self._raw.send(data)
        except OSError as exc:
            # The kernel tells it once, to the reader or to the writer.
            self.fell_silent |= exc.errno in _SILENCE
            raise

    def settimeout(self, seconds: float | None) -> None:
        """Longest wait of one `recv` or `send`."""
        self._raw.settimeout(seconds)

    def getpeername(self) -> object:
        """The peer's address."""
        return self._raw.getpeername()

    def close(self) -> None:
        """Close; a reader that waits in another thread ends now."""
        self._closed = True
        with contextlib.suppress(OSError):  # not connected any more
            self._raw.shutdown(socket.SHUT_RDWR)
        self._raw.close()
