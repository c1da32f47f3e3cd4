"""What the Engine client needs to know of the way to the engine."""

from typing import Protocol

from devices.errors import DeviceError
from devices.ssh.transport import ByteChannel

STREAMLOCAL = "streamlocal"
DIAL_STDIO = "dial-stdio"
DIAL_STDIO_SUDO = "dial-stdio-sudo"


class Route(Protocol):
    """One way to open channels to an engine's socket."""

    kind: str
    most_requests: int
    most_streams: int

    def open(self, timeout_s: float) -> ByteChannel:
        """A channel that speaks HTTP with the engine; ChannelRefused or a DeviceError."""

    def explain(self, channel: ByteChannel | None) -> DeviceError:
        """Why the route gave no channel (None), or one that ended without a single byte of an answer."""
