"""Compose projects as pages: the list over hosts, one project, and acts on all of it in the order of its services."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers.models import Batch, Container, Operation
from containers.projects import services_of
from devices.models import Device
from tests.factories import ContainerFactory, DeviceFactory, NetworkFactory, VolumeFactory
from tests.people import People
from tests.queued import take_queued

pytestmark = pytest.mark.django_db
DEPENDS = "com.docker.compose.depends_on"


def member(device: Device, project: str, service: str, waits_for: str = "", **columns: Any) -> Container:
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.project.working_dir": f"/srv/{project}",
        "com.docker.compose.project.config_files": f"/srv/{project}/compose.yaml",
        **({DEPENDS: f"{waits_for}:service_started:false"} if waits_for else {}),
    }
    return ContainerFactory(
        device=device,
        name=f"{project}-{service}-1",
        compose_project=project,
        compose_service=service,
        labels=labels,
        **columns,
    )


@pytest.fixture
def device() -> Device:
    return DeviceFactory(name="host-a", online=True)


@pytest.fixture
def operator(people: People) -> Client:
    return people.client("operator")


@pytest.fixture
def shop(device: Device) -> list[Container]:
    mounts = [{"kind": "volume", "source": "shop_data", "destination": "/data", "read_only": False}]
    networks = [{"name": "shop_default", "address": "", "address6": "", "mac": "", "aliases": []}]
    return [
        member(device, "shop", "web", "api", networks=networks),
        member(device, "shop", "api", "db", networks=networks),
        member(device, "shop", "db", state="exited", exit_code=1, mounts=mounts),
    ]


def page_of(device: Device, name: str = "shop") -> str:
    return f"/projects/{device.pk}/?name={name}"


def test_list_tells_each_project_of_each_host_with_its_state(
    operator: Client, device: Device, shop: list[Container]
) -> None:
    other = DeviceFactory(name="host-b", unreachable=True)
    member(other, "shop", "web")
    member(device, "calm", "web")
    ContainerFactory(device=device)

    rows = operator.get("/projects/").context["rows"]

    assert [(row.name, row.device_name, row.running, row.total, row.needing, row.state) for row in rows] == [
        ("calm", "host-a", 1, 1, 0, "running"),
        ("shop", "host-a", 2, 3, 1, "partly"),
        ("shop", "host-b", 0, 1, 0, "stale"),
    ]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=db", ["shop"]),
        ("q=host-a", ["calm", "shop"]),
        ("state=attention", ["shop"]),
        ("state=running", ["calm"]),
        ("state=partly", ["shop"]),
        ("state=stopped", []),
        ("sort=-name", ["shop", "calm"]),
        ("sort=containers", ["shop", "calm"]),
        ("sort=bogus&state=bogus&page=99", ["calm", "shop"]),
    ],
)
def test_list_filters_and_sorts(
    operator: Client, device: Device, shop: list[Container], query: str, names: list[str]
) -> None:
    member(device, "calm", "web")

    answer = operator.get(f"/projects/?{query}")

    assert [row.name for row in answer.context["rows"]] == names
    assert next((row.total for row in answer.context["rows"] if row.name == "shop"), 3) == 3, "found whole"


def test_project_shows_services_in_order_with_networks_volumes_and_files(
    operator: Client, device: Device, shop: list[Container]
) -> None:
    NetworkFactory(device=device, name="shop_default", compose_project="shop")
    NetworkFactory(device=device, name="other")
    VolumeFactory(device=device, name="shop_data")
    VolumeFactory(device=device, name="shop_unused", labels={"com.docker.compose.project": "shop"})
    VolumeFactory(device=device, name="other")

    context = operator.get(page_of(device)).context

    assert [(each.name, each.waits_for, each.running) for each in context["services"]] == [
        ("db", (), 0),
        ("api", ("db",), 1),
        ("web", ("api",), 1),
    ]
    assert [(network.name, count) for network, count in context["networks"]] == [("shop_default", 2)]
    assert [volume.name for volume in context["volumes"]] == ["shop_data", "shop_unused"]
    assert (context["directory"], context["files"]) == ("/srv/shop", ["/srv/shop/compose.yaml"])


def test_project_that_nobody_has_is_not_found(operator: Client, device: Device, shop: list[Container]) -> None:
    assert operator.get(page_of(device, "none")).status_code == 404
    assert operator.get(f"/projects/{device.pk}/").status_code == 404
    Container.objects.update(removed_at=shop[0].appeared_at)
    assert operator.get(page_of(device)).status_code == 404


def test_project_of_any_name_has_a_page(operator: Client, device: Device) -> None:
    name = "a/b ?&#<b>"
    member(device, name, "web")

    row = operator.get("/projects/").context["rows"][0]
    answer = operator.get(row.url)

    assert answer.status_code == 200
    assert "<b>" not in answer.content.decode()
    assert answer.context["project"].key == f"{device.pk}:{name}"


@pytest.mark.parametrize(
    ("kind", "waves"),
    [("start", {"db": 0, "api": 1, "web": 2}), ("stop", {"web": 0, "api": 1, "db": 2})],
)
def test_act_on_a_project_goes_through_its_services_in_order(
    operator: Client, device: Device, shop: list[Container], kind: str, waves: dict[str, int]
) -> None:
    take_queued()
    sent = {"of": "projects", "project": f"{device.pk}:shop", "kind": kind}
    answer = operator.post("/containers/bulk/", sent)
    if kind == "stop":
        assert (answer.status_code, len(answer.context["chosen"])) == (200, 3)
        chosen = [str(container.pk) for container in answer.context["chosen"]]
        answer = operator.post("/containers/bulk/", {**sent, "container": chosen, "confirmation": "yes"})

    batch = Batch.objects.get()
    rows = Operation.objects.filter(batch=batch).values_list("container__compose_service", "wave")
    assert (answer.status_code, answer.headers["Location"]) == (302, batch.get_absolute_url())
    assert batch.title == f"{kind.capitalize()} the project shop"
    assert dict(rows) == waves


def test_act_on_all_projects_that_match_leaves_the_others(
    operator: Client, device: Device, shop: list[Container]
) -> None:
    member(device, "calm", "web")

    operator.post("/containers/bulk/", {"of": "projects", "matching": "q=shop", "kind": "start"})

    assert Operation.objects.count() == 3
    assert set(Operation.objects.values_list("container__compose_project", flat=True)) == {"shop"}


def test_act_on_no_project_does_nothing(operator: Client, device: Device, shop: list[Container]) -> None:
    for keys in ([], ["nonsense"], [f"{device.pk}:"], [f"{device.pk}:none"]):
        answer = operator.post("/containers/bulk/", {"of": "projects", "project": keys, "kind": "start"})
        assert answer.status_code == 302

    assert not Operation.objects.exists()


def test_viewers_see_projects_and_cannot_act(people: People, device: Device, shop: list[Container]) -> None:
    viewer = people.client("viewer")

    assert viewer.get(page_of(device)).status_code == 200
    sent = {"of": "projects", "project": f"{device.pk}:shop", "kind": "start"}
    assert viewer.post("/containers/bulk/", sent).status_code == 403


def test_pages_take_the_same_number_of_queries_with_many_rows(operator: Client, device: Device) -> None:
    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(address).status_code == 200
        return len(captured)

    member(device, "shop", "web")
    operator.get("/projects/")
    few = queries("/projects/"), queries(page_of(device))
    for number in range(30):
        member(device, f"project-{number}", "web")
        member(device, "shop", f"service-{number}")

    assert (queries("/projects/"), queries(page_of(device))) == few


def test_services_that_wait_for_one_another_in_a_circle_are_all_there(device: Device) -> None:
    rows = [member(device, "odd", "a", "b"), member(device, "odd", "b", "a"), member(device, "odd", "")]

    assert [service.name for service in services_of(rows)] == ["a", "b", ""]
