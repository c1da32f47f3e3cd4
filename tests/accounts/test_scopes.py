"""What a limit leaves of each kind of row, by device groups, by labels, and by several roles together."""

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User

from containers.models import Batch, Container, Event, Image, Operation
from devices.models import Credential, Device, HostKey
from registries.models import Registry
from ssm.lib.roles import EVERYTHING, Limit, Right, can, can_everywhere, grants_of
from tests.accounts.people import make_role, make_user
from tests.factories import (
    ContainerFactory,
    CredentialFactory,
    DeviceFactory,
    EventFactory,
    HostKeyFactory,
    ImageFactory,
    OperationFactory,
    RegistryFactory,
)

pytestmark = pytest.mark.django_db
EVERY = set(Right)
KINDS = (Container, Device, Operation, Event, Image, HostKey, Batch)


@pytest.fixture
def fleet() -> dict[str, Device]:
    """Two devices: "shop" in group shop with a labelled and a bare container, "lab" in no group with one labelled."""
    devices = {}
    for name, groups in (("shop", ["shop", "eu"]), ("lab", [])):
        device = DeviceFactory(name=name, groups=groups, online=True)
        labelled = ContainerFactory(
            device=device, name=f"{name}-team", labels={"team": "web"}, image_id=f"sha256:{name}"
        )
        batch = Batch.objects.create(title=f"batch of {name}")
        OperationFactory(container=labelled, batch=batch, state="failed", finished_at=labelled.started_at)
        EventFactory(container=labelled)
        EventFactory(container=None, device=device, actor_id="", actor_name="")
        ImageFactory(device=device, engine_id=f"sha256:{name}")
        ImageFactory(device=device)
        HostKeyFactory(device=device)
        devices[name] = device
    ContainerFactory(device=devices["shop"], name="shop-bare", labels={"team": "data"})
    RegistryFactory()
    return devices


def seen(user: User, right: Right = Right.SEE) -> dict[str, int]:
    return {kind.__name__: kind.objects.permitted(user, right).count() for kind in KINDS}


ALL = {"Container": 3, "Device": 2, "Operation": 2, "Event": 4, "Image": 4, "HostKey": 2, "Batch": 2}
SHOP = {"Container": 2, "Device": 1, "Operation": 1, "Event": 2, "Image": 2, "HostKey": 1, "Batch": 1}
WEB = {"Container": 2, "Device": 2, "Operation": 2, "Event": 2, "Image": 2, "HostKey": 2, "Batch": 2}
NONE = dict.fromkeys(ALL, 0)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({}, ALL),
        ({"device_groups": ["shop"]}, SHOP),
        ({"device_groups": ["shop", "eu"]}, SHOP),
        ({"device_groups": ["elsewhere"]}, NONE),
        ({"labels": ["team=web"]}, WEB),
        ({"labels": ["team"]}, {**ALL, "Event": 2, "Image": 2}),
        ({"labels": ["team=nobody"]}, NONE),
        ({"device_groups": ["shop"], "labels": ["team=web"]}, {**{name: 1 for name in ALL}}),
    ],
    ids=["everywhere", "group", "two groups", "other group", "label", "any value", "no such value", "both"],
)
def test_see_within_a_limit_is_what_the_limit_leaves(
    limit: dict[str, list[str]], expected: dict[str, int], fleet: dict[str, Device]
) -> None:
    user = make_user("anna", make_role("some", [Right.SEE], **limit))

    assert seen(user) == expected


def test_operate_within_labels_reaches_no_device_or_image(fleet: dict[str, Device]) -> None:
    user = make_user("anna", make_role("web", [Right.SEE, Right.OPERATE], labels=["team=web"]))

    assert seen(user, Right.OPERATE) == {**WEB, "Device": 0, "Image": 0, "HostKey": 0}


def test_two_roles_each_right_holds_where_its_role_does(fleet: dict[str, Device]) -> None:
    user = make_user(
        "anna", make_role("all", [Right.SEE]), make_role("shop", [Right.SEE, Right.OPERATE], device_groups=["shop"])
    )

    assert seen(user) == ALL
    assert seen(user, Right.OPERATE) == SHOP
    assert seen(user, Right.LOGS) == NONE


@pytest.mark.parametrize("right", [Right.MANAGE_REGISTRIES, Right.MANAGE_USERS])
def test_rights_about_no_device_do_not_hold_within_a_limit(right: Right, fleet: dict[str, Device]) -> None:
    user = make_user("anna", make_role("some", [Right.SEE, right], device_groups=["shop"]))

    assert not can(user, right)
    assert Registry.objects.visible_to(user).count() == 0


def test_manage_devices_within_labels_does_not_hold() -> None:
    assert not can(make_user("anna", make_role("x", EVERY, labels=["team=web"])), Right.MANAGE_DEVICES)


def test_credentials_limited_manager_sees_those_that_only_own_devices_use(fleet: dict[str, Device]) -> None:
    shared = CredentialFactory(name="shared")
    for device in fleet.values():
        DeviceFactory(name=f"second-{device.name}", groups=device.groups, credential=shared)
    CredentialFactory(name="unused")
    user = make_user("anna", make_role("shop", EVERY, device_groups=["shop"]))

    assert list(Credential.objects.visible_to(user)) == [fleet["shop"].credential]


def test_credentials_are_for_who_manages_devices_alone(fleet: dict[str, Device]) -> None:
    user = make_user("anna", make_role("most", EVERY - {Right.MANAGE_DEVICES}))

    assert not Credential.objects.visible_to(user).exists()
    assert not Credential.objects.permitted(user, Right.OPERATE).filter(pk__in=[]).exists()


def test_grants_direct_permission_holds_everywhere() -> None:
    user = make_user("anna")
    user.user_permissions.add(Permission.objects.get(codename="view_container"))

    assert grants_of(User.objects.get(pk=user.pk)).of(Right.SEE) == {EVERYTHING}


def test_grants_unlimited_role_outweighs_a_limited_one() -> None:
    user = make_user("anna", make_role("a", [Right.SEE]), make_role("b", [Right.SEE], device_groups=["x"]))

    assert can_everywhere(user, Right.SEE)


def test_grants_narrowed_keep_both_limits(fleet: dict[str, Device]) -> None:
    user = make_user("anna", make_role("web", EVERY, labels=["team=web"]))

    narrowed = grants_of(user).narrowed([Right.SEE], Limit(device_groups=("shop",)))

    assert narrowed.of(Right.SEE) == {(Limit(labels=("team=web",)), Limit(device_groups=("shop",)))}
    assert not narrowed.of(Right.OPERATE)
    user._ssm_grants = narrowed
    assert seen(user)["Container"] == 1


@pytest.mark.parametrize("user", [AnonymousUser(), User(username="gone", is_active=False, is_superuser=True)])
def test_nobody_sees_nothing(user: User, fleet: dict[str, Device]) -> None:
    assert seen(user) == NONE


def test_rights_each_costs_no_query_after_the_first(django_assert_num_queries) -> None:
    user = make_user("anna", make_role("all", EVERY))

    with django_assert_num_queries(1):
        assert all(can(user, right) for right in Right)
