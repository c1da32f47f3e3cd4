"""Statistics of a large fleet: 10,000 container samples a minute on two cores, and what they cost and weigh.

    DEVICES=500 CONTAINERS=20 python -m tests.bench.stats [--small]

CONTAINERS is per device. The worker is the real one (Celery, threads) with real PostgreSQL and Redis, and reaches each
device by an SSH connection of its own to a real sshd. The engines behind it are a stand-in (tests.bench.loopback), as
so many containers do not run on two cores; what real engines need for an answer comes on top on their own hosts.

First one round as fast as it goes (which also opens the connections) and a second one, for the most that is possible;
then one minute at the pace of a schedule. The last line is one JSON object; ``cpu_percent`` is of one core, for SSM's
worker with PostgreSQL and Redis; ``bytes_per_sample`` is one container's minute in the database, indexes included.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from tests.bench.loopback import Loopback, loopback_hosts
from tests.services import start_servers

PROJECT = Path(__file__).resolve().parents[2]
WANTED_PER_MINUTE = 10_000
MOST_BYTES_PER_CONTAINER_DAY = 2048
PREFIX = "bench-stats-"
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stats")
    parser.add_argument("--small", action="store_true", help="4 devices with 5 containers, for 10 seconds")
    small = parser.parse_args().small
    devices = int(os.environ.get("DEVICES") or (4 if small else 500))
    containers = int(os.environ.get("CONTAINERS") or (5 if small else 20))
    seconds = 10 if small else 60

    start_servers()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    os.environ.setdefault("SSM_CONNECTIONS_KEPT", str(devices + 10))
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    figures = _measure(devices, containers, seconds)
    from tests.bench.weight import weigh

    weight = weigh(20 if small else 200)
    print(
        f"containers that never rest: a day of samples {weight.sampled_day / 1024:.1f} KiB, "
        f"rolled up {weight.rolled_day:.0f} bytes, in {weight.roll_up_s * 1000:.1f} ms each"
    )
    figures["bytes_per_container_day"] = round(weight.rolled_day)
    print(f"targets: {WANTED_PER_MINUTE} samples a minute, {MOST_BYTES_PER_CONTAINER_DAY} bytes a container and day")
    print(json.dumps(figures))


def _measure(devices: int, containers: int, seconds: int) -> dict[str, float]:
    from containers.statistics import partitions

    with loopback_hosts() as hosts:
        ids = _make_rows(hosts, devices, containers)
        partitions.make_ahead(datetime.now(UTC))
        try:
            with _worker() as worker_pid:
                groups = _groups(worker_pid, hosts)
                wanted = devices * containers
                print(f"{devices} devices with {containers} containers each")
                first_s = _round(ids, 0)
                print(f"first reading, connecting included: {first_s:.1f} s")
                flat_s = _round(ids, 0)
                print(f"as fast as it goes: {wanted / flat_s * 60:,.0f} samples a minute")
                before, began = _cpu_seconds(groups), time.monotonic()
                paced_s = _round(ids, seconds)
                took_s = time.monotonic() - began
                used = {name: after - before[name] for name, after in _cpu_seconds(groups).items()}
            for name, cpu_s in used.items():
                print(
                    f"{name}: {cpu_s / took_s * 100:.1f} % of a core, {cpu_s / devices * 1000:.2f} ms a host, "
                    f"{cpu_s / wanted * 1000:.3f} ms a container"
                )
            ours = sum(used[name] for name in ("worker", "PostgreSQL", "Redis"))
            return {
                "samples_per_minute": round(wanted / max(paced_s, seconds) * 60),
                "cpu_percent": round(ours / took_s * 100, 1),
                "bytes_per_sample": round(_bytes_per_sample(wanted), 1),
                "most_samples_per_minute": round(wanted / flat_s * 60),
            }
        finally:
            _remove_rows()


def _make_rows(hosts: Loopback, devices: int, containers: int) -> list[UUID]:
    from containers.models import Container
    from devices.models import Credential, Device, HostKey
    from devices.rules.host_keys import parse_host_key

    _remove_rows()
    credential = Credential(name=f"{PREFIX}key", username=hosts.username, private_key=hosts.private_key)
    credential.save()
    key = parse_host_key(hosts.host_key)
    rows = [
        Device(
            name=f"{PREFIX}{number}",
            address="127.0.0.1",
            port=hosts.port,
            credential=credential,
            docker_socket=hosts.socket,
            state=Device.State.ONLINE,
            memory_bytes=8 * 2**30,
        )
        for number in range(devices)
    ]
    Device.objects.bulk_create(rows)
    HostKey.objects.bulk_create(
        HostKey(device=row, key_type=key.key_type, key_base64=key.key_base64, fingerprint=key.fingerprint)
        for row in rows
    )
    Container.objects.bulk_create(
        (
            Container(
                device=row, engine_id=f"{random.getrandbits(256):064x}", name=f"service-{number}", state="running"
            )
            for row in rows
            for number in range(containers)
        ),
        batch_size=1000,
    )
    return [row.pk for row in rows]


def _remove_rows() -> None:
    from django.db import connection

    from devices.models import Credential, Device

    Device.objects.filter(name__startswith=PREFIX).delete()
    Credential.objects.filter(name__startswith=PREFIX).delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM containers_usage_sample WHERE device_id NOT IN (SELECT id FROM devices_device)")


def _round(ids: list[UUID], seconds: float) -> float:
    """Have every device read once, spread over the time; seconds until all are stored."""
    from containers.models import HostUsage
    from devices.models import Device
    from ssm.lib.jobs import enqueue

    start, began = datetime.now(UTC), time.monotonic()
    for number, device_id in enumerate(ids):
        time.sleep(max(0.0, began + seconds * number / len(ids) - time.monotonic()))
        enqueue("containers.sample_device", str(device_id))
    patience = time.monotonic() + seconds + 120
    while HostUsage.objects.filter(device__in=ids, sampled_at__gte=start).count() < len(ids):
        if time.monotonic() > patience:
            errors = Device.objects.filter(pk__in=ids).exclude(last_statistics_error="")
            told = list(errors.values_list("last_statistics_error", flat=True)[:3])
            raise RuntimeError(f"not all devices were read: {told}")
        time.sleep(0.25)
    return time.monotonic() - began


@contextmanager
def _worker() -> Iterator[int]:
    words = ["celery", "-A", "ssm", "worker", "-P", "threads", "-c", "32", "--loglevel", "warning"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=PROJECT,
            env=os.environ | {"SSM_LOG_LEVEL": "WARNING"},
            stdout=log,
            stderr=log,
        )
        try:
            yield process.pid
        except BaseException:
            log.seek(0)
            print(log.read().decode("utf-8", "replace")[-6000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _groups(worker_pid: int, hosts: Loopback) -> dict[str, int]:
    """The top process of each part."""
    import redis
    from django.conf import settings
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend_pid = cursor.fetchone()[0]
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        redis_pid = int(client.info("server")["process_id"])
    groups = {"worker": worker_pid, "PostgreSQL": _stat(backend_pid)[0], "Redis": redis_pid}
    return groups | {"sshd, and commands on the hosts": hosts.sshd_pid, "stand-in engine": hosts.engine_pid}


def _cpu_seconds(groups: dict[str, int]) -> dict[str, float]:
    """CPU time of each part, with all that it started, ended ones included."""
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)], times[int(entry.name)] = _stat(int(entry.name))
            except OSError:
                continue

    def belongs(pid: int, top: int) -> bool:
        while pid > 1:
            if pid == top:
                return True
            pid = parents.get(pid, 0)
        return False

    return {name: sum(cpu for pid, cpu in times.items() if belongs(pid, top)) for name, top in groups.items()}


def _stat(pid: int) -> tuple[int, float]:
    """Parent, and CPU seconds of a process and its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), sum(map(int, fields[11:15])) / _TICKS


def _bytes_per_sample(containers: int) -> float:
    """Size of the samples with indexes, for each container and reading."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits"
            " WHERE inhparent = 'containers_usage_sample'::regclass"
        )
        size = float(cursor.fetchone()[0])
        cursor.execute("SELECT coalesce(sum(cardinality(containers)), 0) FROM containers_usage_sample")
        return size / max(1, float(cursor.fetchone()[0]))


if __name__ == "__main__":
    main()
