"""What each role may do, and what becomes of the groups at a migration."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.management import call_command

from ssm.lib.roles import (
    ADMINISTRATOR,
    OPERATOR,
    VIEWER,
    can_administer,
    can_operate,
    can_view,
    ensure_roles,
)
from tests.people import People

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("role", "view", "operate", "administer"),
    [
        ("administrator", True, True, True),
        ("operator", True, True, False),
        ("viewer", True, False, False),
        ("stranger", False, False, False),
    ],
)
def test_roles_each_person_may_what_the_role_says(
    people: People, role: str, view: bool, operate: bool, administer: bool
) -> None:
    user = getattr(people, role)

    assert (can_view(user), can_operate(user), can_administer(user)) == (view, operate, administer)


def test_roles_anonymous_may_nothing() -> None:
    user = AnonymousUser()

    assert (can_view(user), can_operate(user), can_administer(user)) == (False, False, False)


@pytest.mark.parametrize("role", ["administrator", "operator", "viewer"])
def test_roles_deactivated_person_may_nothing(people: People, role: str) -> None:
    user = User.objects.get(username=role)
    user.is_active = False

    assert (can_view(user), can_operate(user), can_administer(user)) == (False, False, False)


def test_roles_deactivated_superuser_may_nothing() -> None:
    user = User(username="root", is_superuser=True, is_active=False)

    assert not can_view(user)


def test_roles_superuser_may_everything() -> None:
    user = User.objects.create_user("root", is_superuser=True)

    assert (can_view(user), can_operate(user), can_administer(user)) == (True, True, True)


@pytest.mark.parametrize(
    ("role", "permission", "expected"),
    [
        ("viewer", "containers.view_environment", False),
        ("operator", "containers.view_environment", False),
        ("administrator", "containers.view_environment", True),
        ("viewer", "devices.view_credential", False),
        ("operator", "devices.view_credential", False),
        ("operator", "containers.change_container", False),
        ("operator", "devices.change_device", False),
        ("administrator", "devices.delete_credential", True),
        ("administrator", "auth.add_user", True),
    ],
)
def test_roles_single_permissions(people: People, role: str, permission: str, expected: bool) -> None:
    assert getattr(people, role).has_perm(permission) is expected


def test_ensure_roles_own_additions_survive_and_missing_ones_come_back() -> None:
    viewers = Group.objects.get(name=VIEWER)
    extra = Permission.objects.get(codename="view_credential")
    viewers.permissions.set([extra])

    ensure_roles()

    codenames = set(viewers.permissions.values_list("codename", flat=True))
    assert codenames == {
        "view_credential",
        "view_container",
        "view_logs",
        "view_event",
        "view_operation",
        "view_device",
        "view_hostkey",
    }


def test_ensure_roles_after_migrate_the_groups_exist_with_their_permissions() -> None:
    Group.objects.all().delete()

    call_command("migrate", verbosity=0)

    counts = {group.name: group.permissions.count() for group in Group.objects.all()}
    assert set(counts) == {VIEWER, OPERATOR, ADMINISTRATOR}
    assert counts[VIEWER] < counts[OPERATOR] < counts[ADMINISTRATOR]
