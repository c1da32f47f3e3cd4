"""The form's page: what it shows to whom, rows without scripts, what is known against a value, another try."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers.models import Container, Operation
from containers.rules.masking import MASK
from devices.models import Device
from tests.containers.test_specification import recorded
from tests.factories import ContainerFactory, DeviceFactory, ImageFactory, NetworkFactory, RepositoryFactory
from tests.people import People

pytestmark = pytest.mark.django_db
SECRET = "s3cret-value"


@pytest.fixture
def operator(people: People) -> Client:
    return people.client("operator")


@pytest.fixture
def administrator(people: People) -> Client:
    return people.client("administrator")


@pytest.fixture
def device() -> Device:
    return DeviceFactory(name="host-a", online=True)


@pytest.fixture
def rich(device: Device) -> Container:
    """As the inventory holds one: secrets masked in the answer, variables apart."""
    answer = recorded("28", "rich")
    config = {**answer["Config"], "Env": [f"{entry.partition('=')[0]}={MASK}" for entry in answer["Config"]["Env"]]}
    ImageFactory(
        device=device,
        engine_id=answer["Image"],
        repo_tags=["test/recorded:1.0.0"],
        name="test/recorded:1.0.0",
        config={
            "entrypoint": ["/app.sh"],
            "variables": [["PATH", "/bin"], ["FROM_IMAGE", "one"]],
            "working_dir": "/srv",
        },
    )
    pairs = [["SHARED", "mine"], ["TOKEN", SECRET], ["FROM_IMAGE", "one"], ["PATH", "/bin"]]
    return ContainerFactory(
        name="rec-rich",
        device=device,
        engine_id=answer["Id"],
        image_id=answer["Image"],
        inspect={**answer, "Config": config},
        environment=json.dumps(pairs),
    )


def form(device: Device, **fields: Any) -> dict[str, Any]:
    return {"device": str(device.pk), "name": "web", "image": "nginx:1.27", **fields}


def test_new_shows_an_empty_form_for_the_only_device(operator: Client, device: Device) -> None:
    answer = operator.get("/containers/new/")

    assert (answer.status_code, answer.context["device"]) == (200, device)
    assert answer.context["rows"]["network"][0].cells["name"].value == "bridge"


def test_new_takes_image_volume_and_network_from_the_address(operator: Client, device: Device) -> None:
    answer = operator.get("/containers/new/?image=redis:7&volume=data&network=front")

    assert answer.context["fields"]["image"].value == "redis:7"
    assert answer.context["rows"]["mount"][0].cells["source"].value == "data"
    assert [row.cells["name"].value for row in answer.context["rows"]["network"]] == ["front"]


def test_create_asks_for_an_operation_whose_row_holds_no_value(operator: Client, device: Device) -> None:
    answer = operator.post("/containers/new/", form(device, env_name="TOKEN", env_value=SECRET, starts="on"))

    operation = Operation.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, operation.get_absolute_url())
    assert (operation.kind, operation.target_name, operation.device) == ("create", "web", device)
    assert json.loads(operation.sealed)["changes"]["env"] == {"set": {"TOKEN": SECRET}, "drop": []}
    assert SECRET not in f"{operation.parameters}{operation.journal}{operation.output}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM containers_operation")
        assert SECRET not in str(cursor.fetchall())


def test_create_of_the_same_name_at_once_is_refused(operator: Client, device: Device) -> None:
    operator.post("/containers/new/", form(device))

    answer = operator.post("/containers/new/", form(device))

    assert answer.status_code == 409
    assert "is being created already" in answer.content.decode()
    assert Operation.objects.count() == 1


def test_wrong_values_come_back_with_everything_that_was_typed(operator: Client, device: Device) -> None:
    answer = operator.post(
        "/containers/new/",
        form(
            device, memory="much", env_name=["A", ""], env_value=["1", "lost?"], port_host=["x"], port_container=["80"]
        ),
    )

    page = answer.content.decode()
    assert answer.status_code == 422
    assert {error["identity"] for error in answer.context["errors"]} == {"new-memory", "env-1-name", "port-0-host"}
    assert all(f'id="{error["identity"]}"' in page for error in answer.context["errors"])
    assert "lost?" in page
    assert answer.context["fields"]["memory"].value == "much"
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("sent", "rows"),
    [
        ({"add": "env"}, ["A", "B", ""]),
        ({"drop": "env:0"}, ["B"]),
        ({"drop": "env:x"}, ["A", "B"]),
        ({"paste": "1", "variables": "C=3\nB=2"}, ["A", "B", "C"]),
        ({"redraw": "1"}, ["A", "B"]),
    ],
)
def test_rows_change_without_scripts_and_without_a_check(
    operator: Client, device: Device, sent: dict[str, str], rows: list[str]
) -> None:
    answer = operator.post("/containers/new/", form(device, name="", env_name=["A", "B"], env_value=["1", "x"], **sent))

    assert answer.status_code == 200
    assert [row.cells["name"].value for row in answer.context["rows"]["env"]] == rows
    assert answer.context["errors"] == []
    assert not Operation.objects.exists()


def test_new_lets_nobody_see_another_device(people: People, device: Device) -> None:
    for role in ("viewer", "stranger"):
        assert people.client(role).get("/containers/new/").status_code == 403

    DeviceFactory(name="host-b")
    answer = people.client("operator").post("/containers/new/", {**form(device), "device": "nonsense"})
    assert (answer.status_code, answer.context["device_error"][:6]) == (422, "Choose")


# ---- what is known against a value


@pytest.fixture
def taken(device: Device) -> Container:
    return ContainerFactory(
        name="taken",
        device=device,
        port_claims=[
            {"container_port": 80, "protocol": "tcp", "host_ip": "127.0.0.1", "host_port": 8080, "host_range": ""}
        ],
        networks=[{"name": "front", "address": "10.1.2.9", "address6": "", "mac": "", "aliases": []}],
    )


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({"name": "taken"}, "new-name"),
        ({"port_host": "8080", "port_container": "80"}, "port-0-host"),
        ({"port_ip": "127.0.0.1", "port_host": "8080", "port_container": "80"}, "port-0-host"),
        ({"network_name": "none-such"}, "network-0-name"),
        ({"network_name": "front", "network_ipv4": "10.1.2.9"}, "network-0-ipv4"),
        ({"network_name": "front", "network_ipv4": "10.9.2.9"}, "network-0-ipv4"),
        ({"network_mode": "container", "network_container": "ghost"}, "new-network_container"),
        ({"port_ip": "10.0.0.1", "port_host": "8080", "port_container": "80"}, ""),
        ({"port_host": "8080", "port_container": "80", "port_protocol": "udp"}, ""),
        ({"network_name": "front", "network_ipv4": "10.1.2.10"}, ""),
        ({"network_name": "bridge"}, ""),
    ],
)
def test_what_is_known_of_the_host_is_told_before_and_can_be_overruled(
    operator: Client, device: Device, taken: Container, fields: dict[str, str], identity: str
) -> None:
    NetworkFactory(device=device, name="front")

    answer = operator.post("/containers/new/", form(device, **fields))

    if not identity:
        assert answer.status_code == 302
        return
    assert answer.status_code == 422
    assert [error["identity"] for error in answer.context["errors"]] == [identity]
    assert 'name="anyway"' in answer.content.decode()
    assert operator.post("/containers/new/", form(device, anyway="on", **fields)).status_code == 302


# ---- an existing container


def test_recreate_shows_the_container_without_what_is_the_images(administrator: Client, rich: Container) -> None:
    answer = administrator.get(f"/containers/{rich.pk}/recreate/")

    values = {row.cells["name"].value: row.cells["value"].value for row in answer.context["rows"]["env"]}
    assert values == {"SHARED": "mine", "TOKEN": SECRET}
    assert answer.context["fields"]["entrypoint"].value == ""
    assert answer.context["fields"]["entrypoint"].placeholder == "/app.sh"


def test_recreate_hides_values_from_those_without_the_right(operator: Client, rich: Container) -> None:
    answer = operator.get(f"/containers/{rich.pk}/recreate/")

    values = {row.cells["name"].value: row.cells["value"].value for row in answer.context["rows"]["env"]}
    assert values == {"SHARED": MASK, "TOKEN": MASK}
    assert SECRET not in answer.content.decode()


def test_recreate_refuses_another_command_from_those_who_may_not_see_values(operator: Client, rich: Container) -> None:
    sent = {"name": "rec-rich", "image": "test/recorded:1.0.0", "env_name": ["TOKEN"], "env_value": [MASK]}

    answer = operator.post(f"/containers/{rich.pk}/recreate/", {**sent, "command": "env"})

    assert answer.status_code == 422
    assert "new-command" in {error["identity"] for error in answer.context["errors"]}


def test_recreate_of_a_container_that_was_replaced_meanwhile_asks_to_look_again(
    administrator: Client, rich: Container
) -> None:
    answer = administrator.post(f"/containers/{rich.pk}/recreate/", {"seen": "another", "name": "x", "image": "y"})

    assert answer.status_code == 409
    assert not Operation.objects.exists()


def test_recreate_of_a_removed_or_unknown_container_is_not_found(operator: Client, rich: Container) -> None:
    Container.objects.update(removed_at=rich.appeared_at)

    assert operator.get(f"/containers/{rich.pk}/recreate/").status_code == 404
    assert operator.get("/containers/new/?from=nonsense").status_code == 404


def test_duplicate_has_another_name_and_no_fixed_address(administrator: Client, rich: Container) -> None:
    ContainerFactory(name="rec-rich-copy", device=rich.device)

    answer = administrator.get(f"/containers/new/?from={rich.pk}")

    assert answer.context["fields"]["name"].value == "rec-rich-copy1"
    assert {row.cells["ipv4"].value for row in answer.context["rows"]["network"]} == {""}
    assert "/data" not in {row.cells["target"].value for row in answer.context["rows"]["mount"]}


def test_duplicate_carries_over_where_it_comes_from_and_no_hidden_value(operator: Client, rich: Container) -> None:
    page = operator.get(f"/containers/new/?from={rich.pk}")
    sent = {name: field.value for name, field in page.context["fields"].items() if field.value}
    for kind, rows in page.context["rows"].items():
        for column in rows[0].cells if rows else ():
            sent[f"{kind}_{column}"] = [row.cells[column].value for row in rows]

    answer = operator.post(
        "/containers/new/", {**sent, "from": str(rich.pk), "device": str(rich.device_id), "anyway": "on"}
    )

    operation = Operation.objects.get()
    assert answer.status_code == 302
    assert operation.parameters["source"]["engine_id"] == rich.engine_id
    assert SECRET not in operation.sealed
    assert "env" not in json.loads(operation.sealed)["changes"]


# ---- another try, choices


def test_a_failed_creation_can_be_tried_again_by_the_one_who_asked(
    people: People, operator: Client, administrator: Client, device: Device
) -> None:
    operator.post("/containers/new/", form(device, memory="64m", env_name="A", env_value="1"))
    operation = Operation.objects.get()

    mine = operator.get(f"/containers/new/?operation={operation.pk}")
    theirs = administrator.get(f"/containers/new/?operation={operation.pk}")

    assert mine.context["fields"]["memory"].value == "64m"
    assert mine.context["rows"]["env"][0].cells["value"].value == "1"
    assert theirs.context["fields"]["memory"].value == ""


def test_choices_offer_known_images_and_tags(administrator: Client, device: Device) -> None:
    ImageFactory(device=device, name="demo/web:1.0.0", repo_tags=["demo/web:1.0.0", "demo/web:latest"])
    RepositoryFactory(path="demo/website", tags=["1.0", "2.0", "2.1"])

    def offered(text: str) -> list[str]:
        answer = administrator.get("/containers/new/choices/", {"image": text, "device": str(device.pk)})
        return list(answer.context["names"])

    assert offered("demo/web") == ["demo/web:1.0.0", "demo/web:latest", "demo/website:2.1"]
    assert offered("demo/website:2") == ["demo/website:2.1", "demo/website:2.0"]
    assert offered("nothing-like-it") == []


def test_form_takes_the_same_number_of_queries_with_many_rows(operator: Client, device: Device) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get("/containers/new/").status_code == 200
        return len(captured)

    queries()
    ContainerFactory(device=device)
    NetworkFactory(device=device)
    ImageFactory(device=device, repo_tags=["a:1"])
    few = queries()
    ContainerFactory.create_batch(30, device=device)
    NetworkFactory.create_batch(30, device=device)
    ImageFactory.create_batch(30, device=device, repo_tags=["b:1"])

    assert queries() == few


def test_hostile_names_are_escaped(administrator: Client, rich: Container) -> None:
    inspect = rich.inspect
    inspect["Config"]["Labels"] = {"<script>alert(1)</script>": "</textarea><img src=x>"}
    Container.objects.filter(pk=rich.pk).update(inspect=inspect)

    page = administrator.get(f"/containers/{rich.pk}/recreate/").content.decode()

    assert "<script>alert" not in page
    assert "<img src=x>" not in page
