"""Images, volumes, backups, plans and networks by the API."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from containers.models import Backup, BackupPlan, Operation, Volume
from devices.models import Device
from ssm.accounts.models import AuditEntry
from ssm.lib.roles import Right
from tests.api.caller import BASE, Caller, MakeCaller
from tests.factories import (
    BackupFactory,
    ContainerFactory,
    DeviceFactory,
    ImageFactory,
    NetworkFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def device() -> Device:
    """A device with one of each."""
    found: Device = DeviceFactory(name="web-1", online=True, groups=["lab"])
    ImageFactory(device=found, name="demo/web:1", repo_tags=["demo/web:1"], size_bytes=1000)
    NetworkFactory(device=found, name="front")
    Volume.objects.create(device=found, name="data", driver="local")
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [("/devices", "web-1"), ("/networks", "front"), ("/volumes", "data"), ("/backups", None), ("/backup-plans", None)],
)
def test_list_tells_what_there_is(path: str, name: str | None, device: Device, caller: MakeCaller) -> None:
    answer = caller("viewer").get(path)

    assert answer.status == 200
    assert [item["name"] for item in answer.body["items"]] == ([name] if name else [])
    assert answer.body["next"] == ""


@pytest.mark.parametrize("path", ["/images", "/volumes", "/networks", "/backups"])
@pytest.mark.parametrize("sort", ["name", "-device", "size", "-created"])
def test_every_order_is_paged_to_its_end(path: str, sort: str, caller: MakeCaller) -> None:
    if path == "/networks" and sort == "size":
        pytest.skip("networks have no size")
    make: Any = {"/images": ImageFactory, "/volumes": VolumeFactory, "/networks": NetworkFactory}
    for number in range(5):
        if path == "/backups":
            BackupFactory(size_bytes=number * 100 or None)
        elif path == "/networks":
            make[path](name=f"n{number}")
        else:
            make[path](name=f"n{number}", size_bytes=number * 100 or None, created_at=None)
    wanted = sort.replace("name", "volume") if path == "/backups" else sort
    told: list[str] = []
    cursor = ""

    while True:
        body = caller("viewer").get(path, {"limit": 2, "sort": wanted, "cursor": cursor}).body
        told += [item["id"] for item in body["items"]]
        if not (cursor := body["next"]):
            break

    assert len(told) == len(set(told)) == 5


# ---- images


def test_images_are_told_with_their_names(device: Device, caller: MakeCaller) -> None:
    program = caller("viewer")
    items = program.get("/images", {"q": "demo", "device": str(device.pk)}).body["items"]

    assert [item["tags"] for item in items] == [["demo/web:1"]]
    assert program.get("/images", {"q": "other"}).body["items"] == []
    assert program.get("/images", {"use": "used"}).body["items"] == []
    assert len(program.get("/images", {"use": "unused", "group": "lab"}).body["items"]) == 1


def test_image_tells_who_uses_it(device: Device, caller: MakeCaller) -> None:
    image = device.images.get()
    ContainerFactory(name="web", device=device, image_id=image.engine_id)

    body = caller("viewer").get(f"/images/{image.pk}").body

    assert ([user["name"] for user in body["users"]], body["containers"]) == (["web"], 1)


def test_pull_is_asked_for_on_the_device(device: Device, caller: MakeCaller) -> None:
    program = caller()

    answer = program.post("/images/pull", {"reference": "nginx:1.27", "device": str(device.pk)})
    wrong = program.post("/images/pull", {"reference": "NOT A NAME", "device": str(device.pk)})

    assert answer.status == 202
    assert Operation.objects.get().kind == "image_pull"
    assert (wrong.status, list(wrong.body["fields"])) == (422, ["reference"])


@pytest.mark.parametrize(
    ("act", "body", "kind"),
    [
        ("tag", {"reference": "demo/web:2"}, "image_tag"),
        ("remove", {"name": "demo/web:1"}, "image_remove"),
        ("remove", None, "image_remove"),
    ],
)
def test_act_on_an_image_is_an_operation(
    act: str, body: dict[str, Any] | None, kind: str, device: Device, caller: MakeCaller
) -> None:
    answer = caller().post(f"/images/{device.images.get().pk}/{act}", body)

    assert (answer.status, answer.body["kind"]) == (202, kind)


def test_image_is_copied_to_several_devices_as_a_batch(device: Device, caller: MakeCaller) -> None:
    others = [DeviceFactory(online=True) for _number in range(2)]
    path = f"/images/{device.images.get().pk}/copy"

    answer = caller().post(path, {"devices": [str(other.pk) for other in others]})

    assert (answer.status, answer.body["operation"], answer.body["batch"]["total"]) == (202, None, 2)
    assert caller().post(path, {"devices": [str(device.pk)]}).status == 422


def test_prune_takes_what_was_shown_and_nothing_else(device: Device, caller: MakeCaller) -> None:
    program = caller()
    preview = program.get("/images/prune", {"scope": "unused"}).body
    assert (preview["count"], preview["hosts"][0]["names"]) == (1, ["demo/web:1"])
    ImageFactory(device=device, name="demo/new:1", repo_tags=["demo/new:1"])

    changed = program.post("/images/prune", {"scope": "unused", "stamp": preview["stamp"]})
    again = program.get("/images/prune", {"scope": "unused"}).body
    done = program.post("/images/prune", {"scope": "unused", "stamp": again["stamp"]})

    assert (changed.status, changed.body["code"]) == (409, "conflict")
    assert (done.status, done.body["operation"]["kind"]) == (202, "image_prune")


# ---- volumes and backups


def test_volume_is_made_on_several_devices(device: Device, caller: MakeCaller) -> None:
    other = DeviceFactory(online=True)
    body = {"name": "shared", "devices": [str(device.pk), str(other.pk)], "labels": {"team": "a"}}

    answer = caller().post("/volumes", body)

    assert (answer.status, answer.body["batch"]["total"]) == (202, 2)
    assert {operation.kind for operation in Operation.objects.all()} == {"volume_create"}
    assert caller().post("/volumes", {**body, "name": "no good"}).body["fields"].keys() == {"name"}
    assert caller().post("/volumes", {**body, "labels": {"a": "b\nc"}}).status == 422


def test_volume_tells_its_users_and_how_safe_it_is(device: Device, caller: MakeCaller) -> None:
    volume = device.volumes.get()
    ContainerFactory(name="web", device=device, mounts=[{"kind": "volume", "source": "data", "target": "/data"}])
    BackupFactory(device=device, volume_name="data")

    body = caller("viewer").get(f"/volumes/{volume.pk}").body

    assert ([user["name"] for user in body["users"]], body["user_count"]) == (["web"], 1)
    assert body["backed_up_at"] is not None
    names = [
        item["name"] for item in caller("viewer").get("/volumes", {"backups": "some", "use": "used"}).body["items"]
    ]
    assert names == ["data"]


def test_backup_takes_the_right_to_manage_volumes(device: Device, caller: MakeCaller) -> None:
    path = f"/volumes/{device.volumes.get().pk}/backup"

    assert caller("operator", [Right.SEE, Right.OPERATE]).post(path, {}).status == 403
    answer = caller("operator").post(path, {"consistency": "paused"})

    assert answer.status == 202
    backup = Backup.objects.get()
    assert (backup.consistency, str(backup.operation_id)) == ("paused", answer.body["id"])


def test_plan_is_set_looked_at_and_removed(device: Device, caller: MakeCaller) -> None:
    path, program = f"/volumes/{device.volumes.get().pk}/plan", caller()
    assert program.get(path).status == 404

    made = program.put(path, {"schedule": "30 2 * * *", "keep_daily": 7})
    changed = program.put(path, {"schedule": "0 4 * * *", "is_enabled": False})
    wrong = program.put(path, {"schedule": "whenever"})
    nothing = program.put(path, {"schedule": "0 4 * * *", "keep_last": 0, "keep_weekly": 0})

    assert (made.status, made.body["next_at"] is None) == (200, False)
    assert (changed.body["keep_daily"], changed.body["next_at"]) == (0, None)
    assert [list(each.body["fields"]) for each in (wrong, nothing)] == [["schedule"], ["keep_last"]]
    assert program.get("/backup-plans").body["items"][0]["volume"] == "data"
    assert program.delete(path).status == 204
    assert not BackupPlan.objects.exists()
    assert [entry.action for entry in AuditEntry.objects.filter(object_kind="backupplan").order_by("pk")] == [
        "backupplan.add",
        "backupplan.change",
        "backupplan.remove",
    ]


def test_restore_over_something_wants_its_name(device: Device, caller: MakeCaller) -> None:
    backup = BackupFactory(device=device, volume_name="data")
    path, program = f"/backups/{backup.pk}/restore", caller()
    body = {"device": str(device.pk), "name": "data"}

    taken = program.post(path, body)
    unconfirmed = program.post(path, {**body, "mode": "over"})
    wanted = program.post(path, {**body, "mode": "over", "confirmation": "data"})

    assert [list(each.body["fields"]) for each in (taken, unconfirmed)] == [["name"], ["confirmation"]]
    assert (wanted.status, wanted.body["kind"]) == (202, "volume_restore")


def test_backup_is_kept_and_deleted(device: Device, caller: MakeCaller) -> None:
    backup, program = BackupFactory(device=device, volume_name="data"), caller()
    path = f"/backups/{backup.pk}"

    kept = program.patch(path, {"is_kept": True, "note": "before the move"})
    gone = program.delete(path)

    assert (kept.body["is_kept"], kept.body["note"]) == (True, "before the move")
    assert (gone.status, gone.body["state"]) == (202, "deleting")
    assert program.delete(path).status == 409


@pytest.fixture
def stored(settings: Any, tmp_path: Path) -> Path:
    """A folder for backups of this test alone."""
    settings.SSM_BACKUP_DIR = tmp_path
    return tmp_path


def upload(program: Caller, content: bytes) -> Any:
    archive = SimpleUploadedFile("data.tar", content)
    client = Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {program.token}"}
    return client.post(f"{BASE}/backups/upload", {"archive": archive, "volume": "data"}, headers=headers)


def test_archive_is_uploaded_and_comes_back(stored: Path, caller: MakeCaller) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    program = caller("administrator")

    answer = upload(program, packed.getvalue())
    wrong = upload(program, b"no archive at all")

    assert answer.status_code == 201, answer.content
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["archive"])
    path = f"/backups/{answer.json()['id']}"
    assert program.get(f"{path}/archive").headers["Content-Length"] == str(answer.json()["size_bytes"])
    assert program.get(f"{path}/manifest").body["sha256"] == answer.json()["sha256"]


# ---- networks


def test_network_is_made_with_a_subnet(device: Device, caller: MakeCaller) -> None:
    body = {"name": "back", "devices": [str(device.pk)], "pools": [{"subnet": "10.9.0.0/24"}], "internal": True}

    answer = caller().post("/networks", body)
    overlapping = caller().post("/networks", {**body, "name": "x", "pools": [{"subnet": "10.1.2.0/25"}]})

    assert (answer.status, answer.body["operation"]["kind"]) == (202, "network_create")
    sent = Operation.objects.get().parameters["body"]
    assert (sent["Name"], sent["Internal"], sent["IPAM"]["Config"][0]["Subnet"]) == ("back", True, "10.9.0.0/24")
    assert list(overlapping.body["fields"]) == ["pools.0.subnet"]


def test_network_is_changed_by_what_is_named(device: Device, caller: MakeCaller) -> None:
    network = device.networks.get()

    answer = caller().post(f"/networks/{network.pk}/configure", {"internal": True})

    assert answer.status == 202, answer.body
    sent = Operation.objects.get().parameters["body"]
    assert (sent["Name"], sent["Internal"], sent["IPAM"]["Config"][0]["Subnet"]) == ("front", True, "10.1.2.0/24")


def test_container_is_connected_and_disconnected(device: Device, caller: MakeCaller) -> None:
    network, program = device.networks.get(), caller()
    container = ContainerFactory(device=device, networks=[])
    stranger = ContainerFactory()
    path = f"/networks/{network.pk}"

    connected = program.post(f"{path}/connect", {"containers": [str(container.pk)], "ipv4": "10.1.2.9"})
    elsewhere = program.post(f"{path}/connect", {"containers": [str(stranger.pk)]})
    outside = program.post(f"{path}/connect", {"containers": [str(container.pk)], "ipv4": "10.7.7.7"})

    assert (connected.status, connected.body["kind"]) == (202, "network_connect")
    assert [list(each.body["fields"]) for each in (elsewhere, outside)] == [["containers"], ["ipv4"]]
    Operation.objects.all().delete()
    assert program.post(f"{path}/disconnect", {"container": str(container.pk)}).status == 202


def test_network_of_the_engine_stays(device: Device, caller: MakeCaller) -> None:
    bridge = NetworkFactory(device=device, name="bridge")

    assert caller().post(f"/networks/{bridge.pk}/remove").status == 409
    assert caller().post(f"/networks/{bridge.pk}/configure", {"internal": True}).status == 409


def test_unused_networks_are_removed_by_name(device: Device, caller: MakeCaller) -> None:
    program = caller()
    unused = program.get("/networks/unused").body["items"]

    answer = program.post("/networks/prune", {"networks": [item["id"] for item in unused]})

    assert [item["name"] for item in unused] == ["front"]
    assert (answer.status, answer.body["operation"]["kind"]) == (202, "network_prune")
