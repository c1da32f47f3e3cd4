"""What people read on a host itself: the docker CLI, podman, free and df."""

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.fleet import Fleet, Host

# go-units: sizes of memory are binary, of traffic decimal.
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of ``stats --no-stream``, rounded as people see it."""

    cpu_percent: float
    memory_bytes: float
    memory_limit_bytes: float
    memory_percent: float
    received_bytes: float
    sent_bytes: float
    pids: int


def docker_stats(fleet: Fleet, host: Host, container: str) -> Shown:
    """``docker stats --no-stream`` of one container, by the command line of Docker 28. Takes some two seconds."""
    program = fleet.packages.usr("28") / "bin" / "docker"
    command = [str(program), "-H", f"unix://{host.socket_path}", "stats", "--no-stream", "--format", "{{json .}}"]
    environment = {**fleet.packages.tool_environment(), "HOME": "/nonexistent"}
    done = subprocess.run(
        [*command, container], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return _shown(json.loads(done.stdout.strip().splitlines()[-1]))


def podman_cpu_percent(host: Host, container: str) -> float:
    """What ``podman stats --no-stream`` shows: the mean since the container's start."""
    said = host.exec(["podman", "stats", "--no-stream", "--format", "{{.CPUPerc}}", container])
    return float(said.strip().rstrip("%"))


def size(text: str) -> float:
    """Bytes of a size such as 1.5MiB."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]+)", text.strip())
    assert found, text
    return float(found[1]) * _UNITS[found[2]]


def _shown(line: dict[str, Any]) -> Shown:
    used, limit = line["MemUsage"].split(" / ")
    received, sent = line["NetIO"].split(" / ")
    return Shown(
        cpu_percent=float(line["CPUPerc"].rstrip("%")),
        memory_bytes=size(used),
        memory_limit_bytes=size(limit),
        memory_percent=float(line["MemPerc"].rstrip("%")),
        received_bytes=size(received),
        sent_bytes=size(sent),
        pids=int(line["PIDs"]),
    )
