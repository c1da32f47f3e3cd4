"""Pages of volumes and backups: who is let in, what they ask, how they answer with thousands of rows."""

import io
import tarfile
import time
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from containers.fragments import parse_element, render_element
from containers.models import Backup, BackupPlan, Operation, Volume
from ssm.accounts.models import AuditEntry
from ssm.lib.roles import Right
from tests.accounts.people import make_role, make_user
from tests.factories import BackupFactory, BackupPlanFactory, ContainerFactory, DeviceFactory, VolumeFactory
from tests.people import People

pytestmark = pytest.mark.django_db


def mount(name: str) -> list[dict[str, object]]:
    return [{"kind": "volume", "source": name, "destination": "/data", "read_only": False}]


@pytest.fixture
def client(people: People) -> Client:
    """The operator's browser."""
    return people.client("operator")


def queries(client: Client, url: str) -> int:
    client.get(url)  # what is read once per process
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def fill(count: int) -> None:
    device = DeviceFactory(online=True)
    for number in range(count):
        volume = VolumeFactory(device=device)
        ContainerFactory(device=device, mounts=mount(volume.name))
        BackupFactory(device=device, volume_name=volume.name)
        if number % 2:
            BackupPlanFactory(device=device, volume_name=volume.name)


@pytest.mark.parametrize("page", ["volumes:list", "backups:list", "volumes:prune"])
def test_page_asks_as_often_for_thirty_rows_as_for_one(page: str, client: Client) -> None:
    fill(1)
    few = queries(client, reverse(page))
    fill(29)

    assert queries(client, reverse(page)) == few


def test_list_of_5000_volumes_answers_at_once(client: Client) -> None:
    devices = [DeviceFactory(online=True) for _number in range(5)]
    Volume.objects.bulk_create(
        Volume(device=devices[number % 5], name=f"v{number:04}", driver="local", size_bytes=number)
        for number in range(5000)
    )
    for device in devices:
        ContainerFactory(device=device, mounts=mount("v0000") + mount(f"v{devices.index(device):04}"))
    client.get(reverse("volumes:list"))  # loads what is loaded once
    for address in ("", "?use=unused", "?use=used", "?safety=none&sort=size", "?q=v49&sort=-backup"):
        began = time.monotonic()
        response = client.get(f"{reverse('volumes:list')}{address}")
        # A page that asked for each row's containers would take a minute.
        assert (response.status_code, time.monotonic() - began < 20) == (200, True)
    assert client.get(f"{reverse('volumes:list')}?use=used").context["page"].paginator.count == 5
    assert client.get(f"{reverse('volumes:prune')}?scope=unused").context["count"] == 4995


def test_filters_find_by_use_and_by_backups(client: Client) -> None:
    used, planned, bare = VolumeFactory(), VolumeFactory(), VolumeFactory(name="a" * 64, is_anonymous=True)
    ContainerFactory(device=used.device, mounts=mount(used.name))
    BackupPlanFactory(device=planned.device, volume_name=planned.name)
    BackupFactory(device=used.device, volume_name=used.name)

    def found(query: str) -> set[str]:
        return {row.name for row in client.get(f"{reverse('volumes:list')}?{query}").context["rows"]}

    assert found("use=used") == found("safety=some") == {used.name}
    assert found("use=anonymous") == {bare.name}
    assert found("safety=planned") == {planned.name}
    assert found("use=unused&safety=none") == {planned.name, bare.name}
    assert found(f"device={used.device_id}") == {used.name}


def test_volume_is_removed_only_by_its_name(client: Client) -> None:
    volume = VolumeFactory()
    url = reverse("volumes:remove", args=[volume.pk])

    assert b"There is no backup of it" in client.get(url).content
    assert client.post(url, {"confirmation": "other"}).status_code == 422
    assert not Operation.objects.exists()
    assert client.post(url, {"confirmation": volume.name}).status_code == 302
    assert Operation.objects.get().kind == "volume_remove"


def test_new_volume_is_asked_for_with_its_secrets_sealed(client: Client) -> None:
    device = DeviceFactory(online=True)
    form = {"name": "shared", "devices": [str(device.pk)], "driver": "", "options": "type=cifs\no=password=hidden"}

    assert client.post(reverse("volumes:new"), {**form, "name": "no good"}).status_code == 422
    assert client.post(reverse("volumes:new"), form).status_code == 302
    operation = Operation.objects.get()
    assert "hidden" in operation.sealed and "hidden" not in str(operation.parameters)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM containers_operation")
        assert "hidden" not in str(cursor.fetchall())


def test_several_volumes_are_backed_up_with_a_result_each(client: Client) -> None:
    volumes = [VolumeFactory() for _number in range(3)]
    form = {"kind": "backup", "volume": [str(volume.pk) for volume in volumes]}

    assert client.post(reverse("volumes:bulk"), form).status_code == 200
    assert (
        client.post(reverse("volumes:bulk"), {**form, "confirmation": "yes", "consistency": "paused"}).status_code
        == 302
    )
    assert (
        Operation.objects.filter(kind="volume_backup").count()
        == Backup.objects.filter(consistency="paused").count()
        == 3
    )


def test_plan_is_checked_saved_audited_and_removed(client: Client) -> None:
    volume = VolumeFactory()
    url = reverse("volumes:plan", args=[volume.pk])
    form = {
        "schedule": "30 2 * * *", "consistency": "paused", "keep_last": "3", "keep_daily": "0", "keep_weekly": "0",
        "keep_monthly": "0", "is_enabled": "on",
    }  # fmt: skip

    assert b"not a cron expression" in client.post(url, {**form, "schedule": "often"}).content
    assert b"has to keep something" in client.post(url, {**form, "keep_last": "0"}).content
    assert client.post(url, form).status_code == 302
    plan = BackupPlan.objects.get()
    assert (plan.volume_name, plan.keep_last, plan.created_by_name) == (volume.name, 3, "operator")
    assert plan.next_at is not None
    assert client.post(url, {"act": "remove"}).status_code == 302
    assert not BackupPlan.objects.exists()
    audited = AuditEntry.objects.filter(action__startswith="backupplan").order_by("pk")
    assert list(audited.values_list("action", flat=True)) == ["backupplan.add", "backupplan.remove"]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"mode": "new"}, b"has a volume of that name"),
        ({"mode": "over"}, b"what it holds is overwritten"),
        ({"mode": "replace", "confirmation": "other"}, b"what it holds is overwritten"),
        ({"mode": "over", "name": "nothing"}, b"has no volume of that name"),
    ],
    ids=["taken", "not-typed", "other-typed", "not-there"],
)
def test_restore_that_would_harm_is_refused_until_it_is_meant(
    form: dict[str, str], error: bytes, client: Client
) -> None:
    volume = VolumeFactory(name="data")
    backup = BackupFactory(device=volume.device, volume_name="data")
    url = reverse("backups:restore", args=[backup.pk])
    given = {"device": str(volume.device_id), "name": "data", "during": "stopped", "safety": "on", **form}

    response = client.post(url, given)

    assert response.status_code == 422 and error in response.content
    assert not Operation.objects.exists()
    assert client.post(url, {**given, "mode": "over", "name": "data", "confirmation": "data"}).status_code == 302
    assert Operation.objects.get().parameters["safety"] is True


def test_backup_that_is_not_good_is_neither_restored_nor_downloaded(client: Client) -> None:
    backup = BackupFactory(state="failed")
    device = DeviceFactory(online=True)

    assert client.get(reverse("backups:download", args=[backup.pk])).status_code == 302
    form = {"device": str(device.pk), "name": "data-new", "mode": "new", "during": "stopped"}
    client.post(reverse("backups:restore", args=[backup.pk]), form)
    assert not Operation.objects.exists()


def test_only_good_backup_is_deleted_only_by_its_name(client: Client) -> None:
    backup = BackupFactory(volume_name="data")
    url = reverse("backups:delete", args=[backup.pk])

    assert b"only good backup" in client.get(url).content
    assert client.post(url, {"confirmation": "yes"}).status_code == 422
    assert client.post(url, {"confirmation": "data"}).status_code == 302
    backup.refresh_from_db()
    assert backup.state == "deleting"


def test_archive_is_uploaded_and_downloaded_again(client: Client, backup_folder: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("a")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    url = reverse("backups:upload")

    def send(data: bytes) -> int:
        return client.post(url, {"archive": SimpleUploadedFile("x.tar", data), "volume": "up"}).status_code

    assert [send(b"PK no tar"), send(buffer.getvalue()[:600])] == [422, 422]
    assert not list(backup_folder.rglob("*.zst*"))
    assert send(buffer.getvalue()) == 302
    backup = Backup.objects.get()
    assert (backup.state, backup.contents["files"], backup.root) == ("good", 1, "")
    response = client.get(reverse("backups:download", args=[backup.pk]))
    assert response["Content-Length"] == str(backup.size_bytes)
    assert response["Content-Disposition"].endswith('.tar.zst"')
    manifest = client.get(reverse("backups:download", args=[backup.pk]), {"manifest": "1"})
    assert manifest.json()["sha256"] == backup.sha256


@pytest.mark.parametrize("name", ["<b>x</b>", "a&b\"c'"])
def test_hostile_names_are_text(name: str, client: Client) -> None:
    volume = VolumeFactory(name=name, labels={name: name}, options={name: name}, driver=name)
    BackupFactory(device=volume.device, volume_name=name, labels={name: name}, note=name, error=name)

    for url in (reverse("volumes:list"), reverse("backups:list"), volume.get_absolute_url()):
        assert b"<b>x</b>" not in client.get(url).content


def test_volume_names_no_container_to_those_who_may_not_see_it() -> None:
    volume = VolumeFactory(labels={"team": "web"}, name="shared")
    for name, labels in (("seen-one", {"team": "web"}), ("hidden-one", {})):
        ContainerFactory(device=volume.device, name=name, labels=labels, mounts=mount("shared"))
    limited = make_user("limited", make_role("limited", Right, labels=["team=web"]))
    browser = Client()
    browser.force_login(limited)
    answers = [browser.get(path).content.decode() for path in (reverse("volumes:list"), volume.get_absolute_url())]
    element = parse_element(f"volume-{volume.pk}-row")
    assert element is not None
    answers.append(render_element(element, limited))

    assert all("seen-one +1" in answer and "hidden-one" not in answer for answer in answers)
    assert "hidden-one +1" in render_element(element, User.objects.create_superuser("all"))
