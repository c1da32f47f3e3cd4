"""A port that is taken while a test runs."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def listening(port: int = 0) -> Iterator[int]:
    """Listen on the loopback address; gives the port."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen(1)
        yield server.getsockname()[1]
