"""The fleet table: search, filters, order, groups, pages, and what hostile names become."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from devices.models import now
from tests.factories import ContainerFactory, DeviceFactory, OperationFactory
from tests.people import People

pytestmark = pytest.mark.django_db
PARTIAL = {"HTTP_HX_REQUEST": "true"}
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def viewer(people: People) -> Client:
    return people.client("viewer")


def names(client: Client, query: str = "") -> list[str]:
    return [container.name for container in client.get(f"/containers/{query}").context["rows"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["api", "cache", "db", "web"]),
        ("?q=CACHE", ["cache"]),
        ("?q=postgres", ["db"]),
        ("?q=other-host", ["web"]),
        ("?state=running", ["api", "cache"]),
        ("?state=attention", ["cache", "db"]),
        ("?state=failed", ["db"]),
        ("?health=unhealthy", ["cache"]),
        ("?group=berlin", ["api", "cache", "db"]),
        ("?project=shop", ["api", "db"]),
        ("?state=running&project=shop", ["api"]),
        ("?state=nonsense&sort=nonsense&device=nonsense&page=nonsense", ["api", "cache", "db", "web"]),
        ("?sort=-name", ["web", "db", "cache", "api"]),
        ("?sort=device", ["api", "cache", "db", "web"]),
        ("?q=%00nul", []),
    ],
)
def test_fleet_filtered_by_its_address_shows_the_containers_that_pass(
    viewer: Client, query: str, found: list[str]
) -> None:
    host = DeviceFactory(name="a-host", groups=["berlin"], online=True)
    ContainerFactory(device=host, name="api", compose_project="shop")
    ContainerFactory(device=host, name="cache", health="unhealthy")
    ContainerFactory(
        device=host, name="db", state="exited", exit_code=1, compose_project="shop", image_reference="postgres:16"
    )
    ContainerFactory(device=DeviceFactory(name="other-host"), name="web", state="exited", exit_code=0)
    ContainerFactory(device=host, name="gone", removed_at=now())

    assert names(viewer, query) == found


def test_fleet_filtered_shows_a_removable_chip_for_each_filter(viewer: Client) -> None:
    ContainerFactory(compose_project="shop")

    chips = viewer.get("/containers/?project=shop&state=running&page=1").context["chips"]

    assert {(chip.name, chip.url) for chip in chips} == {("Project", "?state=running"), ("State", "?project=shop")}


def test_fleet_longer_than_a_page_is_paged(viewer: Client) -> None:
    host = DeviceFactory(online=True)
    for number in range(53):
        ContainerFactory(device=host, name=f"c{number:02}")

    assert names(viewer, "?page=2") == ["c50", "c51", "c52"]
    assert names(viewer, "?page=99") == ["c50", "c51", "c52"]


def test_fleet_grouped_counts_what_is_known_to_run(viewer: Client) -> None:
    host = DeviceFactory(name="up", online=True)
    ContainerFactory(device=host, name="one", compose_project="shop")
    ContainerFactory(device=host, name="two", compose_project="shop", state="exited", exit_code=0)
    ContainerFactory(device=DeviceFactory(name="down", unreachable=True), name="three", compose_project="shop")

    answer = viewer.get("/containers/?by=project")

    assert "1/3 running" in answer.content.decode()


def test_fleet_asked_by_htmx_answers_with_its_results_alone(viewer: Client) -> None:
    ContainerFactory()

    answer = viewer.get("/containers/", **PARTIAL)

    assert answer.content.decode().strip().startswith('<div id="container-results"')
    assert "HX-Request" in answer.headers["Vary"]


def test_fleet_without_a_match_offers_to_clear_the_filters(viewer: Client) -> None:
    ContainerFactory()

    assert "No container matches" in viewer.get("/containers/?q=zzz").content.decode()


def test_fleet_without_devices_tells_an_administrator_what_to_do(people: People) -> None:
    assert "/devices/add/" in people.client("administrator").get("/containers/").content.decode()
    assert "/devices/add/" not in people.client("viewer").get("/containers/").content.decode()


def test_fleet_of_more_rows_takes_no_more_queries(viewer: Client) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            viewer.get("/containers/?by=device")
        return len(queries)

    ContainerFactory()
    few = count()
    for _number in range(29):
        OperationFactory(state="running", container=ContainerFactory(compose_project="p"))

    assert count() == few
    assert few <= 12


def test_fleet_with_hostile_names_shows_them_as_text(viewer: Client) -> None:
    host = DeviceFactory(name=HOSTILE, online=True, groups=[HOSTILE[:50]])
    ContainerFactory(
        device=host,
        name=HOSTILE,
        display_name=HOSTILE,
        image_reference=HOSTILE,
        compose_project=HOSTILE,
        ports=[{"container_port": 80, "protocol": HOSTILE, "host_ip": HOSTILE, "host_port": 80}],
    )

    page = viewer.get("/containers/?by=project").content.decode()

    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page


def test_fleet_of_an_unreachable_device_marks_its_containers_stale(viewer: Client) -> None:
    container = ContainerFactory(device=DeviceFactory(unreachable=True), health="healthy")

    page = viewer.get("/containers/").content.decode()

    assert "was healthy" in page
    assert f'id="container-{container.pk}-row-stop"' not in page


def test_row_is_the_same_for_all_who_may_see_it(people: People) -> None:
    ContainerFactory()

    rows = {
        people.client(who).get("/containers/", **PARTIAL).content for who in ("administrator", "operator", "viewer")
    }

    assert len(rows) == 1
    assert b"csrf" not in rows.pop().lower()
