"""Containers made, copied and made anew by the API."""

import json
from typing import Any

import pytest

from containers.models import Container, Operation
from ssm.lib.roles import Right
from tests.api.caller import MakeCaller
from tests.factories import ContainerFactory, DeviceFactory

pytestmark = pytest.mark.django_db


def sealed() -> dict[str, Any]:
    changes: dict[str, Any] = json.loads(Operation.objects.get().sealed)["changes"]
    return changes


def test_container_is_asked_for_as_it_is_described(caller: MakeCaller) -> None:
    device = DeviceFactory(online=True)

    answer = caller().post(
        "/containers",
        {
            "device": str(device.pk),
            "name": "web",
            "image": "nginx:1.27",
            "command": ["nginx", "-g", "daemon off;"],
            "environment": {"TZ": "UTC", "EMPTY": ""},
            "labels": {"team": "a"},
            "ports": [{"container": "80", "host": "8080"}],
            "mounts": [{"source": "data", "target": "/data", "options": "ro"}],
            "restart_policy": "always",
            "memory": "64m",
            "cap_drop": ["NET_RAW"],
            "ulimits": {"nofile": "1024:4096"},
            "health": {"kind": "exec", "command": ["wget", "-q", "http://localhost/"], "interval": "10s"},
            "init": True,
            "starts": False,
        },
    )

    assert answer.status == 202, answer.body
    operation = Operation.objects.get()
    assert (operation.kind, operation.target_name) == ("create", "web")
    assert operation.parameters == {"pulls": False, "starts": False}
    changes = sealed()
    assert changes["name"] == "web"
    assert changes["config"]["Cmd"] == ["nginx", "-g", "daemon off;"]
    assert changes["config"]["Healthcheck"]["Test"] == ["CMD", "wget", "-q", "http://localhost/"]
    assert changes["env"]["set"] == {"TZ": "UTC", "EMPTY": ""}
    assert changes["ports"] == [["", "8080", "80", "tcp"]]
    assert changes["mounts"] == [["volume", "data", "/data", "ro"]]
    assert changes["host"]["RestartPolicy"]["Name"] == "always"
    assert (changes["host"]["Memory"], changes["host"]["Init"]) == (64 * 1024 * 1024, True)
    assert changes["host"]["CapDrop"] == ["NET_RAW"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "no good"}, "name"),
        ({"image": None}, "image"),
        ({"image": "Not An Image"}, "image"),
        ({"environment": {"A B": "1"}}, "environment.A B"),
        ({"ports": [{"container": "80"}, {"container": "99999"}]}, "ports.1.container"),
        ({"mounts": [{"target": "data"}]}, "mounts.0.target"),
        ({"networks": [{"name": "front", "ipv4": "1.2.3"}]}, "networks.0.ipv4"),
        ({"memory": "much"}, "memory"),
        ({"health": {"kind": "shell"}}, "health.command"),
        ({"network_mode": "host", "ports": [{"container": "80"}]}, "network_mode"),
        ({"cap_add": ["A\nB"]}, "cap_add"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_description_that_cannot_be_used_names_its_field(
    change: dict[str, Any], field: str, caller: MakeCaller
) -> None:
    device = DeviceFactory(online=True)
    body = {"device": str(device.pk), "name": "web", "image": "nginx:1.27", **change}

    answer = caller().post("/containers", body)

    assert (answer.status, answer.body["code"]) == (422, "invalid")
    assert field in answer.body["fields"], answer.body


def test_name_that_is_taken_is_doubtful_until_it_is_wanted_anyway(caller: MakeCaller) -> None:
    taken = ContainerFactory(name="web")
    body = {"device": str(taken.device_id), "name": "web", "image": "nginx:1.27"}

    doubted = caller().post("/containers", body)
    wanted = caller().post("/containers", {**body, "anyway": True})

    assert (doubted.status, doubted.body["code"], list(doubted.body["fields"])) == (422, "doubtful", ["name"])
    assert wanted.status == 202


@pytest.fixture
def inspected() -> Container:
    """A container with a variable whose value is secret to some."""
    inspect = {
        "Name": "/web",
        "Config": {"Image": "nginx:1.27", "Env": ["TOKEN=••••••", "TZ=UTC"], "Labels": {"team": "a"}},
        "HostConfig": {"RestartPolicy": {"Name": "no"}, "NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {"bridge": {}}},
    }
    found: Container = ContainerFactory(
        name="web",
        image_reference="nginx:1.27",
        inspect=inspect,
        environment='[["TOKEN", "s3cret"], ["TZ", "UTC"]]',
    )
    return found


def test_recreation_changes_only_what_it_names(inspected: Container, caller: MakeCaller) -> None:
    path = f"/containers/{inspected.pk}/recreate"

    answer = caller("administrator").post(path, {"environment": {"TZ": "Europe/Berlin"}, "labels": {"team": None}})

    assert answer.status == 202, answer.body
    operation = Operation.objects.get()
    assert (operation.kind, operation.container) == ("recreate", inspected)
    assert sealed() == {
        "env": {"set": {"TZ": "Europe/Berlin"}, "drop": []},
        "label": {"set": {}, "drop": ["team"]},
    }


def test_values_that_one_may_not_see_keep_their_program(inspected: Container, caller: MakeCaller) -> None:
    path = f"/containers/{inspected.pk}/recreate"

    refused = caller("operator").post(path, {"command": ["env"]})
    allowed = caller("operator").post(path, {"restart_policy": "always"})

    assert (refused.status, "command" in refused.body["fields"]) == (422, True)
    assert allowed.status == 202
    assert "s3cret" not in json.dumps(allowed.body)


def test_copy_takes_over_what_it_does_not_name(inspected: Container, caller: MakeCaller) -> None:
    body = {"device": str(inspected.device_id), "source": str(inspected.pk), "name": "web-2"}

    answer = caller("administrator").post("/containers", body)

    assert answer.status == 202, answer.body
    assert Operation.objects.get().parameters["source"]["row"] == str(inspected.pk)
    assert sealed() == {"name": "web-2"}


def test_creation_takes_the_right_to_operate_on_the_device(caller: MakeCaller) -> None:
    body = {"device": str(DeviceFactory(online=True).pk), "name": "web", "image": "nginx"}

    assert caller("viewer").post("/containers", body).status == 403
    assert caller("operator", [Right.SEE]).post("/containers", body).status == 403
