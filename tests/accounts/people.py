"""Users with roles of the test's own."""

from collections.abc import Iterable

from django.contrib.auth.models import Group, User

from ssm.accounts.models import Role
from ssm.lib.roles import Right, permissions_of


def make_role(
    name: str,
    rights: Iterable[Right],
    *,
    device_groups: Iterable[str] = (),
    labels: Iterable[str] = (),
    demands_second_factor: bool = False,
) -> Role:
    """A role with these rights."""
    group = Group.objects.create(name=name)
    group.permissions.set(permissions_of(rights))
    return Role.objects.create(
        group=group,
        device_groups=list(device_groups),
        labels=list(labels),
        demands_second_factor=demands_second_factor,
    )


def make_user(name: str, *roles: Role, password: str = "") -> User:
    """A user who holds the roles; the object is read anew, so that nothing is remembered."""
    user = User.objects.create_user(name, password=password or None)
    user.groups.set([role.group for role in roles])
    return User.objects.get(pk=user.pk)
