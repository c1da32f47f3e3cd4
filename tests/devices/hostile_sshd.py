"""SSH servers that mean ill, in a process of their own, so that what they send does not count as our memory.

Run as ``python -m tests.devices.hostile_sshd``: prints host key and ports, and serves until it is killed. The first
kind speaks raw bytes, the second is a server of the SSH library that misbehaves after the handshake.
"""

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.message import Message

GREETING = b"SSH-2.0-OpenSSH_9.2\r\n"
MSG_IGNORE, MSG_DEBUG, MSG_KEXINIT, MSG_BANNER, MSG_GLOBAL = 2, 4, 20, 53, 80
MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED = 94, 95
KIBIBYTE = 1024


# ---- raw bytes


def endless_line(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"a" * 64 * KIBIBYTE)


def endless_lines(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"welcome to this server\r\n" * 1000)


def slow_lines(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"one moment please\r\n")
        time.sleep(0.2)


def slow_letters(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"S")
        time.sleep(0.2)


def huge_packet(connection: socket.socket) -> None:
    connection.sendall(GREETING + struct.pack(">IB", 0x7FFFFFFC, 4))
    while True:
        connection.sendall(b"\x00" * 64 * KIBIBYTE)


def slow_handshake(connection: socket.socket) -> None:
    connection.sendall(GREETING + struct.pack(">IB", 20_000, 4))
    while True:
        connection.sendall(b"\x00")
        time.sleep(0.2)


def ignored_before_keys(connection: socket.socket) -> None:
    connection.sendall(GREETING)
    packet = struct.pack(">IBBI", 0, 6, MSG_IGNORE, 16) + b"x" * 16 + b"\x00" * 6
    packet = struct.pack(">I", len(packet) - 4) + packet[4:]
    while True:
        connection.sendall(packet * 1000)


RAW: dict[str, Callable[[socket.socket], None]] = {
    "endless-line": endless_line,
    "endless-lines": endless_lines,
    "slow-lines": slow_lines,
    "slow-letters": slow_letters,
    "huge-packet": huge_packet,
    "slow-handshake": slow_handshake,
    "ignored-before-keys": ignored_before_keys,
}


# ---- after the handshake


class Server(paramiko.ServerInterface):
    """Lets everybody in, opens every channel, starts every command, and then does what its behaviour says."""

    def __init__(self, transport: paramiko.Transport, behaviour: str) -> None:
        self.transport = transport
        self.behaviour = behaviour

    def get_allowed_auths(self, username: str) -> str:
        return "password,keyboard-interactive" if self.behaviour == "endless-prompts" else "password"

    def check_auth_none(self, username: str) -> int:
        return int(paramiko.AUTH_FAILED)

    def check_auth_password(self, username: str, password: str) -> int:
        if self.behaviour == "banner-flood":
            self.flood(lambda: packet(MSG_BANNER, b"come in " * 1000, b"en"))
        if self.behaviour == "no-answer":
            time.sleep(3600)
        if self.behaviour == "endless-partial":
            return int(paramiko.AUTH_PARTIALLY_SUCCESSFUL)
        return int(paramiko.AUTH_FAILED if self.behaviour == "endless-prompts" else paramiko.AUTH_SUCCESSFUL)

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        return paramiko.InteractiveQuery("again", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> Any:
        return paramiko.InteractiveQuery("again", "", ("Password: ", False))

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.behaviour == "no-channel":
            time.sleep(3600)
        if kind != "session":
            threading.Thread(target=self.talk, args=(chanid,), daemon=True).start()
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self.run, args=(channel, command), daemon=True).start()
        return True

    def run(self, channel: paramiko.Channel, command: bytes) -> None:
        """A command; an honest one ends at once."""
        if self.behaviour == "no-exit":
            return
        time.sleep(0.05)
        channel.send_exit_status(0)
        channel.close()

    def talk(self, number: int) -> None:
        """The engine's socket."""
        time.sleep(0.1)
        channel: Any = self.transport._channels.get(number)
        theirs = channel.remote_chanid
        if self.behaviour == "beyond-the-window":
            self.flood(lambda: packet(MSG_CHANNEL_DATA, theirs, b"x" * 32 * KIBIBYTE))
        elif self.behaviour == "errors-beyond-the-window":
            self.flood(lambda: packet(MSG_CHANNEL_EXTENDED, theirs, 1, b"x" * 32 * KIBIBYTE))
        elif self.behaviour == "empty-data":
            self.flood(lambda: packet(MSG_CHANNEL_DATA, theirs, b""))
        elif self.behaviour == "ignored":
            self.flood(lambda: packet(MSG_IGNORE, b"x" * 100))
        elif self.behaviour == "questions":
            self.flood(lambda: packet(MSG_GLOBAL, b"are-you-there", True))
        elif self.behaviour == "new-keys":
            while True:
                self.transport.renegotiate_keys()

    def flood(self, make: Callable[[], Message]) -> None:
        """Send one packet after the other for as long as it goes."""
        with contextlib.suppress(Exception):
            while self.transport.is_active():
                self.transport._send_message(make())


POLITE = (
    "banner-flood",
    "no-answer",
    "endless-partial",
    "endless-prompts",
    "no-channel",
    "no-exit",
    "beyond-the-window",
    "errors-beyond-the-window",
    "empty-data",
    "ignored",
    "questions",
    "new-keys",
)


def packet(kind: int, *fields: bytes | int | bool) -> Message:
    """A packet of the protocol."""
    message = Message()
    message.add_byte(bytes([kind]))
    for field in fields:
        if isinstance(field, bool):
            message.add_boolean(field)
        elif isinstance(field, int):
            message.add_int(field)
        else:
            message.add_string(field)
    return message


def serve() -> None:
    """Serve each behaviour on a port of its own, for ever."""
    key = paramiko.ECDSAKey.generate()
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in (*RAW, *POLITE)}
    ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    print(json.dumps({"key_type": key.get_name(), "key_base64": key.get_base64(), "ports": ports}), flush=True)
    for name, listener in listeners.items():
        threading.Thread(target=_accept, args=(listener, name, key)).start()


def _accept(listener: socket.socket, behaviour: str, key: paramiko.PKey) -> None:
    while True:
        connection, _peer = listener.accept()
        threading.Thread(target=_talk, args=(connection, behaviour, key), daemon=True).start()


def _talk(connection: socket.socket, behaviour: str, key: paramiko.PKey) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        if behaviour in RAW:
            RAW[behaviour](connection)
        else:
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.start_server(server=Server(transport, behaviour))


@dataclass(frozen=True, slots=True)
class HostileServers:
    """They share a host key; each behaviour has a port."""

    key_type: str
    key_base64: str
    ports: Mapping[str, int]


@contextlib.contextmanager
def hostile_servers() -> Iterator[HostileServers]:
    """All of them, on free loopback ports, until the end of the block."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.devices.hostile_sshd"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield HostileServers(**json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


if __name__ == "__main__":
    serve()
