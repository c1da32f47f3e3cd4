"""A stand-in for Docker Engines whose hosts are watched: containers to read in full, and a stream of events.

As silent as an idle host: `/events` is opened and tells nothing, unless EVENTS_PER_S says otherwise.

    python -m tests.bench.standin SOCKET CONTAINERS [EVENTS_PER_S]
"""

import asyncio
import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

_IMAGE: Final = "sha256:" + hashlib.sha256(b"image").hexdigest()
_MADE: Final = "2026-01-02T03:04:05.000000006Z"


def engine_ids(count: int) -> list[str]:
    """The ids of the containers."""
    return [hashlib.sha256(f"container {number}".encode()).hexdigest() for number in range(count)]


def listed(number: int, engine_id: str) -> dict[str, Any]:
    """An entry of the list of containers, as Docker 28 tells it."""
    return {
        "Id": engine_id,
        "Names": [f"/service-{number}"],
        "Image": "demo/service:1.0.0",
        "ImageID": _IMAGE,
        "Command": "/bin/service --serve",
        "Created": 1767323045,
        "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8000 + number, "Type": "tcp"}],
        "Labels": _labels(number),
        "State": "running",
        "Status": "Up 2 days",
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {}},
        "Mounts": [],
    }


def inspected(number: int, engine_id: str) -> dict[str, Any]:
    """The answer about one container."""
    return {
        "Id": engine_id,
        "Created": _MADE,
        "Path": "/bin/service",
        "Args": ["--serve"],
        "State": {
            "Status": "running",
            "Running": True,
            "Pid": 1000 + number,
            "ExitCode": 0,
            "StartedAt": _MADE,
            "FinishedAt": "0001-01-01T00:00:00Z",
        },
        "Image": _IMAGE,
        "Name": f"/service-{number}",
        "RestartCount": 0,
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}, "Memory": 0},
        "Mounts": [{"Type": "volume", "Name": "data", "Source": "/data", "Destination": "/data", "RW": True}],
        "Config": {
            "Image": "demo/service:1.0.0",
            "Env": [f"VARIABLE_{place}=value {place}" for place in range(20)],
            "Cmd": ["--serve"],
            "Entrypoint": ["/bin/service"],
            "Labels": _labels(number),
        },
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(8000 + number)}]},
            "Networks": {"bridge": {"IPAddress": f"172.17.0.{2 + number % 250}", "NetworkID": "n" * 64}},
        },
    }


def _labels(number: int) -> dict[str, str]:
    return {"com.docker.compose.project": "bench", "com.docker.compose.service": f"service-{number}"}


class Engine(asyncio.Protocol):
    """One connection: requests one after the other, each answered at once; an event stream stays open."""

    ids: Final[list[str]] = []
    events_per_s: float = 0.0

    def __init__(self) -> None:
        self._buffer = b""
        self._teller: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._teller:
            self._teller.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            request, _end, self._buffer = self._buffer.partition(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].split(b"?")[0].decode()
            if path.endswith("/events"):
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                if self.events_per_s:
                    self._teller = asyncio.ensure_future(self._tell())
                continue
            body = json.dumps(self._answer(path)).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self._transport.write(head % len(body) + body)

    def _answer(self, path: str) -> Any:
        parts = path.split("/")
        if path.endswith("/containers/json"):
            return [listed(number, engine_id) for number, engine_id in enumerate(self.ids)]
        if "/containers/" in path and parts[-2] in self.ids:
            return inspected(self.ids.index(parts[-2]), parts[-2])
        if path.endswith("/images/json"):
            return []
        if path.endswith("/info"):
            clock = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            return {"ID": "stand-in", "MemTotal": 8 * 2**30, "NCPU": 4, "SystemTime": clock}
        return {"ApiVersion": "1.51", "MinAPIVersion": "1.24", "Version": "0.0-stand-in"}

    async def _tell(self) -> None:
        """Restarts of the first container, over and over."""
        while True:
            await asyncio.sleep(1 / self.events_per_s)
            for action in ("die", "start"):
                actor = {"ID": self.ids[0], "Attributes": {"name": "service-0", "exitCode": "1"}}
                line = json.dumps({"Type": "container", "Action": action, "Actor": actor, "timeNano": time.time_ns()})
                self._transport.write(b"%x\r\n%s\n\r\n" % (len(line) + 1, line.encode()))


async def _serve(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Engine, path, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    Engine.ids.extend(engine_ids(int(sys.argv[2])))
    Engine.events_per_s = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    asyncio.run(_serve(sys.argv[1]))
