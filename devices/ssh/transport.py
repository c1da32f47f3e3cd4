"""The SSH library's transport, bent to our needs: socket channels, large reads, cheap idling, noticing dead peers."""

import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    cMSG_CHANNEL_CLOSE,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.message import Message

from devices.ssh import life
from devices.ssh.algorithms import LEGACY_CIPHERS, LEGACY_KEX, LEGACY_KEYS, LEGACY_MACS, BoundedInflater
from devices.ssh.bounds import BoundedPacketizer
from devices.ssh.channels import PACKET_BYTES, WINDOW_BYTES, ByteChannel
from devices.ssh.sockets import ReadAheadSocket

STREAMLOCAL = "direct-streamlocal@openssh.com"


class NoAnswer(paramiko.SSHException):
    """The server neither opens a channel nor refuses it."""


class Transport(paramiko.Transport):
    """A client transport with fast ciphers first, asked-for host key types, and channels of our own kind."""

    # The library's own, which its type stubs leave out.
    active: bool
    _channel_handler_table: dict[int, Any]
    _channels: Any
    in_kex: bool
    _next_channel: Callable[[], int]
    _send_message: Callable[[Message], None]
    _send_user_message: Callable[[Message], None]
    _filter_algorithm: Callable[[str], tuple[str, ...]]
    _compression_info: dict[str, tuple[Any, Any]]
    _preferred_compression: tuple[str, ...]
    _preferred_kex: tuple[str, ...]
    _kex_info: dict[str, Any]
    _key_info: dict[str, Any]
    server_extensions: dict[str, bytes]

    # AES-GCM needs no MAC and is one call in the crypto library: a fifth faster in all than the default's CTR mode.
    # CBC modes and SHA-1 or MD5 MACs are not offered.
    _preferred_ciphers: tuple[str, ...] = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    )
    _preferred_macs: tuple[str, ...] = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )

    def __init__(
        self,
        sock: ReadAheadSocket,
        host_key_algorithms: tuple[str, ...],
        *,
        legacy: bool = False,
        compression: bool = False,
        ask_after_s: float | None = None,
    ) -> None:
        super().__init__(sock, WINDOW_BYTES, PACKET_BYTES, packetizer_class=BoundedPacketizer)  # type: ignore[arg-type]
        self._preferred_keys = host_key_algorithms
        self.ask_after_s = ask_after_s
        self._is_legacy = legacy
        if legacy:
            self._allow_legacy()
        self._compression_info = {
            **self._compression_info,
            "zlib@openssh.com": (self._compression_info["zlib@openssh.com"][0], BoundedInflater),
        }
        if compression:
            # Only the form that begins after the log-in: the other lets strangers reach the decompressor.
            self._preferred_compression = ("zlib@openssh.com", "none")
        self._read_ahead = sock
        self._channel_handler_table = {
            **self._channel_handler_table,
            MSG_CHANNEL_CLOSE: ByteChannel.handle_close,
            MSG_CHANNEL_DATA: ByteChannel.take,
            MSG_CHANNEL_EXTENDED_DATA: ByteChannel.take_extended,
        }
        self._asked_at = 0.0
        self.name = "ssh-transport"

    def _allow_legacy(self) -> None:
        """Offer outdated algorithms behind all good ones."""
        self._preferred_ciphers = (*self._preferred_ciphers, *LEGACY_CIPHERS)
        self._preferred_macs = (*self._preferred_macs, *LEGACY_MACS)
        self._preferred_kex = (*self._preferred_kex, *LEGACY_KEX)
        self._preferred_keys = (*self._preferred_keys, *LEGACY_KEYS)
        self._kex_info = {**self._kex_info, **LEGACY_KEX}
        self._key_info = {**self._key_info, **LEGACY_KEYS}

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Host key algorithms as they were asked for; the library would append every one's form with a certificate."""
        return tuple(self._filter_algorithm("keys"))

    @property
    def preferred_pubkeys(self) -> tuple[str, ...]:
        """Signature algorithms for our own key; servers that tell none are too old for RSA with SHA-2."""
        usual: tuple[str, ...] = self._filter_algorithm("pubkeys")
        if self._is_legacy and not self.server_extensions.get("server-sig-algs"):
            return ("ssh-rsa", *usual)
        return usual

    def settle(self) -> None:
        """After the log-in: sleep until something comes, and have the peer watched.

        The library wakes each connection ten times a second; 300 idle ones cost a sixth of a core that way.
        Nothing waits for those wake-ups: data and `close` wake the thread at once.
        """
        self._read_ahead.settimeout(None)
        life.watch.add(self)

    def run(self) -> None:
        """The library's thread; whatever ends it, nobody need ask for signs of life afterwards."""
        try:
            super().run()
        finally:
            life.watch.remove(self)

    @property
    def last_heard(self) -> float:
        """When anything came last (monotonic)."""
        return self._read_ahead.last_heard

    @property
    def asked_at(self) -> float:
        """When the peer was asked for a sign of life last (monotonic)."""
        return self._asked_at

    @property
    def fell_silent(self) -> bool:
        """True when the connection ended because nothing came any more, not because the peer closed it."""
        return self._read_ahead.fell_silent

    def give_up(self) -> None:
        """Close a connection whose peer is silent; readers and waiting requests end now."""
        self._read_ahead.fell_silent = True
        self._read_ahead.close()

    def ask_for_life(self) -> None:
        """Send a keepalive that wants a reply, unlike the library's own: any answer, also a refusal, proves life."""
        if self.in_kex:
            return  # it would wait for the peer's keys, which are a sign of life of their own
        self._asked_at = time.monotonic()
        message = Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._send_user_message(message)

    @property
    def has_signs_of_life(self) -> bool:
        """True if anything came since `ask_for_life` was last called."""
        return self._read_ahead.last_heard >= self._asked_at

    def open_socket(self, path: str, timeout_s: float) -> ByteChannel:
        """Open a channel to a Unix socket on the host (OpenSSH PROTOCOL, section 2.4)."""
        message = Message()
        message.add_string(path)
        message.add_string("")
        message.add_int(0)
        return self._open(STREAMLOCAL, timeout_s, message.asbytes())

    def open_tcp(self, address: str, port: int, timeout_s: float) -> ByteChannel:
        """Open a channel to a TCP port as the host sees it (RFC 4254, section 7.2)."""
        message = Message()
        message.add_string(address)
        message.add_int(port)
        message.add_string("127.0.0.1")
        message.add_int(0)
        return self._open("direct-tcpip", timeout_s, message.asbytes())

    def open_program(self, command: str, timeout_s: float) -> ByteChannel:
        """Open a session and start a command in the user's shell."""
        channel = self._open("session", timeout_s)
        # The library's `exec_command` waits for the server without an end.
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
        channel._event_pending()
        self._send_user_message(message)
        channel.event.wait(timeout_s)
        if not channel.event_ready:
            channel.close()
            raise paramiko.SSHException("the server did not start the command")
        return channel

    def _open(self, kind: str, timeout_s: float, fields: bytes = b"") -> ByteChannel:
        """Open a channel; the library's `open_channel` with other fields and our class.

        paramiko.ChannelException when the server refuses, NoAnswer on time-out, paramiko.SSHException when dead.
        """
        if not self.active:
            raise paramiko.SSHException("session is not active")
        with self.lock:
            number = self._next_channel()
            channel, opened = ByteChannel(number), threading.Event()
            self._channels.put(number, channel)
            self.channel_events[number] = opened
            self.channels_seen[number] = True
            channel._set_transport(self)
            channel._set_window(WINDOW_BYTES, PACKET_BYTES)
            channel.in_window_threshold = WINDOW_BYTES // 2
        message = Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string(kind)
        message.add_int(number)
        message.add_int(WINDOW_BYTES)
        message.add_int(PACKET_BYTES)
        message.add_bytes(fields)
        self._send_user_message(message)
        opened.wait(timeout_s)
        if channel.active and self.active:
            return channel
        if not self.active or not opened.is_set():
            # An answer that comes later finds no channel and is ignored, as `channels_seen` holds its number.
            channel._unlink()
            self.channel_events.pop(number, None)
            raise (
                paramiko.SSHException("session ended")
                if not self.active
                else NoAnswer("no answer to opening a channel")
            )
        # `saved_exception` belongs to the whole transport: another thread may have fetched ours already.
        error = self.get_exception()
        raise error if isinstance(error, paramiko.ChannelException) else paramiko.ChannelException(2, "refused")

    def _parse_channel_open_success(self, m: Message) -> None:
        """Take up a channel, or close it at the server when its opener has given up waiting."""
        number = m.get_int()
        if self._channels.get(number) is None:
            message = Message()
            message.add_byte(cMSG_CHANNEL_CLOSE)
            message.add_int(m.get_int())
            self._send_message(message)
            return
        m.rewind()
        super()._parse_channel_open_success(m)  # type: ignore[misc]
