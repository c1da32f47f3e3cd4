"""From a start or stop on a host to the changed row in a page's WebSocket.

    python -m tests.bench.events [--small]

Brings up what it needs: a fleet host, PostgreSQL and Redis (unless DATABASE_URL and REDIS_URL are set), the real web
process and the real listener. A container is started and stopped on the host's own socket; time runs from the Engine's
own time of the event (same machine, same clock) to the arrival of the row's HTML that shows the new state. The last
line is one JSON object; times are milliseconds.
"""

import argparse
import json
import os
import queue
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.fleet import DEVELOPER_NET, Fleet, Host, net_from_environment
from tests.services import start_servers

PROJECT = Path(__file__).resolve().parents[2]
MOST_P50_MS, MOST_P99_MS = 80, 300
PATIENCE_S = 20
# Changes that follow each other within 200 ms are sent together, on purpose: acts of people are further apart.
PAUSE_S = (0.3, 0.7)
DEVICE = "bench-events"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.events")
    parser.add_argument("--small", action="store_true", help="20 changes in place of 100")
    count = 20 if parser.parse_args().small else 100

    start_servers()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fleet = Fleet(net_from_environment(DEVELOPER_NET))
    was_up = bool(fleet.hosts)
    fleet.up(["26"], registry=False, bare=True)
    host = fleet.host(1, label=f"bench-{os.getpid()}")
    try:
        delays = _measure(fleet, host, count)
    finally:
        host.remove_runs()
        if not was_up:
            fleet.down()
    delays.sort()
    p50, p99 = statistics.median(delays), delays[min(len(delays) - 1, int(len(delays) * 0.99))]
    print(f"{len(delays)} changes: fastest {delays[0]:.1f}, median {p50:.1f}, slowest {delays[-1]:.1f} ms")
    print(f"targets: p50 {MOST_P50_MS} ms, p99 {MOST_P99_MS} ms")
    print(json.dumps({"n": len(delays), "p50_ms": round(p50, 1), "p99_ms": round(p99, 1)}))


def _measure(fleet: Fleet, host: Host, count: int) -> list[float]:
    from containers.models import Container, Event
    from containers.sync import sweep
    from devices.connections import pool
    from devices.models import Device
    from devices.services import connection_target
    from tests.containers.logstage import add_device, add_user, session_cookie, web_process

    engine_id = host.run("bench-switch", "demo/clock:1.0.0")
    Device.objects.filter(name=DEVICE).delete()
    device = add_device(fleet.entry(host.number), DEVICE)
    sweep(device, pool.engine(connection_target(device)))
    row = Container.objects.get(device=device, engine_id=engine_id)
    cookie = session_cookie(add_user(f"bench-{os.getpid()}"))
    arrivals: list[tuple[str, int]] = []
    with web_process() as (port, _pid), _listener():
        _wait_until_followed(device.pk)
        origin = Origin(f"http://127.0.0.1:{port}")
        with connect(
            f"ws://127.0.0.1:{port}/ws/live/", additional_headers={"Cookie": cookie}, origin=origin, compression=None
        ) as socket:
            name = f"container-{row.pk}-row"
            received: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
            threading.Thread(target=_receive, args=(socket, received), daemon=True).start()
            socket.send(json.dumps({"type": "watch", "page": "containers", "ids": [name]}))
            _wait_for(received, name, "running")
            began_ns = time.time_ns()
            for number in range(count):
                verb, word = ("stop?t=5", "exited") if number % 2 == 0 else ("start", "running")
                time.sleep(random.uniform(*PAUSE_S))  # noqa: S311 - not for secrets
                host.api("POST", f"/containers/{engine_id}/{verb}")
                arrivals.append((word, _wait_for(received, name, word)))
    pool.close_all()
    told = Event.objects.filter(container=row, time_ns__gt=began_ns, action__in=["start", "die"]).order_by("time_ns")
    times = list(told.values_list("action", "time_ns"))
    expected = ["die" if word == "exited" else "start" for word, _arrived in arrivals]
    if [action for action, _time in times] != expected:
        raise RuntimeError(f"the listener noted other events: {times}")
    return [(arrived - told_ns) / 1e6 for (_word, arrived), (_action, told_ns) in zip(arrivals, times, strict=True)]


def _receive(socket: ClientConnection, received: "queue.SimpleQueue[tuple[int, str]]") -> None:
    """Note when each message came, also while the Engine's answer to a stop is waited for (it comes after the row)."""
    for message in socket:
        received.put((time.time_ns(), str(message)))


def _wait_for(received: "queue.SimpleQueue[tuple[int, str]]", name: str, word: str) -> int:
    """Wait until the row shows the word; when it came by our clock, ns since 1970."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        arrived, html = received.get(timeout=max(0.1, deadline - time.monotonic()))
        if f'id="{name}"' in html and f">{word}<" in html:
            return arrived


@contextmanager
def _listener() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "watch_hosts"], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def _wait_until_followed(device_id: object) -> None:
    from devices.models import Device

    deadline = time.monotonic() + PATIENCE_S
    while not Device.objects.filter(pk=device_id, state=Device.State.ONLINE).exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the listener does not follow the host")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
