"""Requests to a host's engine on its own local socket: what a person on that host would do."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from tests.fleet.errors import FleetError

GOOD = frozenset({200, 201, 204, 304})


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


def request(
    path_to_socket: Path, method: str, path: str, body: object = None, *, timeout_s: float = 60
) -> tuple[int, bytes]:
    """Send one request and return status and whole body.

    Bytes are sent as a tar archive, anything else as JSON. Raises OSError or HTTPException when the engine is away.
    """
    connection = _UnixConnection(path_to_socket, timeout_s)
    headers = {}
    content: bytes | None = None
    if isinstance(body, bytes):
        content, headers["Content-Type"] = body, "application/x-tar"
    elif body is not None:
        content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def request_json(path_to_socket: Path, method: str, path: str, body: object = None, *, timeout_s: float = 60) -> Any:
    """Send one request and return its decoded answer; None when the engine answers without a body.

    Raises FleetError with the engine's message for every status but 200, 201, 204 and 304.
    """
    status, data = request(path_to_socket, method, path, body, timeout_s=timeout_s)
    if status not in GOOD:
        raise FleetError(f"{method} {path}: status {status}: {data[:400].decode(errors='replace').strip()}")
    if not data.strip():
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")  # progress reports: one JSON object a line
