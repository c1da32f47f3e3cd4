"""The Django admin: every table is there, in the product's frame, and its actions do what the pages do."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from containers.models import Batch, Operation
from devices.models import Device, HostKey, ShownKey, now
from registries.models import Registry, RepositoryKnowledge
from ssm.accounts.models import ApiToken, AuditEntry, OpenSession
from ssm.accounts.tokens import make_token
from ssm.lib.roles import Limit, Right
from tests.accounts.people import make_role, make_user
from tests.factories import (
    BackupPlanFactory,
    ContainerFactory,
    DeviceFactory,
    HostKeyFactory,
    OperationFactory,
    RegistryFactory,
    ShownKeyFactory,
    TagFactory,
    VolumeFactory,
)
from tests.people import People
from tests.ssm.test_routes import make_objects

pytestmark = pytest.mark.django_db

APPS = ("accounts", "devices", "registries", "containers")
# Their rows are told apart by the key of a session, which opens it: no page may hold that.
LEFT_OUT = {OpenSession, Session}


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def act(client: Client, model: Any, action: str, *rows: Any, **further: Any) -> Any:
    """Choose an action for rows of a list."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return client.post(url, {"action": action, "_selected_action": [str(row.pk) for row in rows], **further})


def told(client: Client, url: str = "/admin/") -> str:
    """The messages of the next page, as text."""
    text = client.get(url).content.decode()
    found = re.findall(r'notice__text">(.*?)</div>', text, re.S)
    return " ".join(re.sub(r"<[^>]+>", "", each) for each in found)


def test_every_table_is_in_the_admin() -> None:
    ours = {model for app in APPS for model in apps.get_app_config(app).get_models()}

    assert ours - set(admin.site._registry) == LEFT_OUT & ours
    assert not LEFT_OUT & set(admin.site._registry)


@pytest.mark.parametrize("model", [model for app in APPS for model in apps.get_app_config(app).get_models()], ids=str)
def test_list_of_every_table_can_be_searched_and_shows_a_row(model: Any, root: Client) -> None:
    if model in LEFT_OUT:
        pytest.skip("left out")
    registered = admin.site._registry[model]
    assert registered.search_fields, "has no search"
    base = f"admin:{model._meta.app_label}_{model._meta.model_name}"

    page = root.get(reverse(f"{base}_changelist"), {"q": "web 1"})

    assert page.status_code == 200
    assert b'class="frame"' in page.content
    assert b"<style" not in page.content
    assert b" style=" not in page.content


def test_pages_of_the_admin_are_in_the_frame_without_inline_style(root: Client) -> None:
    ids = make_objects()
    device = Device.objects.get(pk=ids["device"])
    for url in (
        "/admin/",
        "/admin/devices/",
        reverse("admin:devices_device_change", args=[device.pk]),
        reverse("admin:devices_device_add"),
        reverse("admin:devices_device_delete", args=[device.pk]),
        reverse("admin:devices_device_history", args=[device.pk]),
        reverse("admin:containers_operation_change", args=[ids["operation"]]),
        reverse("admin:auth_user_add"),
    ):
        page = root.get(url)
        text = page.content.decode()

        assert page.status_code == 200, url
        assert 'class="side"' in text, url
        assert "<style" not in text, url
        assert " style=" not in text, url
        assert text.count("<h1") == 1, url


def test_popup_has_no_navigation(root: Client) -> None:
    page = root.get(reverse("admin:devices_credential_add"), {"_popup": "1"})

    assert page.status_code == 200
    assert b'class="side"' not in page.content
    assert b"css/admin.css" in page.content


@pytest.mark.parametrize(
    ("action", "kind"),
    [("test_connection", "device_test"), ("sweep", "device_sweep"), ("check_updates", "device_check")],
)
def test_action_on_devices_becomes_operations_with_a_page(action: str, kind: str, people: People) -> None:
    devices = [DeviceFactory(), DeviceFactory()]
    client = people.client("administrator")

    response = act(client, Device, action, *devices)

    batch = Batch.objects.get()
    assert response["Location"] == batch.get_absolute_url()
    found = batch.operations.values_list("kind", "object_kind", "target_name", "state", "requested_by_name")
    assert set(found) == {(kind, "device", device.name, "queued", "administrator") for device in devices}
    # Once more: the second is told to wait for the first, and nothing is done twice.
    act(client, Device, action, devices[0])
    assert Operation.objects.filter(state="failed", error_code="operation_conflict").count() == 1
    assert client.get(batch.get_absolute_url()).status_code == 200


def test_action_of_others_is_not_offered_and_refused(people: People) -> None:
    device = DeviceFactory()
    seer = make_user("seer", make_role("sees", {Right.SEE}))
    User.objects.filter(pk=seer.pk).update(is_staff=True)
    client = Client()
    client.force_login(seer)

    page = client.get(reverse("admin:devices_device_changelist"))
    act(client, Device, "sweep", device)
    act(client, Device, "try_now", device)

    assert page.status_code == 200
    assert b'value="sweep"' not in page.content
    assert b"accept_shown_keys" not in page.content
    assert not Operation.objects.exists()


@pytest.mark.parametrize("where", [Device, ShownKey])
def test_host_key_is_accepted_after_its_fingerprint_was_shown(where: Any, people: People) -> None:
    device = DeviceFactory()
    HostKeyFactory(device=device, key_type="ssh-rsa")
    shown = ShownKeyFactory(device=device)
    row, action = (device, "accept_shown_keys") if where is Device else (shown, "accept")
    client = people.client("administrator")

    page = act(client, where, action, row)

    text = page.content.decode()
    assert page.status_code == 200
    assert shown.fingerprint in text
    assert HostKey.objects.get().key_type == "ssh-rsa", "nothing happens before the answer"
    [seen] = re.findall(r'name="seen" value="([^"]+)"', text)
    act(client, where, action, row, confirmed="1", seen=seen)
    assert HostKey.objects.get().fingerprint == shown.fingerprint
    assert not ShownKey.objects.exists()
    assert AuditEntry.objects.filter(action="hostkey.accept", user_name="administrator").exists()
    assert shown.fingerprint in told(client)


def test_host_key_that_changed_meanwhile_is_not_accepted(people: People) -> None:
    shown = ShownKeyFactory()
    client = people.client("administrator")
    act(client, ShownKey, "accept", shown)

    act(client, ShownKey, "accept", shown, confirmed="1", seen=f"{shown.device_id} SHA256:another")

    assert not HostKey.objects.exists()
    assert "another key meanwhile" in told(client)


def test_watching_is_switched_with_a_record(people: People) -> None:
    device = DeviceFactory(watch_enabled=True)
    client = people.client("administrator")

    act(client, Device, "unwatch", device)

    device.refresh_from_db()
    assert not device.watch_enabled
    entry = AuditEntry.objects.get(action="device.change")
    assert (entry.before["watch_enabled"], entry.after["watch_enabled"]) == (True, False)
    assert "1 device is not watched any more" in told(client)


def test_containers_are_stopped_after_asking_back(people: People) -> None:
    container = ContainerFactory(state="running")
    client = people.client("administrator")

    page = act(client, type(container), "stop", container)
    assert container.name in page.content.decode()
    assert not Operation.objects.exists()
    act(client, type(container), "stop", container, confirmed="1")

    assert Operation.objects.get().kind == "stop"


def test_volumes_and_plans_are_backed_up(people: People) -> None:
    volume, plan = VolumeFactory(), BackupPlanFactory(is_enabled=True)
    client = people.client("administrator")

    response = act(client, type(volume), "back_up", volume)
    act(client, type(plan), "run_plans", plan)

    assert response.status_code == 302
    assert Operation.objects.get().kind == "volume_backup"
    assert "1 plan will run" in told(client)


def test_operation_is_called_off(people: People) -> None:
    operation = OperationFactory(state="queued")
    client = people.client("administrator")

    act(client, Operation, "call_off", operation)

    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert "1 of 1" in told(client)


def test_registries_are_looked_up_and_switched(people: People) -> None:
    registry = RegistryFactory(host="registry.example.com")
    rival = RegistryFactory(host="registry.example.com", is_enabled=False)
    repository = TagFactory(repository__host="registry.example.com").repository
    client = people.client("administrator")

    act(client, Registry, "look_up", registry)
    act(client, RepositoryKnowledge, "look_up", repository)
    act(client, Registry, "test", registry)
    assert told(client).count("being looked up") == 2
    act(client, Registry, "switch_on", rival)

    assert "another account counts" in told(client)
    act(client, Registry, "switch_off", registry)
    registry.refresh_from_db()
    assert not registry.is_enabled


def test_token_of_somebody_with_more_rights_is_not_revoked(people: People) -> None:
    keeper = make_user("keeper", make_role("keeps users", {Right.SEE, Right.LOGS, Right.MANAGE_USERS}))
    User.objects.filter(pk=keeper.pk).update(is_staff=True)
    client = Client()
    client.force_login(keeper)
    until = now() + timedelta(days=1)
    theirs, _text = make_token(people.administrator, "theirs", [Right.SEE], Limit(), until)
    mine, _text = make_token(people.viewer, "a viewer's", [Right.SEE], Limit(), until)

    act(client, ApiToken, "revoke_them", theirs, mine)
    said = told(client)

    theirs.refresh_from_db()
    mine.refresh_from_db()
    assert "Theirs is of administrator" in said
    assert theirs.revoked_at is None
    assert mine.revoked_at is not None, said
