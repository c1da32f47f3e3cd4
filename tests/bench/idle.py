"""What listening to many silent devices costs: the listener's CPU time and memory.

    DEVICES=500 SECONDS=120 python -m tests.bench.idle [--small]

Real: the listener process, PostgreSQL, Redis, the SSH connections (one for each device, to a loopback address of its
own) and sshd. The engine behind them is a stand-in that answers `/version`, `/info` and lists, and keeps its event
stream open in silence. Only the listener is counted, not sshd, PostgreSQL and Redis (which are shown beside it). The
last line is one JSON object; ``cpu_percent`` is of one core.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from tests.bench.loopback import Loopback, loopback_hosts
from tests.services import start_servers

PROJECT = Path(__file__).resolve().parents[2]
PREFIX = "bench-idle-"
MOST_CPU_PERCENT, MOST_RSS_MB = 2.0, 200
# After the last device is online: sweeps are handed out and the first signs of life noted.
SETTLE_S = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idle")
    parser.add_argument("--small", action="store_true", help="5 devices for 5 seconds")
    small = parser.parse_args().small
    devices = int(os.environ.get("DEVICES") or (5 if small else 500))
    seconds = float(os.environ.get("SECONDS") or (5 if small else 120))

    start_servers()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    os.environ.setdefault("SSM_CONNECTIONS_KEPT", str(devices + 10))
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with loopback_hosts("tests.bench.standin", "20", listen="0.0.0.0") as hosts:
        ids = make_rows(hosts, devices, PREFIX)
        try:
            figures = _measure(ids, seconds, 1.0 if small else SETTLE_S)
        finally:
            remove_rows(PREFIX)
    print(f"targets: {MOST_CPU_PERCENT} % of a core, {MOST_RSS_MB} MB for 500 devices")
    print(json.dumps(figures))


def _measure(ids: list[UUID], seconds: float, settle_s: float) -> dict[str, float]:
    with listener() as pid:
        began = time.monotonic()
        wait_until_online(ids)
        print(f"{len(ids)} devices followed after {time.monotonic() - began:.1f} s, memory {rss_mb(pid):.0f} MB")
        time.sleep(settle_s)
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        cpu, took = cpu_seconds(pid) - before, time.monotonic() - began
        figures = {
            "devices": len(ids),
            "cpu_percent": round(cpu / took * 100, 2),
            "rss_mb": round(rss_mb(pid), 1),
            "seconds": round(took),
        }
        wait_until_online(ids, patience_s=1.0)
        return figures


def make_rows(hosts: Loopback, count: int, prefix: str) -> list[UUID]:
    """Devices on loopback addresses of their own, with the key accepted."""
    from devices.models import Credential, Device, HostKey, now
    from devices.rules.host_keys import parse_host_key

    remove_rows(prefix)
    credential = Credential(name=f"{prefix}key", username=hosts.username, private_key=hosts.private_key)
    credential.save()
    key = parse_host_key(hosts.host_key)
    rows = [
        Device(
            name=f"{prefix}{number}",
            address=f"127.1.{number // 250}.{1 + number % 250}",
            port=hosts.port,
            credential=credential,
            docker_socket=hosts.socket,
            connect_timeout_s=60,
            next_sweep_at=now(),
        )
        for number in range(count)
    ]
    Device.objects.bulk_create(rows)
    HostKey.objects.bulk_create(
        HostKey(device=row, key_type=key.key_type, key_base64=key.key_base64, fingerprint=key.fingerprint)
        for row in rows
    )
    return [row.pk for row in rows]


def remove_rows(prefix: str) -> None:
    """All that ``make_rows`` made, with what was read of it."""
    from devices.models import Credential, Device

    Device.objects.filter(name__startswith=prefix).delete()
    Credential.objects.filter(name__startswith=prefix).delete()


@contextmanager
def listener() -> Iterator[int]:
    """The real listener process; its pid."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "watch_hosts"],
        cwd=PROJECT,
        env=os.environ | {"SSM_LOG_LEVEL": "ERROR"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_online(ids: list[UUID], patience_s: float = 300.0) -> None:
    """Until all are followed; RuntimeError that says what the others say."""
    from devices.models import Device

    deadline = time.monotonic() + patience_s
    while Device.objects.filter(pk__in=ids, state=Device.State.ONLINE).count() < len(ids):
        if time.monotonic() > deadline:
            others = Device.objects.filter(pk__in=ids).exclude(state=Device.State.ONLINE)
            told = list(others.values_list("name", "state", "state_message")[:3])
            raise RuntimeError(f"{others.count()} devices are not online: {told}")
        time.sleep(0.25)


def cpu_seconds(pid: int) -> float:
    """CPU time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / _TICKS


def rss_mb(pid: int) -> float:
    """Resident memory of one process, in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
