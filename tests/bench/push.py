"""500 open pages and 200 changes a second: how long until each page that shows what changed has it, at which memory.

    python -m tests.bench.push [--small]      # DEVICES=1000 BROWSERS=500 RATE=200 SECONDS=30

Real: PostgreSQL, Redis, the web process, its WebSockets. Rows come from tests.bench.fleet_rows; the listener's part is
played by this process: for each event one transaction that changes the container's row and writes the event, announced
as `containers.events.recording` does. Each browser says what its page shows as pages do (six in ten show a page of
the fleet's table, half of those the first one; two one container, one Home, one Events), and reads its page again when
it is asked to. One change in twenty says that a row came or went, which concerns every list.

Time runs from the beginning of the transaction to the arrival at each browser that shows the container. The last line
is one JSON object; ``mb_per_socket`` is what the web process grew by while the browsers connected, a browser.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import re
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.bench.idle import cpu_seconds, rss_mb
from tests.bench.own_database import own_database
from tests.services import start_servers

MOST_P99_MS: Final = 1000
# What a row is called after a change tells which change it was.
_TITLE: Final = re.compile(r'<tr id="container-([0-9a-f-]{36})-row".*?>change-(\d+)<', re.DOTALL)
_HEAD: Final = re.compile(r'id="container-([0-9a-f-]{36})-header".*?<h1>change-(\d+)<', re.DOTALL)
_SETTLE_S: Final = 3.0
WARM_UP_S: Final = 2.0
PATIENCE_S: Final = 30.0


@dataclass(slots=True)
class Browser:
    """One open page: what it shows, and the changes of it that have not come yet, by container."""

    page: str
    address: str
    elements: list[str]
    expected: dict[str, list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What was sent and what came of it."""

    browsers: list[Browser]
    # Container to the browsers that show it.
    shown_by: dict[str, list[Browser]] = field(default_factory=dict)
    began: dict[int, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    messages: int = 0
    opened: int = 0
    came_back: int = 0
    reads: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, number: int, container: str, moment: float) -> None:
        """A change begins."""
        with self.lock:
            self.began[number] = moment
            for browser in self.shown_by.get(container, ()):
                browser.expected.setdefault(container, []).append(number)

    def arrived(self, browser: Browser, container: str, number: int, moment: float) -> None:
        """A row came that shows this change, and with it all before."""
        with self.lock:
            waiting = browser.expected.get(container, [])
            self.delays += [moment - self.began[earlier] for earlier in waiting if earlier <= number]
            browser.expected[container] = [later for later in waiting if later > number]

    def reads_anew(self, browser: Browser) -> None:
        """The socket was closed: the page comes back and reads all that it shows."""
        with self.lock:
            self.came_back += 1
            browser.expected = {}

    @property
    def missing(self) -> int:
        """How many arrivals are still to come."""
        with self.lock:
            return sum(len(numbers) for browser in self.browsers for numbers in browser.expected.values())


def main() -> int:
    """Measure and print; exit status 1 if the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.push")
    parser.add_argument("--small", action="store_true", help="20 browsers, 20 changes a second for 3 seconds")
    small = parser.parse_args().small
    devices = int(os.environ.get("DEVICES") or (5 if small else 1000))
    browsers = int(os.environ.get("BROWSERS") or (20 if small else 500))
    rate = float(os.environ.get("RATE") or (20 if small else 200))
    seconds = float(os.environ.get("SECONDS") or (3 if small else 30))

    os.environ["SSM_DEBUG"] = "false"
    # All browsers come from one address here.
    os.environ["SSM_WEB_CONNECTIONS_PER_ADDRESS"] = str(browsers + 50)
    start_servers()
    with own_database("push"), tempfile.TemporaryDirectory() as static:
        os.environ["SSM_STATIC_DIR"] = static
        figures = _run(devices, browsers, rate, seconds)
    print(f"target: p99 {MOST_P99_MS} ms")
    print(json.dumps(figures))
    return 0 if figures["p99_ms"] < MOST_P99_MS and not figures["missing"] else 1


def _run(devices: int, browsers: int, rate: float, seconds: float) -> dict[str, float]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from ssm.lib import roles
    from tests.bench.fleet_rows import grow
    from tests.containers.logstage import add_user, session_cookie, web_process

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    print(grow(devices, with_events=False), flush=True)
    cookie = session_cookie(add_user("bench", roles.ADMINISTRATOR))
    tally = _open_pages(browsers)
    try:
        with web_process() as (port, pid):
            # What the first page loads is not the browsers'.
            _read(port, cookie, "/containers/")
            return asyncio.run(_measure(tally, port, pid, cookie, rate, seconds))
    finally:
        connections.close_all()


def _open_pages(count: int) -> Tally:
    """Which page each browser has open."""
    from containers.models import Container

    chance = random.Random(8)  # noqa: S311 - not for secrets
    ids = [str(pk) for pk in Container.objects.order_by("name", "device__name", "pk").values_list("pk", flat=True)]
    needing = [str(pk) for pk in Container.objects.needing_action().order_by("pk").values_list("pk", flat=True)[:10]]
    pages = max(1, len(ids) // 50)
    browsers, shown_by = [], dict[str, list[Browser]]()
    for number in range(count):
        kind = number % 10
        if kind < 6:
            page = 1 if kind < 3 else chance.randrange(1, pages + 1)
            shown, name, address = ids[(page - 1) * 50 : page * 50], "containers", f"/containers/?page={page}"
        elif kind < 8:
            shown, name = [chance.choice(ids)], "container"
            address = f"/containers/{shown[0]}/"
        elif kind == 8:
            shown, name, address = needing, "home", "/"
        else:
            shown, name, address = [], "events", "/events/"
        part = "header" if name == "container" else "row"
        elements = [f"container-{pk}-{what}" for pk in shown for what in (part, "cpu", "memory")]
        counts = ["navigation-counts"] + (["home-counts"] if name == "home" else [])
        browser = Browser(name, address, [*elements, *counts])
        browsers.append(browser)
        for pk in shown:
            shown_by.setdefault(pk, []).append(browser)
    return Tally(browsers, shown_by)


async def _measure(tally: Tally, port: int, pid: int, cookie: str, rate: float, seconds: float) -> dict[str, float]:
    before_mb = rss_mb(pid)
    readers = ThreadPoolExecutor(4, thread_name_prefix="reader")
    gate = asyncio.Semaphore(16)
    tasks = [asyncio.ensure_future(_browse(tally, browser, port, cookie, readers, gate)) for browser in tally.browsers]
    while tally.opened < len(tally.browsers):
        await asyncio.sleep(0.1)
    await asyncio.sleep(_SETTLE_S)
    opened_mb = rss_mb(pid)
    print(f"{tally.opened} pages open, the web process grew from {before_mb:.0f} to {opened_mb:.0f} MB", flush=True)
    # The first rendering of each template, and the first connections, are not what is measured.
    await asyncio.to_thread(_change, 20, WARM_UP_S, tally)
    await _until_all_came(tally)
    tally.delays, tally.messages, tally.reads = [], 0, 0
    cpu, began = cpu_seconds(pid), time.monotonic()
    changes = await asyncio.to_thread(_change, rate, seconds, tally)
    took = time.monotonic() - began
    await _until_all_came(tally)
    busy = (cpu_seconds(pid) - cpu) / (time.monotonic() - began) * 100
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    readers.shutdown(cancel_futures=True)
    delays = sorted(tally.delays)
    print(
        f"{changes} changes in {took:.1f} s, {tally.messages} messages, {tally.reads} lists read again, web process "
        f"{busy:.0f} % of a core, {rss_mb(pid):.0f} MB at the end; {len(delays)} arrivals, "
        f"median {delays[len(delays) // 2] * 1000:.0f} ms, slowest {delays[-1] * 1000:.0f} ms"
    )
    return {
        "browsers": len(tally.browsers),
        "changes_per_s": round(changes / took, 1),
        "p99_ms": round(delays[int(len(delays) * 0.99)] * 1000, 1),
        "mb_per_socket": round((opened_mb - before_mb) / len(tally.browsers), 3),
        "missing": tally.missing,
        "came_back": tally.came_back,
    }


async def _until_all_came(tally: Tally) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while tally.missing and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def _browse(
    tally: Tally, browser: Browser, port: int, cookie: str, readers: ThreadPoolExecutor, gate: asyncio.Semaphore
) -> None:
    """Have a page open for good: a socket that is closed is opened again, as live.js does."""
    is_first = True
    while True:
        async with gate:
            socket = await connect(
                f"ws://127.0.0.1:{port}/ws/live/",
                additional_headers={"Cookie": cookie},
                origin=Origin(f"http://127.0.0.1:{port}"),
                compression=None,
                open_timeout=60,
                max_size=None,
            )
        message = {"type": "watch", "page": browser.page, "made_at": time.time(), "ids": browser.elements}
        async with socket:
            await socket.send(json.dumps(message))
            tally.opened += is_first
            is_first = False
            await _take(tally, browser, socket, port, cookie, readers)
        tally.reads_anew(browser)


async def _take(
    tally: Tally, browser: Browser, socket: ClientConnection, port: int, cookie: str, readers: ThreadPoolExecutor
) -> None:
    """Take what comes; read the page again when asked to, one reading at a time."""
    reading: asyncio.Future[None] | None = None
    with suppress(ConnectionClosed):
        async for message in socket:
            moment, text = time.monotonic(), str(message)
            tally.messages += 1
            for container, number in (*_TITLE.findall(text), *_HEAD.findall(text)):
                tally.arrived(browser, container, int(number), moment)
            if 'id="live-signal"' in text and (reading is None or reading.done()):
                tally.reads += 1
                loop = asyncio.get_running_loop()
                reading = loop.run_in_executor(readers, _read, port, cookie, browser.address)


_local = threading.local()


def _read(port: int, cookie: str, address: str) -> None:
    """As live.js reads a page again, on a connection that is kept."""
    connection: http.client.HTTPConnection | None = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", address, headers={"Cookie": cookie, "HX-Request": "true"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        _local.connection = None


def _change(rate: float, seconds: float, tally: Tally) -> int:
    """Change containers of the whole fleet at that rate; how many changes were made."""
    from django.db import transaction

    from containers.models import Container, Event
    from containers.push import publish
    from devices.models import now
    from ssm.lib.database import database_work

    chance = random.Random(9)  # noqa: S311 - not for secrets
    with database_work():
        rows: list[Any] = list(Container.objects.values_list("pk", "device_id", "engine_id", "name"))
        began = time.monotonic()
        first = number = len(tally.began)
        while number - first < rate * seconds:
            ahead_s = began + (number - first) / rate - time.monotonic()
            if ahead_s > 0:
                time.sleep(ahead_s)
            pk, device, engine_id, name = chance.choice(rows)
            number += 1
            tally.expect(number, str(pk), time.monotonic())
            moment, time_ns = now(), time.time_ns()
            with transaction.atomic(durable=True):
                Container.objects.filter(pk=pk).update(
                    display_name=f"change-{number}", started_at=moment, changed_at=moment, observed_ns=time_ns
                )
                Event.objects.create(
                    **{"device_id": device, "container_id": pk, "kind": "container", "action": "start"},
                    **{"actor_id": engine_id, "actor_name": name, "time": moment, "time_ns": time_ns},
                )
                publish("container", device, [pk], what="appeared" if number % 20 == 0 else "updated")
                publish("event", device, [pk])
        return number - first


if __name__ == "__main__":
    sys.exit(main())
