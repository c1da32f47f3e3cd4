"""The pages of statistics: what they show before scripts run, the figures they fetch, who is where in the ranking."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers.models import ContainerUsage, HostUsage
from containers.rules.statistics import Usage
from containers.statistics.storing import HostFigures, Sample, store
from devices.models import now
from tests.factories import ContainerFactory, DeviceFactory, EventFactory
from tests.people import People

MIB = 1024**2
GIB = 1024**3


@pytest.fixture
def viewer(people: People) -> Client:
    return people.client("viewer")


def fill(container, minutes=10, until=None, **usage):
    """A sample each minute, the last one just now."""
    figures = {"cpu_percent": 50.0, "memory_bytes": 64 * MIB, "memory_limit_bytes": 128 * MIB, "pids": 4, **usage}
    host = HostFigures(20.0, 2 * GIB, 8 * GIB, 0.5, 0.4, 0.3, 30 * GIB, 100 * GIB, "ssh", "")
    until = until or now()
    for minute in range(minutes, 0, -1):
        store(container.device, Sample(until - timedelta(minutes=minute - 1), host, {container.pk: Usage(**figures)}))


def queries(client: Client, url: str) -> int:
    client.get(url)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


# ---- one container


def test_page_shows_the_figures_of_the_span_without_scripts(viewer):
    container = ContainerFactory()
    fill(container)
    EventFactory(container=container, action="oom", time_ns=int(now().timestamp() * 1e9))

    page = viewer.get(f"/containers/{container.pk}/statistics/").content.decode()

    assert "50.0%" in page
    assert "64.0 MiB" in page
    assert "Out of memory" in page
    assert 'data-span="1h"' in page
    assert "style=" not in page


def test_page_without_any_reading_shows_dashes_and_no_zero(viewer):
    page = viewer.get(f"/containers/{ContainerFactory().pk}/statistics/").content.decode()

    assert page.count(">–</td>") == 7 * 4
    assert "Nothing started, stopped or failed in this time." in page


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"state": "exited"}, "does not run now"),
        ({"device__state": "unreachable"}, "cannot be reached now"),
        ({"device__statistics_enabled": False}, "Statistics are turned off"),
    ],
)
def test_page_says_why_nothing_new_comes(viewer, columns, words):
    container = ContainerFactory(**columns)

    assert words in viewer.get(f"/containers/{container.pk}/statistics/").content.decode()


def test_data_hold_series_marks_and_limits(viewer):
    container = ContainerFactory(
        device__cpus=4,
        device__memory_bytes=8 * GIB,
        inspect={"HostConfig": {"Memory": 128 * MIB, "NanoCpus": 1_500_000_000, "PidsLimit": 100}},
    )
    fill(container)
    EventFactory(container=container, action="die", attributes={"exitCode": "3"}, time_ns=int(now().timestamp() * 1e9))
    EventFactory(action="oom", time_ns=int(now().timestamp() * 1e9))

    data = viewer.get(f"/containers/{container.pk}/statistics/data/").json()

    assert len(data["times"]) == 10
    assert data["columns"]["cpu_percent"][0] == pytest.approx(50, rel=0.01)
    assert {len(column) for column in data["columns"].values()} == {10}
    assert [(mark["kind"], mark["text"]) for mark in data["marks"]] == [("fail", "Failed (exit code 3)")]
    assert data["limits"] == {
        "cpu_percent": 150.0,
        "memory_bytes": 128 * MIB,
        "pids": 100,
        "cpus": 4,
        "host_memory_bytes": 8 * GIB,
    }
    assert data["end"] - data["start"] == 3600


def test_data_of_a_part_hold_that_part_alone(viewer):
    container = ContainerFactory()
    until = now()
    fill(container, 30, until)
    start = int(until.timestamp()) - 20 * 60

    answer = viewer.get(f"/containers/{container.pk}/statistics/data/?span=24h&from={start}&to={start + 300}")

    data = answer.json()
    assert (data["start"], data["end"]) == (start, start + 300)
    assert 4 <= len(data["times"]) <= 6
    assert all(start <= time <= start + 300 for time in data["times"])
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        "span=1y",
        "from=1&to=2",
        "from=abc&to=1700000000",
        "from=1700000000&to=1700000010",
        "from=9999999999&to=1600000000",
        "from=١٧٠٠٠٠٠٠٠٠&to=1700000900",
        "from=1000000000&to=1700000000",
    ],
)
def test_data_of_an_odd_part_are_those_of_the_span(viewer, query):
    container = ContainerFactory()

    data = viewer.get(f"/containers/{container.pk}/statistics/data/?{query}").json()

    assert data["end"] - data["start"] == 3600
    assert abs(data["end"] - datetime.now(UTC).timestamp()) < 30


@pytest.mark.parametrize(
    "url",
    [
        "/containers/{container}/statistics/",
        "/containers/{container}/statistics/data/",
        "/devices/{device}/statistics/",
        "/devices/{device}/statistics/data/",
        "/containers/top/",
    ],
)
@pytest.mark.parametrize(
    ("role", "status"),
    [("administrator", 200), ("operator", 200), ("viewer", 200), ("stranger", 403), ("anonymous", 302)],
)
def test_statistics_are_for_those_who_may_see_the_fleet(people, url, role, status):
    container = ContainerFactory()

    answer = people.client(role).get(url.format(container=container.pk, device=container.device_id))

    assert answer.status_code == status


def test_statistics_of_what_is_unknown_are_not_found(viewer):
    nobody = "00000000-0000-4000-8000-000000000000"

    for url in ("containers/{}/statistics/", "containers/{}/statistics/data/", "devices/{}/statistics/data/"):
        assert viewer.get("/" + url.format(nobody)).status_code == 404


# ---- one device


def test_device_page_and_data_show_host_and_containers(viewer):
    container = ContainerFactory(device__name="harbour", device__cpus=2)
    fill(container)
    EventFactory(container=container, actor_name="web", action="oom", time_ns=int(now().timestamp() * 1e9))

    page = viewer.get(f"/devices/{container.device_id}/statistics/?span=6h").content.decode()
    data = viewer.get(f"/devices/{container.device_id}/statistics/data/?span=6h").json()

    assert "20.0%" in page
    assert "30.0 GiB" in page
    assert "web: Out of memory" in page
    assert data["columns"]["cpu_percent"][-1] == pytest.approx(20, rel=0.01)
    assert data["columns"]["containers_cpu_percent"][-1] == pytest.approx(50, rel=0.01)
    assert data["columns"]["disk_total_bytes"][-1] == pytest.approx(100 * GIB, rel=0.01)
    assert data["limits"]["cpus"] == 2


def test_device_page_without_host_figures_says_why(viewer):
    device = DeviceFactory(online=True)
    HostUsage.objects.create(device=device, sampled_at=now(), reason="The key may not run commands.")

    assert "The key may not run commands." in viewer.get(f"/devices/{device.pk}/statistics/").content.decode()
    assert "The key may not run commands." in viewer.get(f"/devices/{device.pk}/").content.decode()


# ---- tables


def use(container, **figures):
    ContainerUsage.objects.create(container=container, sampled_at=now(), **figures)
    return container


def names(client: Client, url: str) -> list[str]:
    return [container.name for container in client.get(url).context["page"]]


@pytest.fixture
def ranked(db) -> None:
    """Three that use something, one that was not read, one that does not run."""
    use(ContainerFactory(name="a"), cpu_percent=5, memory_bytes=30, network_received_bytes_per_s=1, pids=1)
    use(
        ContainerFactory(name="b", compose_project="shop"),
        cpu_percent=50,
        memory_bytes=10,
        network_received_bytes_per_s=1,
        network_sent_bytes_per_s=2,
        block_written_bytes_per_s=7,
    )
    use(ContainerFactory(name="c"), memory_bytes=20, block_read_bytes_per_s=9, pids=5)
    ContainerFactory(name="d")
    use(ContainerFactory(name="e", state="exited"))


@pytest.mark.usefixtures("ranked")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["b", "a", "c", "d"]),
        ("?sort=-cpu", ["a", "b", "c", "d"]),
        ("?sort=memory", ["a", "c", "b", "d"]),
        ("?sort=network", ["b", "a", "c", "d"]),
        ("?sort=block", ["c", "b", "a", "d"]),
        ("?sort=pids", ["c", "a", "b", "d"]),
        ("?sort=name", ["b", "a", "c", "d"]),
        ("?project=shop", ["b"]),
        ("?q=nothing", []),
    ],
)
def test_top_ranks_running_containers_with_the_unknown_last(viewer, query, found):
    assert names(viewer, f"/containers/top/{query}") == found


@pytest.mark.usefixtures("ranked")
def test_fleet_sorted_by_use_has_the_unknown_last_either_way(viewer):
    assert names(viewer, "/containers/?sort=cpu") == ["b", "a", "c", "d", "e"]
    assert names(viewer, "/containers/?sort=-cpu") == ["a", "b", "c", "d", "e"]
    assert names(viewer, "/containers/?sort=memory")[:3] == ["a", "c", "b"]


def test_devices_sorted_by_use_have_the_unknown_last_either_way(viewer):
    for name, used in (("a", 1), ("b", 3), ("c", None)):
        HostUsage.objects.create(
            device=DeviceFactory(name=name), cpu_percent=used, disk_used_bytes=used, disk_total_bytes=used and 4,
            memory_used_bytes=used, memory_total_bytes=used and 4,
        )  # fmt: skip

    for sort in ("cpu", "memory", "disk"):
        assert names(viewer, f"/devices/?sort={sort}") == ["b", "a", "c"]
        assert names(viewer, f"/devices/?sort=-{sort}") == ["a", "b", "c"]


def test_pages_with_thirty_rows_ask_as_often_as_with_one(viewer):
    device = DeviceFactory(online=True)
    HostUsage.objects.create(device=device, cpu_percent=3)
    urls = ("/containers/", "/containers/top/", "/devices/", f"/devices/{device.pk}/", "/?")
    use(ContainerFactory(device=device), cpu_percent=1)
    before = [queries(viewer, url) for url in urls]

    for number in range(29):
        use(ContainerFactory(device=device), cpu_percent=number)
        HostUsage.objects.create(
            device=DeviceFactory(online=True), disk_used_bytes=95, disk_total_bytes=100, sampled_at=now()
        )

    assert [queries(viewer, url) for url in urls] == before


def test_statistics_page_asks_as_often_with_many_samples_and_events(viewer):
    container = ContainerFactory()
    urls = (f"/containers/{container.pk}/statistics/", f"/devices/{container.device_id}/statistics/data/")
    before = [queries(viewer, url) for url in urls]

    fill(container, 30)
    for number in range(30):
        EventFactory(container=container, action="oom", time_ns=int(now().timestamp() * 1e9) - number)

    assert [queries(viewer, url) for url in urls] == before


# ---- home


def test_home_tells_of_hosts_that_are_nearly_full(viewer):
    def host(name, disk, memory, **columns):
        HostUsage.objects.create(
            device=DeviceFactory(name=name, online=True, **columns), sampled_at=now(),
            disk_used_bytes=disk, disk_total_bytes=100, memory_used_bytes=memory, memory_total_bytes=100,
        )  # fmt: skip

    host("roomy", 89, 94)
    host("disk", 90, 10)
    host("memory", None, 95)
    host("both", 99, 99)
    host("unwatched", 99, 99, statistics_enabled=False)

    answer = viewer.get("/")

    found = {full.device.name: (full.disk_percent, full.memory_percent) for full in answer.context["full_hosts"]}
    assert list(found) == ["both", "disk", "memory"]
    assert found == {"both": (99, 99), "disk": (90, None), "memory": (None, 95)}
    assert "disk 99% full" in answer.content.decode()


def test_data_are_compact_json(viewer):
    container = ContainerFactory()
    fill(container, 3, cpu_percent=1.23456)

    text = viewer.get(f"/containers/{container.pk}/statistics/data/").content.decode()

    assert ", " not in text.partition('"marks"')[0]
    assert all(len(str(value)) <= 6 for value in json.loads(text)["columns"]["cpu_percent"])
