"""Roles: three groups of permissions, and the questions the rest of the code asks about a user.

Roles are plain Django groups, so an installation may make finer ones; what counts is the permission.
"""

from typing import Any, Final

from django.contrib.auth.models import AnonymousUser, Group, Permission, User

ADMINISTRATOR: Final = "Administrators"
OPERATOR: Final = "Operators"
VIEWER: Final = "Viewers"

VIEW: Final = "containers.view_container"
OPERATE: Final = "containers.operate_container"
ADMINISTER: Final = "devices.change_device"

_VIEWER_CODENAMES: Final = {
    "containers": {"view_container", "view_event", "view_operation"},
    "devices": {"view_device", "view_hostkey"},
}
_ADMINISTERED_APPS: Final = {"devices", "containers", "registries", "auth", "admin"}

SomeUser = User | AnonymousUser


def _holds(user: SomeUser, permission: str) -> bool:
    return bool(user.is_active and user.has_perm(permission))


def can_view(user: SomeUser) -> bool:
    """Whether the user may see devices and containers. At most two queries, once per user object."""
    return _holds(user, VIEW)


def can_operate(user: SomeUser) -> bool:
    """Whether the user may act on containers."""
    return _holds(user, OPERATE)


def can_administer(user: SomeUser) -> bool:
    """Whether the user may manage devices and credentials, and see secrets of containers."""
    return _holds(user, ADMINISTER)


def ensure_roles(**_: Any) -> None:
    """Create the three groups and give them their permissions; keeps what an administrator added."""
    permissions = {
        (permission.content_type.app_label, permission.codename): permission
        for permission in Permission.objects.select_related("content_type")
    }
    seen = {key for key in permissions if key[1] in _VIEWER_CODENAMES.get(key[0], set())}
    operated = seen | {key for key in permissions if key == ("containers", "operate_container")}
    managed = operated | {key for key in permissions if key[0] in _ADMINISTERED_APPS}
    for name, keys in ((VIEWER, seen), (OPERATOR, operated), (ADMINISTRATOR, managed)):
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.add(*(permissions[key] for key in sorted(keys)))
