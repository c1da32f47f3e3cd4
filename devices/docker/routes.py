"""What the Engine client needs to know of the way to the engine: sessions, routes through them, and channels."""

from typing import Any, Protocol

from devices.errors import DeviceError
from devices.rules.host_keys import PinnedKey
from devices.ssh.session import ProgramResult

STREAMLOCAL = "streamlocal"
DIAL_STDIO = "dial-stdio"
DIAL_STDIO_SUDO = "dial-stdio-sudo"
# Without SSH, a route is called as the target's transport.


class Channel(Protocol):
    """A stream of bytes to an engine and back. One reader; `close` may be called from any thread."""

    @property
    def is_fresh(self) -> bool:
        """True while open at both ends with nothing unread, so that a new request may be sent on it."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Longest wait of one `recv` or `sendall`."""

    def recv(self, size: int, /) -> bytes:
        """1 to ``size`` bytes; empty at the end. TimeoutError."""

    def sendall(self, data: Any, /) -> Any:
        """Send all of ``data``. TimeoutError, OSError."""

    def close(self) -> None:
        """End it; whoever reads ends now."""


class Session(Protocol):
    """What a route's channels belong to: an SSH connection, or the connections of a device without SSH."""

    @property
    def host_key(self) -> PinnedKey | None:
        """The key that the host proved, over SSH."""

    @property
    def is_open(self) -> bool:
        """False once it was closed or found dead."""

    @property
    def fell_silent(self) -> bool:
        """True when it ended because the host was not heard any more."""

    @property
    def has_signs_of_life(self) -> bool:
        """False if nothing shows that the host lives since the last `ask_for_life`."""

    def ask_for_life(self) -> None:
        """Ask the host for a sign of life; does not wait."""

    def run(self, arguments: list[str], timeout_s: float, stdin: bytes = b"") -> ProgramResult:
        """Run one short program on the host. ChannelRefused where that is not to be had."""

    def open_tcp(self, address: str, port: int, timeout_s: float) -> Channel:
        """A channel to a TCP port as the host reaches it. ChannelRefused where that is not to be had."""

    def lost(self) -> DeviceError:
        """The error for whoever was using it when it ended."""

    def close(self) -> None:
        """End it and every channel."""


class Route(Protocol):
    """One way to open channels to an engine's socket."""

    kind: str
    most_requests: int
    most_streams: int

    def open(self, timeout_s: float) -> Channel:
        """A channel that speaks HTTP with the engine; ChannelRefused or a DeviceError."""

    def explain(self, channel: Any) -> DeviceError:
        """Why the route gave no channel (None), or one that ended without a single byte of an answer."""
