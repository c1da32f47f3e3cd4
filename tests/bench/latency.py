"""Warm list of 20 containers: our client over SSH, the same on the local socket, and the docker command line.

    python -m tests.bench.latency [--small]

Brings up one fleet host (or uses the one that is up) with 20 running containers and asks in turns, so that whatever
else the machine does hits all alike. The last line is one JSON object; times are medians in milliseconds.
`local_ms` is the faster of two readers on the engine's own socket: http.client, and our own parser.
"""

import argparse
import http.client
import json
import os
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devices.connections import Engine, open_engine
from devices.docker.exchange import perform, request_bytes
from devices.rules.host_keys import parse_host_key
from devices.rules.targets import Authentication, ConnectionTarget
from devices.ssh.sockets import Deadline
from tests.fleet import DEVELOPER_NET, Fleet, Host, net_from_environment

CONTAINERS = 20
WARM_UP = 20
MOST_RATIO_TO_LOCAL = 1.2
LEAST_SPEEDUP = 50

Ask = Callable[[], int]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


@contextmanager
def host_with_containers() -> Iterator[tuple[Fleet, Host]]:
    """A host with exactly 20 running containers; it is put away again unless it was there before."""
    fleet = Fleet(net_from_environment(DEVELOPER_NET))
    was_up = bool(fleet.hosts)
    fleet.up(["26"], registry=False, bare=True)
    host = fleet.host(1, label=f"bench-{os.getpid()}")
    try:
        running = len(host.api("GET", "/containers/json"))
        for number in range(running, CONTAINERS):
            host.run(f"bench-{os.getpid()}-{number}", "demo/clock:1.0.0", env={"INTERVAL": "3600"})
        yield fleet, host
    finally:
        host.remove_runs()
        if not was_up:
            fleet.down()


def over_ssh(engine: Engine) -> Ask:
    """Ask through our client."""
    return lambda: len(engine.get_json("/containers/json"))


def local_by_standard_library(host: Host, api_version: str) -> Ask:
    """Ask on the engine's own socket by http.client, on a kept connection."""
    connection = _UnixConnection(host.socket_path)

    def ask() -> int:
        connection.request("GET", f"/v{api_version}/containers/json")
        return len(json.loads(connection.getresponse().read()))

    return ask


def local_by_our_parser(host: Host, api_version: str) -> Ask:
    """Ask on the engine's own socket by our request and answer code, on a kept connection."""
    connection: Any = socket.socket(socket.AF_UNIX)
    connection.connect(str(host.socket_path))

    def ask() -> int:
        request = request_bytes("GET", "/containers/json", None, None, api_version)
        return len(json.loads(perform(connection, request, Deadline(10)).body))

    return ask


def by_command_line(fleet: Fleet, host: Host, directory: Path) -> Ask:
    """List by `docker -H ssh://`, which starts ssh; its settings come from a wrapper, for ssh ignores HOME."""
    entry = fleet.entry(host.number)
    (directory / "known_hosts").write_text(f"{entry.address} {entry.host_key}\n")
    key = directory / "key"
    key.write_text(entry.private_key)
    key.chmod(0o600)
    options = ["-F", "none", "-i", str(key), "-o", f"UserKnownHostsFile={directory / 'known_hosts'}"]
    wrapper = directory / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join([fleet.packages.tool("ssh"), *options])} "$@"\n')
    wrapper.chmod(0o700)
    docker = fleet.packages.usr(host.engine) / "bin" / "docker"
    program = str(docker) if docker.exists() else shutil.which("docker") or "docker"
    environment = {
        **fleet.packages.tool_environment(),
        "HOME": str(directory),
        "PATH": f"{directory}:{os.environ['PATH']}",
    }
    command = [program, "-H", f"ssh://{entry.user}@{entry.address}", "container", "ls", "--quiet"]

    def ask() -> int:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        return len(done.stdout.split())

    return ask


def measure(asks: dict[str, Ask], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of ``rounds`` calls of each, in turns. RuntimeError if one does not see every container."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(rounds):
        for name, ask in asks.items():
            started = time.perf_counter()
            found = ask()
            times[name].append((time.perf_counter() - started) * 1000)
            if found != CONTAINERS:
                raise RuntimeError(f"{name}: {found} containers instead of {CONTAINERS}")
    return times


def report(name: str, times: list[float]) -> float:
    """Print one line of figures, give the median."""
    ordered = sorted(times)
    median = statistics.median(ordered)
    tenth = ordered[len(ordered) // 10]
    print(f"{name:34} median {median:8.2f} ms   p10 {tenth:8.2f}   p90 {ordered[len(ordered) * 9 // 10]:8.2f}")
    return median


def main() -> int:
    """Measure and print; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="Latency of a warm container list")
    parser.add_argument("--small", action="store_true", help="a tenth of the rounds")
    rounds = 60 if parser.parse_args().small else 600
    with host_with_containers() as (fleet, host), tempfile.TemporaryDirectory() as directory:
        entry = fleet.entry(host.number)
        engine = open_engine(
            ConnectionTarget(
                device_id="bench",
                name=entry.name,
                address=entry.address,
                port=entry.port,
                authentication=Authentication(entry.user, private_key=entry.private_key),
                pinned_keys=(parse_host_key(entry.host_key),),
                socket_path=entry.socket,
            )
        )
        warm = {
            "local socket, http.client": local_by_standard_library(host, engine.api_version),
            "local socket, our parser": local_by_our_parser(host, engine.api_version),
            "our client over SSH": over_ssh(engine),
        }
        cold = {"docker -H ssh:// container ls": by_command_line(fleet, host, Path(directory))}
        measure(warm, WARM_UP)
        measure(cold, 1)
        medians = {name: report(name, times) for name, times in measure(warm, rounds).items()}
        medians |= {name: report(name, times) for name, times in measure(cold, max(5, rounds // 30)).items()}
        engine.close()
    local_ms = min(medians["local socket, http.client"], medians["local socket, our parser"])
    ssh_ms, cli_ms = medians["our client over SSH"], medians["docker -H ssh:// container ls"]
    ratio, speedup = ssh_ms / local_ms, cli_ms / ssh_ms
    print(f"targets: at most {MOST_RATIO_TO_LOCAL} times local, at least {LEAST_SPEEDUP} times faster than the CLI")
    figures = {
        "local_ms": round(local_ms, 3),
        "ssh_ms": round(ssh_ms, 3),
        "cli_ms": round(cli_ms, 1),
        "ratio_to_local": round(ratio, 3),
        "speedup_over_cli": round(speedup, 1),
    }
    print(json.dumps(figures))
    return 0 if ratio <= MOST_RATIO_TO_LOCAL and speedup >= LEAST_SPEEDUP else 1


if __name__ == "__main__":
    sys.exit(main())
