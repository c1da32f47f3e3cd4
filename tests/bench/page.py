"""What the pages cost with a large fleet: 1,000 devices, 20,000 containers, a million events.

    python -m tests.bench.page [--small]      # DEVICES=1000 ROUNDS=20

Real: PostgreSQL, Redis, the web process as it runs in production (SSM_DEBUG off), the rows (tests.bench.fleet_rows), a
logged-in session. Time runs from the request to the last byte of its answer, on one kept connection to loopback, so it
holds all that the server does. Each page is asked for in turns: Home; Containers plain, searched, filtered, sorted,
grouped, on its first, a middle and its last page; tabs of one Container. The same is done with a tenth of the fleet
first. The last line is one JSON object: ``p95_ms`` is of the slowest kind of page, ``max_queries`` and ``page_kb``
(before compression) are of the dearest page, ``growth`` is of the kind whose mean grew most.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Final

from tests.bench.own_database import own_database
from tests.services import start_servers

MOST_P95_MS, MOST_QUERIES, MOST_PAGE_KB, MOST_GROWTH = 100, 10, 300, 1.5
WARM_UP: Final = 3


@dataclass(frozen=True, slots=True)
class Visit:
    """An address, and the kind of page that it counts for."""

    kind: str
    address: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What the pages took: milliseconds by address, and what is counted."""

    times: dict[Visit, list[float]]
    queries: dict[Visit, int]
    sizes: dict[Visit, int]

    def of(self, kind: str) -> list[float]:
        """All times of a kind of page, ascending."""
        return sorted(ms for visit, times in self.times.items() if visit.kind == kind for ms in times)

    def p95(self, kind: str) -> float:
        """The time that one request in twenty exceeds."""
        times = self.of(kind)
        return times[min(len(times) - 1, int(len(times) * 0.95))]


def main() -> int:
    """Measure and print; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page")
    parser.add_argument("--small", action="store_true", help="30 devices, 3 rounds")
    small = parser.parse_args().small
    devices = int(os.environ.get("DEVICES") or (30 if small else 1000))
    rounds = int(os.environ.get("ROUNDS") or (3 if small else 20))

    os.environ["SSM_DEBUG"] = "false"
    start_servers()
    with own_database("page"), tempfile.TemporaryDirectory() as static:
        os.environ["SSM_STATIC_DIR"] = static
        figures = _run(devices, rounds)
    print(f"targets: p95 {MOST_P95_MS} ms, {MOST_QUERIES} queries, {MOST_PAGE_KB} KB, growth {MOST_GROWTH}")
    print(json.dumps(figures))
    within = figures["p95_ms"] < MOST_P95_MS and figures["growth"] <= MOST_GROWTH
    return 0 if within and figures["max_queries"] <= MOST_QUERIES and figures["page_kb"] < MOST_PAGE_KB else 1


def _run(devices: int, rounds: int) -> dict[str, float]:
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
    cookie = session_cookie(add_user("bench", roles.ADMINISTRATOR))
    costs = []
    try:
        with web_process() as (port, _pid):
            for count in (max(1, devices // 10), devices):
                began = time.monotonic()
                fleet = grow(count)
                print(f"{fleet} after {time.monotonic() - began:.0f} s", flush=True)
                visits = _visits()
                costs.append(_measure(port, cookie, visits, rounds))
                _report(costs[-1])
    finally:
        connections.close_all()
    tenth, whole = costs
    kinds = sorted({visit.kind for visit in whole.times})
    return {
        "p95_ms": round(max(whole.p95(kind) for kind in kinds), 1),
        "max_queries": max(whole.queries.values()),
        "page_kb": round(max(whole.sizes.values()) / 1000, 1),
        "growth": round(max(statistics.fmean(whole.of(k)) / statistics.fmean(tenth.of(k)) for k in kinds), 2),
    }


def _visits() -> list[Visit]:
    """The addresses, of rows that are there."""
    from containers.models import Container
    from devices.models import Device

    present = Container.objects.filter(removed_at=None)
    pages = max(1, -(-present.count() // 50))
    boxes = list(present.filter(state="running").order_by("pk")[:3])
    device, project = Device.objects.order_by("pk")[0], boxes[0].compose_project
    queries = [
        *("", "q=web", "q=acme/shop", f"q={project}", "q=no-such-thing", "q=oslo", f"q={boxes[0].engine_id[:8]}"),
        *("state=running", "state=attention", "state=failed", "state=exited", "health=unhealthy", "health=healthy"),
        *(f"device={device.pk}", "group=berlin", f"project={project}", "group=staging&state=exited&q=api"),
        *("sort=-name", "sort=state", "sort=device", "sort=-project", "sort=since", "sort=-cpu", "sort=memory"),
        *("by=device", "by=project&sort=-memory", f"page={pages // 2}", f"page={pages}", "page=2&sort=-cpu"),
        f"sort=since&page={pages // 3}",
    ]
    containers = [Visit("Containers", f"/containers/?{query}") for query in queries]
    tabs = ("", "events/", "operations/", "updates/", "networks/", "inspect/", "statistics/", "settings/")
    container = [Visit("Container", f"/containers/{box.pk}/{tab}") for box in boxes for tab in tabs]
    return [Visit("Home", "/"), *containers, *container]


def _measure(port: int, cookie: str, visits: list[Visit], rounds: int) -> Cost:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    cost = Cost({visit: [] for visit in visits}, {}, {})
    # Home is one address beside many: asked for as often as they are, so that its tail is known as well.
    turns = [*visits, *[visit for visit in visits if visit.kind == "Home"] * 9]
    for number in range(rounds + WARM_UP):
        for visit in turns:
            began = time.perf_counter()
            connection.request("GET", visit.address, headers={"Cookie": cookie})
            answer = connection.getresponse()
            size = len(answer.read())
            took_ms = (time.perf_counter() - began) * 1000
            if answer.status != 200:
                raise RuntimeError(f"{visit.address}: {answer.status}")
            if number >= WARM_UP:
                cost.times[visit].append(took_ms)
                cost.sizes[visit] = size
    connection.close()
    _count_queries(cookie, cost)
    return cost


def _count_queries(cookie: str, cost: Cost) -> None:
    """The web process does not tell them; the same code in this one does."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="localhost", HTTP_COOKIE=cookie)
    for visit in cost.times:
        with CaptureQueriesContext(connection) as captured:
            client.get(visit.address)
        cost.queries[visit] = len(captured)


def _report(cost: Cost) -> None:
    for kind in sorted({visit.kind for visit in cost.times}):
        times = cost.of(kind)
        print(
            f"{kind:12} median {statistics.median(times):6.1f} ms   p95 {cost.p95(kind):6.1f} ms"
            f"   queries {max(n for visit, n in cost.queries.items() if visit.kind == kind)}"
            f"   {max(n for visit, n in cost.sizes.items() if visit.kind == kind) / 1000:.0f} KB"
        )
    slowest = sorted(cost.times, key=lambda visit: -statistics.median(cost.times[visit]))
    for visit in slowest[:5]:
        print(f"    {statistics.median(cost.times[visit]):6.1f} ms  {visit.address}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
