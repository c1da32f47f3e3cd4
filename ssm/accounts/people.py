"""Changes to users and roles that keep three promises.

Nobody gives, or takes over, more than they hold themselves; somebody can always manage users; what changed is in the
audit, and counts at once for what is open.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from ssm.accounts.audit import record_audit, snapshot
from ssm.accounts.errors import Refused
from ssm.accounts.models import Account, Role
from ssm.accounts.models.audit import now
from ssm.accounts.second_factor import remove as remove_second_factor
from ssm.accounts.sessions import end_sessions
from ssm.lib.roles import BUILT_IN, Right, can_everywhere, held_by, permissions_of

# Names the lock of PostgreSQL under which it is seen to that somebody can manage users.
_LAST_MANAGER: Final = 0x55534552


def roles() -> QuerySet[Role]:
    """All roles with what their pages show. Two queries more when read."""
    for group in Group.objects.filter(role=None):
        Role.objects.get_or_create(group=group)
    return Role.objects.select_related("group").prefetch_related("group__permissions__content_type")


def holds_all(user: User, rights: Iterable[Right]) -> bool:
    """Whether the user holds all these rights, without a limit: only then they may be given to others."""
    return user.is_superuser or all(can_everywhere(user, right) for right in rights)


def may_change(user: User, other: User) -> bool:
    """Whether the user may change the other's account: whoever sets a password can log in with it."""
    if other.is_superuser and not user.is_superuser:
        return False
    # All that the account stands for: one that is inactive can be made active with the same password.
    return holds_all(user, held_by(other))


def managers() -> QuerySet[User]:
    """Active users who can manage users."""
    unlimited = Q(groups__role=None) | Q(groups__role__device_groups=[], groups__role__labels=[])
    by_role = Q(groups__permissions__codename="change_user", groups__permissions__content_type__app_label="auth")
    directly = Q(user_permissions__codename="change_user", user_permissions__content_type__app_label="auth")
    return (
        User.objects.filter(is_active=True).filter(Q(is_superuser=True) | (by_role & unlimited) | directly).distinct()
    )


def _keep_a_manager() -> None:
    """Refuse what was done if nobody is left. Two who take the right from each other at once come here in turn."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LAST_MANAGER])
    if not managers().exists():
        raise Refused("Nobody could manage users any more.", fix="Give another active user a role that manages users.")


@dataclass(frozen=True, slots=True)
class UserChange:
    """What a form says of a user. An empty password leaves the one there is."""

    username: str
    first_name: str
    last_name: str
    email: str
    is_active: bool
    is_staff: bool
    demands_second_factor: bool
    roles: tuple[Role, ...]
    password: str = ""


def user_snapshot(user: User) -> dict[str, Any]:
    """A user for the audit: columns, roles, what SSM notes."""
    account = Account.objects.filter(user=user).first()
    values = snapshot(user, "groups", "user_permissions")
    values["roles"] = values.pop("groups")
    values["demands_second_factor"] = bool(account and account.demands_second_factor)
    values.pop("last_login")
    return values


@transaction.atomic
def save_user(actor: User, user: User, change: UserChange) -> None:
    """Create or change a user. Raises Refused."""
    is_new = user.pk is None
    if not is_new and not may_change(actor, user):
        raise Refused(f"{user.get_username()} holds rights that you do not hold.", fix="Ask somebody who holds them.")
    held = set() if is_new else set(user.groups.values_list("pk", flat=True))
    for role in change.roles:
        if role.pk not in held and not holds_all(actor, role.rights):
            raise Refused(f"The role {role.name} gives rights that you do not hold.", fix="Choose another role.")
    if user.pk == actor.pk and not change.is_active:
        raise Refused("You cannot deactivate yourself.", fix="Ask another administrator.")
    before = {} if is_new else user_snapshot(user)
    user.username, user.first_name, user.last_name = change.username, change.first_name, change.last_name
    user.email, user.is_active, user.is_staff = change.email, change.is_active, change.is_staff
    if change.password:
        user.set_password(change.password)
    elif is_new:
        user.set_unusable_password()
    user.save()
    user.groups.set([role.pk for role in change.roles])
    account, _created = Account.objects.get_or_create(user=user)
    account.demands_second_factor = change.demands_second_factor
    if change.password and user.pk != actor.pk:
        # Somebody else knows it.
        account.must_change_password = True
        account.password_changed_at = now()
    account.save()
    _keep_a_manager()
    record_audit(actor, "user.add" if is_new else "user.change", user, before=before, after=user_snapshot(user))
    if not is_new and not user.is_active:
        end_sessions(user)


@transaction.atomic
def delete_user(actor: User, user: User) -> None:
    """Remove a user with sessions and tokens; what they did stays in the records by name. Raises Refused."""
    if user.pk == actor.pk:
        raise Refused("You cannot remove yourself.", fix="Ask another administrator.")
    if not may_change(actor, user):
        raise Refused(f"{user.get_username()} holds rights that you do not hold.", fix="Ask somebody who holds them.")
    record_audit(actor, "user.remove", user, before=user_snapshot(user))
    end_sessions(user)
    user.delete()
    _keep_a_manager()


@transaction.atomic
def reset_second_factor(actor: User, user: User) -> None:
    """Take somebody's second factor away, as when the phone is lost; they are logged out. Raises Refused."""
    if not may_change(actor, user):
        raise Refused(f"{user.get_username()} holds rights that you do not hold.", fix="Ask somebody who holds them.")
    remove_second_factor(user)
    end_sessions(user)
    record_audit(actor, "user.second-factor-reset", user)


@transaction.atomic
def set_own_password(user: User, password: str) -> None:
    """Change one's own password; nothing else has to be changed then."""
    user.set_password(password)
    user.save(update_fields=["password"])
    Account.objects.update_or_create(user=user, defaults={"must_change_password": False, "password_changed_at": now()})
    record_audit(user, "user.password", user)


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What a form says of a role."""

    name: str
    description: str
    rights: frozenset[Right]
    device_groups: tuple[str, ...]
    labels: tuple[str, ...]
    demands_second_factor: bool


def role_snapshot(role: Role) -> dict[str, Any]:
    """A role for the audit."""
    fresh = roles().get(pk=role.pk)
    return {
        "name": fresh.name,
        "description": fresh.description,
        "rights": sorted(fresh.rights),
        "device_groups": fresh.device_groups,
        "labels": fresh.labels,
        "demands_second_factor": fresh.demands_second_factor,
    }


@transaction.atomic
def save_role(actor: User, role: Role | None, change: RoleChange) -> Role:
    """Create or change a role. Of those that come with SSM only whether a second factor is demanded. Raises Refused."""
    if not holds_all(actor, change.rights) or (role is not None and not holds_all(actor, role.rights)):
        raise Refused("A role can only give rights that you hold yourself.", fix="Leave the others out.")
    before = role_snapshot(role) if role else {}
    if role is None:
        role = Role(group=Group.objects.create(name=change.name))
    if not role.is_built_in:
        if change.name in BUILT_IN:
            raise Refused(f"{change.name} is a role that comes with SSM.", fix="Choose another name.")
        role.group.name = change.name
        role.group.save()
        # Permissions that stand for no right were given by hand, and stay.
        ours = permissions_of(Right)
        role.group.permissions.remove(*ours)
        role.group.permissions.add(*permissions_of(change.rights))
        role.device_groups, role.labels = list(change.device_groups), list(change.labels)
        role.description = change.description
    role.demands_second_factor = change.demands_second_factor
    role.save()
    _keep_a_manager()
    record_audit(actor, "role.change" if before else "role.add", role, before=before, after=role_snapshot(role))
    return role


@transaction.atomic
def delete_role(actor: User, role: Role) -> None:
    """Remove a role; its users lose what it gave. Raises Refused."""
    if role.is_built_in:
        raise Refused(f"{role.name} comes with SSM and stays.", fix="Take it from the users who should not have it.")
    if not holds_all(actor, role.rights):
        raise Refused("The role gives rights that you do not hold.", fix="Ask somebody who holds them.")
    record_audit(actor, "role.remove", role, before=role_snapshot(role))
    role.group.delete()
    _keep_a_manager()
