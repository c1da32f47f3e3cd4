"""One Redis of this checkout on the loopback address, with a password and an append-only file."""

import os
import signal
import socket
from dataclasses import dataclass, field

from ssm.services.binaries import Binaries
from ssm.services.layout import Layout, disk_errors, make_private_directory
from ssm.services.ports import LOOPBACK
from ssm.services.programs import Program


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """How to reach the server."""

    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"


def write_configuration(layout: Layout, access: RedisAccess, *, durable: bool = True) -> None:
    """Write redis.conf anew at every start: the password must not stand in the process list."""
    directory = make_private_directory(layout.servers / "redis", layout.account)
    lines = [
        f"bind {LOOPBACK}",
        f"port {access.port}",
        f"requirepass {access.password}",
        "daemonize no",
        "loglevel warning",
        "databases 1",
        # Tasks in the queue survive a restart, at most the last second is lost; a snapshot would cost a fork.
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        'save ""',
        # Never drop a queued task to make room: refuse writes instead.
        "maxmemory-policy noeviction",
        f'dir "{directory}"',
    ]
    path = directory / "redis.conf"
    with disk_errors(path):
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
        if layout.account:
            os.chown(path, layout.account.uid, layout.account.gid)


def program(layout: Layout, binaries: Binaries) -> Program:
    """The server in the foreground."""
    directory = layout.servers / "redis"
    return Program(
        name="redis",
        command=(binaries["redis-server"], str(directory / "redis.conf")),
        stage=0,
        directory=directory if layout.account is None else directory.parent,
        account=layout.account,
        death_signal=signal.SIGTERM,
        stop_seconds=4,
        leftover=r"Address already in use",
        # Redis says these at every start and end, whatever its log level.
        hide=r"# (oO0Oo|Redis version|Configuration loaded|Server initialized|WARNING Memory over|User requested)|"
        r"Received SIGTERM|ready to exit",
    )


def is_ready(access: RedisAccess) -> bool:
    """Whether the server answers and has read its file; waits at most two seconds."""
    request = f"AUTH {access.password}\r\nPING\r\n".encode()
    try:
        with socket.create_connection((LOOPBACK, access.port), timeout=2) as connection:
            connection.sendall(request)
            answer = b""
            while answer.count(b"\r\n") < 2 and (chunk := connection.recv(1024)):
                answer += chunk
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"
