"""A real sshd on loopback with a stand-in for an engine behind it: many hosts on a machine that has room for few.

The way to the engine is real (SSH, streamlocal channels, HTTP); the engine is not: it answers `/version`, `/info` and
each container's figures, as Docker 28 does, from counters that go on with the clock. Thousands of real containers are
more than a machine of two cores can run.

    python -m tests.bench.loopback SOCKET    # the stand-in alone
"""

import asyncio
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_START_S = 10.0


@dataclass(frozen=True, slots=True)
class Loopback:
    """Where the hosts are reached, all of them, and the processes behind it."""

    port: int
    username: str
    private_key: str
    host_key: str
    socket: str
    sshd_pid: int
    engine_pid: int


@contextmanager
def loopback_hosts(
    engine: str = "tests.bench.loopback", *arguments: str, listen: str = "127.0.0.1"
) -> Iterator[Loopback]:
    """Run sshd and stand-in until the end of the block. Needs OpenSSH's server; not root.

    ``engine`` is the module that stands in for an engine; sshd lets in whoever comes from this machine.
    """
    with tempfile.TemporaryDirectory(prefix="ssm-bench-") as folder:
        directory = Path(folder)
        for name in ("host", "user"):
            _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        # Another home: the start files of whoever runs this are not what is measured.
        (directory / "sshd_config").write_text(
            f"Port {port}\nListenAddress {listen}\nAllowUsers *@127.*\n"
            f"HostKey {directory}/host\nAuthorizedKeysFile {directory}/user.pub\n"
            "StrictModes no\nUsePAM no\nPermitRootLogin yes\nMaxStartups 500\nMaxSessions 20\nPidFile none\n"
            f"LogLevel ERROR\nUseDNS no\nPrintMotd no\nPrintLastLog no\nSetEnv HOME={directory}\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        path = directory / "engine.sock"
        sshd = subprocess.Popen(
            [_program("sshd"), "-D", "-e", "-f", str(directory / "sshd_config")], stderr=subprocess.DEVNULL
        )
        standing_in = subprocess.Popen([sys.executable, "-m", engine, str(path), *arguments], cwd=PROJECT)
        try:
            _wait_until(lambda: path.exists() and _greets(port), "sshd and the stand-in did not start")
            yield Loopback(
                port=port,
                username=getpass.getuser(),
                private_key=(directory / "user").read_text(),
                host_key=" ".join((directory / "host.pub").read_text().split()[:2]),
                socket=str(path),
                sshd_pid=sshd.pid,
                engine_pid=standing_in.pid,
            )
        finally:
            for process in (sshd, standing_in):
                process.terminate()
                process.wait(10)


def _program(name: str) -> str:
    found = shutil.which(name, path=_PROGRAMS)
    if not found:
        raise RuntimeError(f"{name} is missing: install openssh-server and openssh-client")
    return found


def _run(words: list[str]) -> None:
    subprocess.run([_program(words[0]), *words[1:]], check=True, stdin=subprocess.DEVNULL)


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            return connection.recv(64).startswith(b"SSH-2.0")
    except OSError:
        return False


def _wait_until(condition: Any, problem: str) -> None:
    deadline = time.monotonic() + _START_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(problem)
        time.sleep(0.05)


# ---- the stand-in

_MEMORY = dict.fromkeys(
    (
        *("active_anon", "active_file", "anon", "anon_thp", "file", "file_dirty", "file_mapped", "file_writeback"),
        *("inactive_anon", "inactive_file", "kernel_stack", "pgactivate", "pgdeactivate", "pgfault", "pglazyfree"),
        *("pglazyfreed", "pgmajfault", "pgrefill", "pgscan", "pgsteal", "shmem", "slab", "slab_reclaimable", "sock"),
        *("slab_unreclaimable", "thp_collapse_alloc", "thp_fault_alloc", "unevictable", "workingset_activate"),
        *("workingset_nodereclaim", "workingset_refault"),
    ),
    1048576,
)


def stats_answer(engine_id: str, now: float) -> dict[str, Any]:
    """Figures of a container whose load is its own, some of it going up and down by the minute."""
    seed = int(engine_id[-8:], 16)
    share = (seed % 97) / 400
    ticks = int(now * 1e9)
    wave = (seed * 7919 + int(now / 60) * 104729) % 1000
    return {
        "read": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
        "preread": "0001-01-01T00:00:00Z",
        "pids_stats": {"current": 1 + seed % 40, "limit": 18446744073709551615},
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"major": 254, "minor": 0, "op": "read", "value": int(now * (seed % 5000))},
                {"major": 254, "minor": 0, "op": "write", "value": int(now * (seed % 9000))},
            ],
            "io_serviced_recursive": None,
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": {
            "cpu_usage": {"total_usage": int(ticks * share), "usage_in_kernelmode": 1, "usage_in_usermode": 1},
            "system_cpu_usage": ticks * 4,
            "online_cpus": 4,
            "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
        },
        "precpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}},
        "memory_stats": {"usage": (50 + seed % 900) * 2**20 + wave * 4096, "stats": _MEMORY, "limit": 8 * 2**30},
        "name": "/bench",
        "id": engine_id,
        "networks": {"eth0": {"rx_bytes": int(now * (seed % 20000)), "tx_bytes": int(now * (seed % 8000))}},
    }


class _Engine(asyncio.Protocol):
    """One connection: requests one after the other, each answered at once."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            request, _end, self._buffer = self._buffer.partition(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].split(b"?")[0].decode()
            body = json.dumps(self._answer(path)).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self._transport.write(head % len(body) + body)

    @staticmethod
    def _answer(path: str) -> Any:
        if path.endswith("/stats"):
            return stats_answer(path.split("/")[-2], time.time())
        if path.endswith("/info"):
            return {"DockerRootDir": "/", "MemTotal": 8 * 2**30, "NCPU": 4, "ServerVersion": "0.0-stand-in"}
        return {"ApiVersion": "1.51", "MinAPIVersion": "1.24", "Version": "0.0-stand-in"}


async def _serve(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(_Engine, path, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
