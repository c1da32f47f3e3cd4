"""Users and roles, for those who manage them. Nobody gives, or takes over, more than they hold."""

from datetime import datetime
from typing import Any, Final, Literal

from axes.utils import reset as lift_rest
from django.contrib.auth.models import User
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field, SecretStr

from ssm.accounts.audit import record_audit
from ssm.accounts.errors import Refused
from ssm.accounts.forms import MOST_NAMES, RoleForm, UserForm
from ssm.accounts.models import Account, AuthenticatorApp, Role
from ssm.accounts.people import (
    delete_role,
    delete_user,
    may_change,
    reset_second_factor,
    roles,
    save_role,
    save_user,
)
from ssm.accounts.sessions import end_sessions
from ssm.lib.access import signed_in
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.forms import Text, check, values_of
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["people"])
role_router = Router(tags=["people"])

_SORTS: Final = {"name": ("username",), "since": ("-date_joined", "username")}
_NAMES: Final = {"new_password": "password"}
_MOST_ROLES: Final = 500


class UserFilter(Schema):
    """Which users; all that are given must hold."""

    q: Text = Field("", description="Part of a name or of the e-mail address.", max_length=200)
    state: Literal["", "active", "inactive"] = ""
    role: int | None = Field(None, ge=1, description="Id of a role.")
    sort: Literal["name", "-name", "since", "-since"] = "name"


class RoleName(Schema):
    """A role by id and name."""

    id: int
    name: str


class UserEntry(Schema):
    """A user."""

    id: int
    username: str = Field(examples=["anna"])
    first_name: str
    last_name: str
    email: str
    is_active: bool
    is_staff: bool = Field(description="May open the Django administration.")
    roles: list[RoleName]
    demands_second_factor: bool
    has_second_factor: bool
    open_sessions: int
    last_login: datetime | None
    date_joined: datetime

    @classmethod
    def of(cls, user: User) -> "UserEntry":
        """From a row of ``_users()``."""
        copied = ("username", "first_name", "last_name", "email", "is_active", "is_staff", "last_login", "date_joined")
        account: Account | None = getattr(user, "account", None)
        facts: Any = user
        return cls(
            id=user.pk,
            **{name: getattr(user, name) for name in copied},
            roles=[RoleName(id=group.pk, name=group.name) for group in user.groups.all()],
            demands_second_factor=account is not None and account.demands_second_factor,
            has_second_factor=facts.has_second_factor,
            open_sessions=facts.session_count,
        )


class UserPage(Schema):
    """Some users, and where the next page begins."""

    items: list[UserEntry]
    next: str


class UserOrder(Schema):
    """What to change of a user; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    username: str | None = Field(None, max_length=150, examples=["anna"])
    first_name: str | None = Field(None, max_length=150)
    last_name: str | None = Field(None, max_length=150)
    email: str | None = Field(None, max_length=254)
    is_active: bool | None = None
    is_staff: bool | None = None
    demands_second_factor: bool | None = None
    roles: list[int] | None = Field(None, max_length=100, description="Ids of roles.")
    password: SecretStr | None = Field(None, description="Has to be changed at the next log-in.")


class NewUser(UserOrder):
    """A user to add."""

    username: str = Field(max_length=150, examples=["anna"])
    password: SecretStr = Field(description="To begin with: it has to be changed at the first log-in.")


class UserAct(Schema):
    """What to do: end all sessions, take the second factor away (when the phone is lost), lift the rest after
    too many failed log-ins."""

    act: Literal["end-sessions", "reset-second-factor", "unlock"]


class RoleEntry(Schema):
    """A role: what it allows, and where."""

    id: int
    name: str = Field(examples=["Operators"])
    description: str
    is_built_in: bool = Field(description="Comes with SSM: only whether a second factor is demanded can be changed.")
    rights: list[Right]
    device_groups: list[str] = Field(description="Only on devices of these groups; empty: on all.")
    labels: list[str] = Field(description="Only on objects with one of these labels; empty: on all.")
    demands_second_factor: bool
    user_count: int

    @classmethod
    def of(cls, role: Role) -> "RoleEntry":
        """From a row of ``_roles()``."""
        copied = ("name", "description", "is_built_in", "device_groups", "labels", "demands_second_factor")
        facts: Any = role
        return cls(
            id=role.pk,
            **{name: getattr(role, name) for name in copied},
            rights=sorted(role.rights),
            user_count=facts.user_count,
        )


class RoleOrder(Schema):
    """What to change of a role; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=100, examples=["Team A"])
    description: str | None = Field(None, max_length=255)
    rights: list[Right] | None = Field(None, max_length=20)
    device_groups: list[str] | None = Field(None, max_length=MOST_NAMES)
    labels: list[str] | None = Field(None, max_length=MOST_NAMES, examples=[["team=a"]])
    demands_second_factor: bool | None = None


class NewRole(RoleOrder):
    """A role to add."""

    name: str = Field(max_length=100, examples=["Team A"])


def _users() -> Any:
    apps = AuthenticatorApp.objects.filter(user=OuterRef("pk"), confirmed=True)
    rows = User.objects.select_related("account").prefetch_related("groups")
    return rows.annotate(has_second_factor=Exists(apps), session_count=Count("open_sessions"))


@router.get("", response=answers(UserPage), operation_id="users_list")
@needs(Right.MANAGE_USERS)
def users_list(request: HttpRequest, filters: Query[UserFilter], paging: Query[Paging]) -> Any:
    """All users with their roles."""
    rows = _users()
    if q := filters.q:
        named = Q(username__icontains=q) | Q(first_name__icontains=q)
        rows = rows.filter(named | Q(last_name__icontains=q) | Q(email__icontains=q))
    if filters.state:
        rows = rows.filter(is_active=filters.state == "active")
    if filters.role is not None:
        rows = rows.filter(pk__in=User.objects.filter(groups=filters.role).values("pk"))
    return page(rows, _SORTS, filters.sort, paging).shown(UserEntry.of)


@router.post("", response=answers(UserEntry, 201), operation_id="users_create")
@needs(Right.MANAGE_USERS)
def users_create(request: HttpRequest, order: NewUser) -> Any:
    """Add a user, with a password to be handed over."""
    return Status(201, _store(request, order, User()))


@router.get("/{int:pk}", response=answers(UserEntry), operation_id="users_get")
@needs(Right.MANAGE_USERS)
def users_get(request: HttpRequest, pk: int) -> Any:
    """One user."""
    return UserEntry.of(get_object_or_404(_users(), pk=pk))


@router.patch("/{int:pk}", response=answers(UserEntry), operation_id="users_change")
@needs(Right.MANAGE_USERS)
def users_change(request: HttpRequest, pk: int, order: UserOrder) -> Any:
    """Change what is named of a user. One who may not log in any more loses all sessions and tokens."""
    return _store(request, order, get_object_or_404(User, pk=pk))


@router.delete("/{int:pk}", response=answers(None, 204), operation_id="users_remove")
@needs(Right.MANAGE_USERS)
def users_remove(request: HttpRequest, pk: int) -> Any:
    """Remove a user with sessions and tokens; what they did stays in the records by name."""
    delete_user(signed_in(request), get_object_or_404(User, pk=pk))
    return Status(204, None)


@router.post("/{int:pk}/act", response=answers(UserEntry), operation_id="users_act")
@needs(Right.MANAGE_USERS)
def users_act(request: HttpRequest, pk: int, order: UserAct) -> Any:
    """End sessions, reset the second factor, or let somebody try to log in again."""
    user = get_object_or_404(User, pk=pk)
    if order.act == "reset-second-factor":
        reset_second_factor(signed_in(request), user)
    elif order.act == "unlock":
        lift_rest(username=user.get_username())
        record_audit(request.user, "user.unlock", user, request=request)
    else:
        if not may_change(signed_in(request), user):
            raise Refused(f"{user.get_username()} holds rights that you do not hold.")
        count = end_sessions(user)
        record_audit(request.user, "session.end", user, before={"sessions": count}, request=request)
    return UserEntry.of(_users().get(pk=pk))


def _store(request: HttpRequest, order: UserOrder, user: User) -> UserEntry:
    every_role = roles().order_by("group__name")
    data = values_of(UserForm(instance=user, roles=every_role))
    data |= order.model_dump(exclude_none=True, exclude={"password"})
    data["new_password"] = order.password.get_secret_value() if order.password is not None else ""
    form = UserForm(data, instance=user, roles=every_role)
    check(form, _NAMES)
    save_user(signed_in(request), user, form.change)
    return UserEntry.of(_users().get(pk=user.pk))


# ---- roles


def _roles() -> Any:
    return roles().annotate(user_count=Count("group__user")).order_by("group__name")


@role_router.get("", response=answers(list[RoleEntry]), operation_id="roles_list")
@needs(Right.MANAGE_USERS)
def roles_list(request: HttpRequest) -> Any:
    """All roles: what they allow, where, and how many users hold them."""
    return [RoleEntry.of(role) for role in _roles()[:_MOST_ROLES]]


@role_router.post("", response=answers(RoleEntry, 201), operation_id="roles_create")
@needs(Right.MANAGE_USERS)
def roles_create(request: HttpRequest, order: NewRole) -> Any:
    """Add a role; it gives only what you hold yourself."""
    return Status(201, _store_role(request, order, None))


@role_router.get("/{int:pk}", response=answers(RoleEntry), operation_id="roles_get")
@needs(Right.MANAGE_USERS)
def roles_get(request: HttpRequest, pk: int) -> Any:
    """One role."""
    return RoleEntry.of(get_object_or_404(_roles(), pk=pk))


@role_router.patch("/{int:pk}", response=answers(RoleEntry), operation_id="roles_change")
@needs(Right.MANAGE_USERS)
def roles_change(request: HttpRequest, pk: int, order: RoleOrder) -> Any:
    """Change what is named of a role; it counts at once for what is open."""
    role = get_object_or_404(roles(), pk=pk)
    fixed = order.model_fields_set - {"demands_second_factor"}
    if role.is_built_in and fixed:
        raise FieldProblem({name: f"{role.name} comes with SSM: this cannot be changed." for name in sorted(fixed)})
    return _store_role(request, order, role)


@role_router.delete("/{int:pk}", response=answers(None, 204), operation_id="roles_remove")
@needs(Right.MANAGE_USERS)
def roles_remove(request: HttpRequest, pk: int) -> Any:
    """Remove a role; its users lose what it gave."""
    delete_role(signed_in(request), get_object_or_404(roles(), pk=pk))
    return Status(204, None)


def _store_role(request: HttpRequest, order: RoleOrder, role: Role | None) -> RoleEntry:
    data = values_of(RoleForm(role=role))
    given = order.model_dump(exclude_none=True)
    for name in ("device_groups", "labels"):
        if name in given:
            faulty = [text for text in given[name] if "," in text or "\n" in text]
            if faulty:
                raise FieldProblem({name: f"“{faulty[0][:60]}” has a comma or a line break in it."})
            given[name] = ", ".join(given[name])
    form = RoleForm(data | given, role=role)
    check(form)
    saved = save_role(signed_in(request), role, form.change)
    return RoleEntry.of(_roles().get(pk=saved.pk))
