"""Limits for what an SSH server may make us hold or work off: the library itself trusts its peer.

A packet's length is read into memory as announced, a greeting line without an end is collected for ever, and packets
that mean nothing cost processor time at the rate at which they come.
"""

import time
from typing import Any, Final

import paramiko
from paramiko.packet import Packetizer

# RFC 4253, section 6.1, asks for 35,000 bytes; OpenSSH sends and takes no more than this.
MOST_PACKET_BYTES: Final = 256 * 1024
# All lines before and with the greeting; RFC 4253 allows 255 bytes for the greeting itself.
MOST_GREETING_BYTES: Final = 64 * 1024
# Packets without any content for us: so many in so many seconds. sshd sends next to none.
IDLE_PACKETS: Final = 2000
IDLE_PACKETS_S: Final = 10.0
# New keys asked for by the server; OpenSSH does so each gigabyte or hour.
REKEYS: Final = 20
REKEYS_S: Final = 60.0

# Disconnecting aside, what is neither about a channel nor about logging in: ignore, unimplemented, debug, extension
# info, banner, global request and its answers.
_IDLE_KINDS: Final = frozenset({2, 3, 4, 7, 53, 80, 81, 82})
_KEX_INIT: Final = 20


class Budget:
    """So many of something in so many seconds; the count begins anew after each period."""

    __slots__ = ("_count", "_most", "_period_s", "_since")

    def __init__(self, most: int, period_s: float) -> None:
        self._most = most
        self._period_s = period_s
        self._since = time.monotonic()
        self._count = 0

    def spend(self) -> bool:
        """Count one more; False when that is one too many."""
        self._count += 1
        if self._count <= self._most:
            return True
        moment = time.monotonic()
        if moment - self._since < self._period_s:
            return False
        self._since, self._count = moment, 1
        return True


class BoundedPacketizer(Packetizer):
    """The library's reader of packets, that gives a connection up whose server goes beyond the limits."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._greeting_bytes = 0
        self._idle = Budget(IDLE_PACKETS, IDLE_PACKETS_S)
        self._rekeys = Budget(REKEYS, REKEYS_S)

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: FBT001, FBT002 - the library's signature
        """Exactly ``n`` bytes; paramiko.SSHException when a packet claims to be larger than any is."""
        if n > MOST_PACKET_BYTES:
            raise paramiko.SSHException("a packet that is too large")
        data: bytes = super().read_all(n, check_rekey)
        return data

    def read_message(self) -> tuple[int, Any]:
        """The next packet; paramiko.SSHException when too many came that mean nothing."""
        kind, message = super().read_message()
        if kind in _IDLE_KINDS and not self._idle.spend():
            raise paramiko.SSHException("a flood of packets without content")
        if kind == _KEX_INIT and not self._rekeys.spend():
            raise paramiko.SSHException("a flood of new keys")
        return kind, message

    def _read_timeout(self, timeout: float) -> bytes:
        """Some bytes of the greeting."""
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._greeting_bytes += len(data)
        if self._greeting_bytes > MOST_GREETING_BYTES:
            raise paramiko.SSHException("a greeting without an end")
        return data
