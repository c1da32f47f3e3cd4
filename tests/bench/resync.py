"""How long a fleet takes to be read in full: all devices swept after a start, or after a fleet-wide outage.

    DEVICES=500 CONTAINERS=20 python -m tests.bench.resync [--small]

Real: the beat tick's task, the worker (Celery, threads), PostgreSQL, Redis, and an SSH connection for each device, to a
loopback address of its own. The engines are a stand-in (tests.bench.standin) whose containers are all unknown, so that
each one is inspected and written. Time runs from the first tick to the last row. The last line is one JSON object.
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

from tests.bench.idle import make_rows, remove_rows
from tests.bench.loopback import loopback_hosts
from tests.services import start_servers

PROJECT = Path(__file__).resolve().parents[2]
PREFIX = "bench-resync-"
MOST_SECONDS = 90
PATIENCE_S = 600.0
TICK_S = 5.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resync")
    parser.add_argument("--small", action="store_true", help="5 devices with 4 containers")
    small = parser.parse_args().small
    devices = int(os.environ.get("DEVICES") or (5 if small else 500))
    containers = int(os.environ.get("CONTAINERS") or (4 if small else 20))

    start_servers()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    os.environ.setdefault("SSM_CONNECTIONS_KEPT", str(devices + 10))
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with loopback_hosts("tests.bench.standin", str(containers), listen="0.0.0.0") as hosts:
        ids = make_rows(hosts, devices, PREFIX)
        try:
            with _worker():
                seconds = _resync(ids, devices * containers)
        finally:
            remove_rows(PREFIX)
    print(f"target: {MOST_SECONDS} s for 500 devices with 20 containers each")
    print(json.dumps({"devices": devices, "containers": containers, "seconds": round(seconds, 1)}))


def _resync(ids: list[UUID], wanted: int) -> float:
    """Have all swept that are due; seconds until all containers are there."""
    from containers.models import Container
    from devices.models import Device, now
    from ssm.lib.jobs import enqueue

    never = now().replace(year=now().year + 1)
    Device.objects.filter(pk__in=ids).update(
        state=Device.State.ONLINE, next_sweep_at=now(), next_statistics_at=never, next_update_check_at=never
    )
    began = last_tick = time.monotonic()
    enqueue("containers.hand_out_due_work")
    while Container.objects.filter(device__in=ids, removed_at=None).count() < wanted:
        if time.monotonic() - last_tick > TICK_S:
            last_tick = time.monotonic()
            enqueue("containers.hand_out_due_work", expires_s=TICK_S)
        if time.monotonic() - began > PATIENCE_S:
            errors = Device.objects.filter(pk__in=ids).exclude(last_sweep_error="")
            raise RuntimeError(f"not all was read: {list(errors.values_list('last_sweep_error', flat=True)[:3])}")
        time.sleep(0.2)
    return time.monotonic() - began


@contextmanager
def _worker() -> Iterator[None]:
    """The worker as `manage.py up` starts it, ready for work."""
    from celery import current_app

    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "ssm", "worker", "-P", "threads", "-c", "32", "--loglevel", "warning"],
        cwd=PROJECT,
        env=os.environ | {"SSM_LOG_LEVEL": "ERROR"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not current_app.control.ping(timeout=1.0):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the worker did not start")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
