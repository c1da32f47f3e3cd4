"""Who manages the devices of some groups reaches, takes in, and hands out those of no other."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from devices.importing import ADDED, FAILED, add, plan, read
from devices.models import Credential, Device, DeviceGroup
from devices.services import may_manage
from ssm.lib.roles import Right
from tests.accounts.people import make_role, make_user
from tests.devices.test_views_devices import typed
from tests.factories import CredentialFactory, DeviceFactory, HostKeyFactory

pytestmark = pytest.mark.django_db
MANAGING = {Right.SEE, Right.MANAGE_DEVICES}


@pytest.fixture
def anna() -> User:
    """Sees and operates everything, manages the devices of "shop"."""
    everywhere = make_role("everywhere", {Right.SEE, Right.OPERATE})
    return make_user("anna", everywhere, make_role("shop", MANAGING, device_groups=["shop"]))


@pytest.fixture
def browser(anna: User, client: Client) -> Client:
    client.force_login(anna)
    return client


@pytest.fixture
def shop() -> Device:
    device: Device = DeviceFactory(name="of-shop", groups=["shop"], credential=CredentialFactory(username="op"))
    return device


@pytest.fixture
def other() -> Device:
    device: Device = DeviceFactory(name="of-others", groups=["production"])
    return device


def sent(device: Device, **changes: Any) -> dict[str, object]:
    kept = {"name": device.name, "address": device.address, "port": device.port, "groups": ", ".join(device.groups)}
    return typed(**kept, login="existing", credential=str(device.credential_id), **changes)


@pytest.mark.parametrize(
    ("groups", "kept", "expected"),
    [
        (["shop"], [], True),
        ([], [], False),
        (["production"], [], False),
        (["shop", "production"], [], False),
        (["production"], ["production"], False),
        (["shop", "production"], ["shop", "production"], True),
        (["shop", "production", "new"], ["shop", "production"], False),
        (["shop", "berlin"], [], True),
        (["berlin"], [], True),
    ],
)
def test_groups_of_a_device_stay_within_the_limits(
    groups: list[str], kept: list[str], expected: bool, anna: User
) -> None:
    anna.groups.add(make_role("berlin", MANAGING, device_groups=["berlin"]).group)

    assert may_manage(User.objects.get(pk=anna.pk), groups, kept=kept) == expected


def test_new_device_goes_into_own_groups_alone(browser: Client) -> None:
    for groups in ("", "production", "shop, production"):
        answer = browser.post("/devices/add/", typed(groups=groups))
        assert answer.status_code == 422
        assert "limited to some groups" in answer.content.decode()

    assert browser.post("/devices/add/", typed(groups="shop")).status_code == 302
    assert Device.objects.get().groups == ["shop"]


@pytest.mark.parametrize("groups", ["", "production", "shop, production"])
def test_own_device_is_not_moved_to_others(groups: str, browser: Client, shop: Device) -> None:
    answer = browser.post(f"/devices/{shop.pk}/edit/", sent(shop) | {"groups": groups})

    assert answer.status_code == 422
    shop.refresh_from_db()
    assert shop.groups == ["shop"]


def test_own_device_in_a_group_of_others_too_keeps_it(browser: Client, shop: Device) -> None:
    Device.objects.filter(pk=shop.pk).update(groups=["shop", "production"])
    shop.refresh_from_db()

    answer = browser.post(f"/devices/{shop.pk}/edit/", sent(shop) | {"name": "renamed"})

    assert answer.status_code == 302
    shop.refresh_from_db()
    assert (shop.name, shop.groups) == ("renamed", ["shop", "production"])


def test_device_of_others_that_is_seen_is_not_managed(browser: Client, other: Device) -> None:
    key = HostKeyFactory(device=other)
    accepted = {"host_key_type": key.key_type, "host_key_base64": key.key_base64}
    assert browser.get(f"/devices/{other.pk}/").status_code == 200

    answers = {
        "form": browser.get(f"/devices/{other.pk}/edit/"),
        "change": browser.post(f"/devices/{other.pk}/edit/", sent(other) | {"groups": "shop"}),
        "delete": browser.post(f"/devices/{other.pk}/delete/", {"confirmation": other.name}),
        "retry": browser.post(f"/devices/{other.pk}/retry/"),
        "key": browser.post(f"/devices/{other.pk}/host-key/", accepted),
        "access": browser.get(f"/devices/{other.pk}/access/"),
        "test": browser.post("/devices/test/", {"device": str(other.pk)}),
        "test as changed": browser.post("/devices/test/", sent(other) | {"device": str(other.pk)}),
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 404)
    other.refresh_from_db()
    assert (other.groups, other.credential_id is not None) == (["production"], True)


def test_work_on_a_device_takes_the_right_to_operate_it(client: Client, other: Device) -> None:
    user = make_user(
        "ben", make_role("see", {Right.SEE}), make_role("shop", {Right.SEE, Right.OPERATE}, device_groups=["shop"])
    )
    client.force_login(user)

    assert client.post(f"/devices/{other.pk}/run/", {"kind": "sweep"}).status_code == 404


def test_log_in_of_others_is_not_sent_to_an_own_server(browser: Client, shop: Device, other: Device) -> None:
    """A stored one that others use, and the default of a group that others use too."""
    shared = CredentialFactory(username="root")
    DeviceGroup.objects.create(name="shop", credential=shared)
    DeviceFactory(groups=["elsewhere"], credential=shared)

    stored = browser.post("/devices/add/", typed(groups="shop", login="existing", credential=str(other.credential_id)))
    default = browser.post("/devices/add/", typed(groups="shop", login="group"))

    assert (stored.status_code, default.status_code) == (422, 422)
    assert "also for devices of others" in default.content.decode()
    assert Device.objects.filter(address="203.0.113.7").count() == 0


def test_default_log_in_of_own_devices_alone_is_used(browser: Client) -> None:
    DeviceGroup.objects.create(name="shop", credential=CredentialFactory(username="shopkeeper"))

    assert browser.post("/devices/add/", typed(groups="shop", login="group")).status_code == 302
    assert Device.objects.get().credential is None


@pytest.mark.parametrize(
    ("groups", "text", "outcome"),
    [
        (["shop"], "web-1", ADDED),
        ([], "web-1", FAILED),
        (["production"], "web-1", FAILED),
        (["shop", "production"], "web-1", FAILED),
    ],
)
def test_import_keeps_within_own_groups(groups: list[str], text: str, outcome: str, anna: User) -> None:
    credential = CredentialFactory()

    results = add(plan(read("list", text).hosts, anna), {0}, {"": credential, "root": credential}, groups, anna)

    assert [result.outcome for result in results] == [outcome], results
    assert Device.objects.count() == (outcome == ADDED)


def test_import_groups_of_the_text_stay_within_own_groups(anna: User) -> None:
    text = "all:\n  children:\n    production:\n      hosts:\n        web-1:\n          ansible_host: 203.0.113.9\n"

    results = add(plan(read("inventory", text).hosts, anna), {0}, {}, ["shop"], anna)

    assert [result.outcome for result in results] == [FAILED]


def test_import_takes_no_default_log_in_of_others(anna: User) -> None:
    shared: Credential = CredentialFactory()
    DeviceGroup.objects.create(name="shop", credential=shared)
    DeviceFactory(groups=["elsewhere"], credential=shared)

    results = add(plan(read("list", "203.0.113.9").hosts, anna), {0}, {}, ["shop"], anna)

    assert [result.outcome for result in results] == [FAILED]
    assert "also for devices of others" in results[0].message
