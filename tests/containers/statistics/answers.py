"""Answers to ``GET /containers/{id}/stats?stream=false&one-shot=true``, shortened to what matters.

V1 and PODMAN were recorded from Docker 28.5.2 and podman 4.3.1 on control groups version 1, STOPPED from Docker
26.1.5; V2 has the shape that Docker 28 gives on version 2 (its API's documentation, and libcontainer's names).
"""

import copy
from typing import Any

V1: dict[str, Any] = {
    "read": "2026-11-24T10:42:24.302887584Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {"current": 2},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 254, "minor": 0, "op": "Read", "value": 4096},
            {"major": 254, "minor": 0, "op": "Write", "value": 8192},
            {"major": 254, "minor": 0, "op": "Sync", "value": 12288},
            {"major": 254, "minor": 16, "op": "Read", "value": 1000},
            {"major": 254, "minor": 0, "op": "Total", "value": 12288},
        ]
    },
    "cpu_stats": {
        "cpu_usage": {
            "total_usage": 515382936,
            "percpu_usage": [222125674, 293257262],
            "usage_in_kernelmode": 160000000,
            "usage_in_usermode": 340000000,
        },
        "system_cpu_usage": 33465290000000,
        "online_cpus": 2,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    },
    "precpu_stats": {"cpu_usage": {"total_usage": 0}},
    "memory_stats": {
        "usage": 495616,
        "max_usage": 4362240,
        "stats": {"cache": 8192, "inactive_file": 5000, "total_inactive_file": 4096},
        "limit": 25276510208,
    },
    "networks": {
        "eth0": {"rx_bytes": 1604, "tx_bytes": 126, "rx_packets": 24},
        "eth1": {"rx_bytes": 1000, "tx_bytes": 1000, "rx_packets": 1},
    },
}
V2: dict[str, Any] = {
    "name": "/web",
    "id": "0" * 64,
    "read": "2026-11-24T10:42:24.302887584Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {"current": 3, "limit": 18446744073709551615},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 254, "minor": 0, "op": "read", "value": 4096},
            {"major": 254, "minor": 0, "op": "write", "value": 8192},
        ],
        "io_serviced_recursive": None,
    },
    "cpu_stats": {
        "cpu_usage": {"total_usage": 100, "usage_in_kernelmode": 40, "usage_in_usermode": 60},
        "system_cpu_usage": 2000,
        "online_cpus": 4,
    },
    "memory_stats": {"usage": 6537216, "stats": {"anon": 3000000, "inactive_file": 1048576}, "limit": 67108864},
    "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 6}},
}
PODMAN: dict[str, Any] = {
    "read": "2026-11-24T10:42:24.347277469Z",
    "pids_stats": {"current": 2},
    "blkio_stats": {"io_service_bytes_recursive": [], "io_serviced_recursive": None},
    "cpu_stats": {
        "cpu_usage": {"total_usage": 1058882432, "percpu_usage": [529321342, 529561090]},
        "system_cpu_usage": 15201971139245,
        "online_cpus": 2,
        "cpu": 0,
    },
    "memory_stats": {"usage": 389120, "limit": 25276510208},
    "name": "clock",
    "networks": {"network": {"rx_bytes": 1006, "tx_bytes": 6350}},
}
STOPPED: dict[str, Any] = {
    "read": "0001-01-01T00:00:00Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {},
    "blkio_stats": {"io_service_bytes_recursive": None},
    "cpu_stats": {"cpu_usage": {"total_usage": 0}},
    "memory_stats": {},
}


def changed(answer: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with another value at a path such as ``cpu_stats.online_cpus``."""
    copied = copy.deepcopy(answer)
    place: Any = copied
    *parents, last = path.split(".")
    for name in parents:
        place = place[name]
    place[last] = value
    return copied
