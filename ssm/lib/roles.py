"""Rights: what users may do, and where. The questions the rest of the code asks about a user.

A role is a Django group (`accounts.models.Role` adds its limit); what counts are its permissions. Each right stands for
one permission that decides, and for those that the Django admin asks for besides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, CharField, Value

ADMINISTRATOR: Final = "Administrators"
OPERATOR: Final = "Operators"
VIEWER: Final = "Viewers"


class Right(StrEnum):
    """What a role may allow."""

    SEE = "see"
    LOGS = "logs"
    INSPECT_ENVIRONMENT = "inspect_environment"
    OPERATE = "operate"
    EXEC = "exec"
    MANAGE_VOLUMES = "manage_volumes"
    MANAGE_DEVICES = "manage_devices"
    MANAGE_REGISTRIES = "manage_registries"
    MANAGE_USERS = "manage_users"


# The permission that decides, of each right.
PERMISSIONS: Final[Mapping[Right, tuple[str, str]]] = {
    Right.SEE: ("containers", "view_container"),
    Right.LOGS: ("accounts", "view_logs"),
    Right.INSPECT_ENVIRONMENT: ("containers", "view_environment"),
    Right.OPERATE: ("containers", "operate_container"),
    Right.EXEC: ("accounts", "exec_container"),
    Right.MANAGE_VOLUMES: ("accounts", "manage_volumes"),
    Right.MANAGE_DEVICES: ("devices", "change_device"),
    Right.MANAGE_REGISTRIES: ("registries", "change_registry"),
    Right.MANAGE_USERS: ("auth", "change_user"),
}
_RIGHT_OF: Final = {permission: right for right, permission in PERMISSIONS.items()}
# About what belongs to no device: a role that is limited does not give them.
WITHOUT_LIMIT: Final = frozenset({Right.MANAGE_REGISTRIES, Right.MANAGE_USERS})

VIEWER_RIGHTS: Final = frozenset({Right.SEE, Right.LOGS})
OPERATOR_RIGHTS: Final = VIEWER_RIGHTS | {Right.OPERATE, Right.MANAGE_VOLUMES}
BUILT_IN: Final[Mapping[str, frozenset[Right]]] = {
    VIEWER: VIEWER_RIGHTS,
    OPERATOR: OPERATOR_RIGHTS,
    ADMINISTRATOR: frozenset(Right),
}

SomeUser = User | AnonymousUser


@dataclass(frozen=True, slots=True)
class Limit:
    """Part of the fleet: devices of one of the groups, and objects with one of the labels ("name" or "name=value").

    What is empty does not limit.
    """

    device_groups: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return not self.device_groups and not self.labels


# All of its limits hold; none at all is everything.
Scope = tuple[Limit, ...]
EVERYTHING: Final[Scope] = ()


@dataclass(frozen=True, slots=True)
class Grants:
    """Where a user holds which right: in any of its scopes."""

    scopes: Mapping[Right, frozenset[Scope]]
    # A role of the user is only for those who log in with a second factor.
    demands_second_factor: bool = False

    def of(self, right: Right) -> frozenset[Scope]:
        """The scopes of a right: none where the user does not hold it, only `EVERYTHING` where it is unlimited."""
        return self.scopes.get(right, frozenset())

    def is_unlimited(self, right: Right) -> bool:
        """Whether the right holds everywhere."""
        return EVERYTHING in self.of(right)

    def narrowed(self, rights: Iterable[Right], limit: Limit) -> "Grants":
        """Only these rights, and only within the limit besides."""
        kept = set(rights)
        further: Scope = () if limit.is_everything else (limit,)
        scopes = {
            right: frozenset((*scope, *further) for scope in held)
            for right, held in self.scopes.items()
            if right in kept and is_limitable(right, limit)
        }
        return replace(self, scopes=scopes)


def is_limitable(right: Right, limit: Limit) -> bool:
    """Whether the right means something within the limit: a device has no labels, a registry belongs to none."""
    if right in WITHOUT_LIMIT:
        return limit.is_everything
    return right is not Right.MANAGE_DEVICES or not limit.labels


NOTHING: Final = Grants({})
_EVERYWHERE: Final = Grants({right: frozenset({EVERYTHING}) for right in Right})
_KEPT_AS: Final = "_ssm_grants"


def grants_of(user: SomeUser) -> Grants:
    """Where the user holds which rights. One query, once per user object."""
    if not user.is_active or not user.is_authenticated:
        return NOTHING
    known: Grants | None = getattr(user, _KEPT_AS, None)
    if known is None:
        known = _read(user)
        set_grants(user, known)
    return known


def held_by(user: User) -> frozenset[Right]:
    """The rights that the account stands for, also one that may not log in now. One query, never remembered.

    Of those who may not log in `grants_of` tells nothing; whoever lets them log in again gives all of this.
    """
    return frozenset(_read(user).scopes)


def set_grants(user: SomeUser, grants: Grants) -> None:
    """What this user object holds from now on: those of a token may be fewer than those of its user."""
    setattr(user, _KEPT_AS, grants)


def _read(user: User) -> Grants:
    # Roles limit, and only those of somebody with a right may demand something: so far the deciding permissions.
    deciding = Permission.objects.filter(codename__in=[codename for _app, codename in PERMISSIONS.values()])
    names = ("content_type__app_label", "codename")
    of_role = ("group__role__device_groups", "group__role__labels", "group__role__demands_second_factor")
    by_roles = deciding.filter(group__user=user).values_list(*names, *of_role)
    # Those of the user's own have no role that limits them.
    no_names = Value(None, output_field=ArrayField(CharField()))
    own = deciding.filter(user=user).values_list(*names, no_names, no_names, Value(None, output_field=BooleanField()))
    rows = list(by_roles if user.is_superuser else by_roles.union(own, all=True))
    found: dict[Right, set[Scope]] = {right: {EVERYTHING} for right in Right} if user.is_superuser else {}
    for app, codename, device_groups, labels, _demands in rows:
        if right := _RIGHT_OF.get((app, codename)):
            limit = Limit(tuple(sorted(device_groups or ())), tuple(sorted(labels or ())))
            if is_limitable(right, limit):
                found.setdefault(right, set()).add(EVERYTHING if limit.is_everything else (limit,))
    scopes = {right: frozenset({EVERYTHING} if EVERYTHING in held else held) for right, held in found.items()}
    return Grants(scopes, demands_second_factor=any(row[4] for row in rows))


def can(user: SomeUser, right: Right) -> bool:
    """Whether the user holds the right anywhere; where is told by ``permitted`` of the querysets."""
    return bool(grants_of(user).of(right))


def can_everywhere(user: SomeUser, right: Right) -> bool:
    """Whether the user holds the right without a limit."""
    return grants_of(user).is_unlimited(right)


def holds(right: Right) -> "_Test":
    """The question for one right, for marks above views: ``@allowed(holds(Right.LOGS))``."""
    return _Test(right)


@dataclass(frozen=True, slots=True)
class _Test:
    right: Right

    def __call__(self, user: SomeUser) -> bool:
        return can(user, self.right)


def can_view(user: SomeUser) -> bool:
    """Whether the user may see devices and containers."""
    return can(user, Right.SEE)


def can_operate(user: SomeUser) -> bool:
    """Whether the user may act on containers."""
    return can(user, Right.OPERATE)


def can_administer(user: SomeUser) -> bool:
    """Whether the user may manage devices and credentials."""
    return can(user, Right.MANAGE_DEVICES)


# What the admin asks for besides the deciding permission, by right: all of an app's models, or single codenames.
_BESIDES: Final[Mapping[Right, tuple[tuple[str, str], ...]]] = {
    Right.SEE: (
        ("containers", "view_event"),
        ("containers", "view_operation"),
        ("devices", "view_device"),
        ("devices", "view_hostkey"),
    ),
    Right.MANAGE_DEVICES: (("devices", ""), ("containers", "")),
    Right.MANAGE_REGISTRIES: (("registries", ""),),
    Right.MANAGE_USERS: (("auth", ""), ("admin", ""), ("accounts", "")),
}


def permissions_of(rights: Iterable[Right]) -> list[Permission]:
    """The permissions that the rights stand for. One query."""
    held = set(rights)
    deciding = {PERMISSIONS[right] for right in held}
    besides = {entry for right in held for entry in _BESIDES.get(right, ())}
    wanted = []
    for permission in Permission.objects.select_related("content_type"):
        key = (permission.content_type.app_label, permission.codename)
        # A whole app never brings the deciding permission of another right along.
        fits = key in besides or ((key[0], "") in besides and key not in _RIGHT_OF)
        if key in deciding or fits:
            wanted.append(permission)
    return wanted


def rights_of(permissions: Iterable[Permission]) -> frozenset[Right]:
    """The rights that these permissions decide; their content types should be at hand."""
    keys = {(permission.content_type.app_label, permission.codename) for permission in permissions}
    return frozenset(right for key, right in _RIGHT_OF.items() if key in keys)


def ensure_roles(**_: Any) -> None:
    """Create the three built-in roles and give them their permissions; keeps what an administrator added."""
    for name, rights in BUILT_IN.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.add(*permissions_of(rights))
