"""Devices, images, volumes, backups and networks by the API."""

import pytest

from containers.models import Backup, Operation, Volume
from devices.models import Device
from ssm.lib.roles import Right
from tests.api.caller import MakeCaller
from tests.factories import DeviceFactory, ImageFactory, NetworkFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def device() -> Device:
    """A device with one of each."""
    found: Device = DeviceFactory(name="web-1", online=True, groups=["lab"])
    ImageFactory(device=found, name="demo/web:1", repo_tags=["demo/web:1"])
    NetworkFactory(device=found, name="front")
    Volume.objects.create(device=found, name="data", driver="local")
    return found


@pytest.mark.parametrize(
    ("path", "name"), [("/devices", "web-1"), ("/networks", "front"), ("/volumes", "data"), ("/backups", None)]
)
def test_list_tells_what_there_is(path: str, name: str | None, device: Device, caller: MakeCaller) -> None:
    answer = caller("viewer").get(path)

    assert answer.status == 200
    assert [item["name"] for item in answer.body["items"]] == ([name] if name else [])
    assert answer.body["next"] == ""


def test_images_are_told_with_their_names(device: Device, caller: MakeCaller) -> None:
    items = caller("viewer").get("/images", {"q": "demo", "device": str(device.pk)}).body["items"]

    assert [item["tags"] for item in items] == [["demo/web:1"]]
    assert caller("viewer").get("/images", {"q": "other"}).body["items"] == []


def test_pull_is_asked_for_on_the_device(device: Device, caller: MakeCaller) -> None:
    program = caller()

    answer = program.post("/images/pull", {"reference": "nginx:1.27", "device": str(device.pk)})
    wrong = program.post("/images/pull", {"reference": "NOT A NAME", "device": str(device.pk)})

    assert answer.status == 202
    assert Operation.objects.get().kind == "image_pull"
    assert (wrong.status, list(wrong.body["fields"])) == (422, ["reference"])


def test_backup_takes_the_right_to_manage_volumes(device: Device, caller: MakeCaller) -> None:
    path = f"/volumes/{device.volumes.get().pk}/backup"

    assert caller("operator", [Right.SEE, Right.OPERATE]).post(path, {}).status == 403
    answer = caller("operator").post(path, {"consistency": "paused"})

    assert answer.status == 202
    backup = Backup.objects.get()
    assert (backup.consistency, str(backup.operation_id)) == ("paused", answer.body["id"])


def test_device_is_swept_when_asked(device: Device, caller: MakeCaller) -> None:
    assert caller("viewer").post(f"/devices/{device.pk}/sweep").status == 403
    assert caller("operator").post(f"/devices/{device.pk}/sweep").status == 200
