"""Small real servers that misbehave on purpose: on TCP ports of this machine, and on Unix sockets of fleet hosts."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fleet import Host

Behaviour = Callable[[socket.socket], None]


@contextlib.contextmanager
def serve(listener: socket.socket, behaviour: Behaviour) -> Iterator[None]:
    """Run ``behaviour`` in a thread of its own for each connection until the end of the block."""
    listener.listen(16)
    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            behaviour(connection)
        connection.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = listener.accept()
                connection.settimeout(30)
                accepted.append(connection)
                threads.append(threading.Thread(target=talk, args=(connection,), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield
    finally:
        for each in (listener, *accepted):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in (acceptor, *threads):
            thread.join(5)


@contextlib.contextmanager
def tcp_server(behaviour: Behaviour) -> Iterator[int]:
    """A server on a free loopback port; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    with serve(listener, behaviour):
        yield listener.getsockname()[1]


@contextlib.contextmanager
def unix_server(host: Host, behaviour: Behaviour, name: str = "odd.sock") -> Iterator[str]:
    """A server on a Unix socket that everybody on the host may use; gives the path as the host sees it."""
    outside = Path(f"/proc/{host.body.require_init()}/root/tmp/{name}")
    outside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(outside))
    outside.chmod(0o666)
    try:
        with serve(listener, behaviour):
            yield f"/tmp/{name}"
    finally:
        outside.unlink(missing_ok=True)


def read_request(connection: socket.socket) -> bytes:
    """One request's head and the body bytes that came with it; empty when the peer has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    return data


def answering(respond: Callable[[bytes, socket.socket], None]) -> Behaviour:
    """An engine that is well up to its version and then answers each request by ``respond``."""

    def behave(connection: socket.socket) -> None:
        while request := read_request(connection):
            if b" /version " in request:
                body = b'{"ApiVersion": "1.45", "MinAPIVersion": "1.24", "Version": "0.0-odd"}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            else:
                respond(request, connection)

    return behave
