"""Four people: one of each role, and a stranger who can log in but has no role."""

from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from ssm.lib.roles import ADMINISTRATOR, OPERATOR, VIEWER

ROLES: dict[str, str | None] = {
    "administrator": ADMINISTRATOR,
    "operator": OPERATOR,
    "viewer": VIEWER,
    "stranger": None,
}


@dataclass(frozen=True, slots=True)
class People:
    """The users by role."""

    administrator: User
    operator: User
    viewer: User
    stranger: User

    def client(self, role: str) -> Client:
        """A browser in which that person is logged in; "anonymous" gives one in which nobody is."""
        client = Client()
        if role != "anonymous":
            client.force_login(getattr(self, role))
        return client


def make_people() -> People:
    """Create the four, each in the group of the role."""
    users = {}
    for role, group in ROLES.items():
        user = User(username=role, is_staff=role == "administrator")
        user.set_unusable_password()
        user.save()
        if group is not None:
            user.groups.add(Group.objects.get(name=group))
        users[role] = user
    return People(**users)


@pytest.fixture
def people(db: None) -> People:
    """The four people, in the test's database."""
    return make_people()
