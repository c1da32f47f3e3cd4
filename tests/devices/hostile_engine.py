"""Engines that mean ill, in a process of their own: endless, lying, slow and huge answers, each on a TCP port.

Run as ``python -m tests.devices.hostile_engine``: prints the ports as JSON, and serves until it is killed. Every one of
them tells its version as a good engine does.
"""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
VERSION = b'{"ApiVersion": "1.45", "MinAPIVersion": "1.24", "Version": "0.0-hostile"}'

Behaviour = Callable[[socket.socket], None]


def whole(body: bytes) -> Behaviour:
    """Answers with this body, of the right length."""
    return lambda connection: connection.sendall(OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Behaviour:
    """Sends the head, and then the piece again and again."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            if pause_s:
                time.sleep(pause_s)

    return behave


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


BEHAVIOURS: dict[str, Behaviour] = {
    "endless-body": endless(CHUNKED, _chunk(b" " * MEBIBYTE)),
    "endless-without-length": endless(OK + b"\r\n", b" " * MEBIBYTE),
    "endless-tiny-chunks": endless(CHUNKED, b"1\r\n \r\n" * 50_000),
    "endless-chunk-line": endless(CHUNKED, b"0" * MEBIBYTE),
    "endless-extension": endless(CHUNKED, b"1;" + b"x" * 1000 + b"\r\n \r\n"),
    "endless-trailers": endless(CHUNKED + b"0\r\n", b"A: b\r\n" * 1000),
    "endless-status-line": endless(b"HTTP/1.1 200 ", b"O" * MEBIBYTE),
    "endless-headers": endless(OK, b"X-Header: y\r\n" * 10_000),
    "endless-interim": endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 40_000),
    "huge-length": endless(OK + b"Content-Length: 99999999999\r\n\r\n", b" " * MEBIBYTE),
    "lying-length": lambda connection: connection.sendall(OK + b"Content-Length: 2\r\n\r\n[]" + b"x" * MEBIBYTE),
    "two-lengths": lambda connection: connection.sendall(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]"),
    "slow-body": endless(OK + b"Content-Length: 1000\r\n\r\n", b" ", 0.1),
    "slow-headers": endless(OK, b"X: y\r\n", 0.1),
    "deep-lists": whole(b"[" * 500_000 + b"]" * 500_000),
    "deep-objects": whole(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "many-values": whole(b"[" + b"{}," * 8_000_000 + b"{}]"),
    "not-a-list": whole(b'{"Id": "x"}'),
}


def serve() -> None:
    """Serve each behaviour on a port of its own, for ever."""
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in BEHAVIOURS}
    print(json.dumps({name: listener.getsockname()[1] for name, listener in listeners.items()}), flush=True)
    for name, listener in listeners.items():
        threading.Thread(target=_accept, args=(listener, BEHAVIOURS[name])).start()


def _accept(listener: socket.socket, behaviour: Behaviour) -> None:
    while True:
        connection, _peer = listener.accept()
        threading.Thread(target=_talk, args=(connection, behaviour), daemon=True).start()


def _talk(connection: socket.socket, behaviour: Behaviour) -> None:
    with contextlib.suppress(OSError), connection:
        while request := connection.recv(65536):
            if b" /version " in request:
                whole(VERSION)(connection)
            else:
                behaviour(connection)


@contextlib.contextmanager
def hostile_engines() -> Iterator[Mapping[str, int]]:
    """Their ports, by behaviour, until the end of the block."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.devices.hostile_engine"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


if __name__ == "__main__":
    serve()
