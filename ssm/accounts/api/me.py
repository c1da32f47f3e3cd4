"""Who calls, what the caller may do and where; tokens."""

import uuid
from datetime import datetime
from typing import Any, Final, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from ssm.accounts.audit import record_audit
from ssm.accounts.models import ApiToken
from ssm.accounts.models.audit import now
from ssm.accounts.tokens import revoke
from ssm.lib.access import signed_in
from ssm.lib.api.access import for_anybody
from ssm.lib.api.errors import answers
from ssm.lib.api.forms import Text
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right, grants_of

router = Router(tags=["people"])
token_router = Router(tags=["people"])

_SORTS: Final = {"name": ("name", "created_at"), "created": ("-created_at",), "expires": ("expires_at", "name")}


class Held(Schema):
    """A right of the caller. Without limits it holds everywhere."""

    right: Right
    everywhere: bool
    device_groups: list[str] = Field(description="Else on devices of these groups, as far as each role goes.")
    labels: list[str]


class TokenEntry(Schema):
    """A token. Its text is shown once, on the page where it is made."""

    id: uuid.UUID
    name: str = Field(examples=["backups of the night"])
    prefix: str = Field(description="Its public part, by which it is told apart.", examples=["k3v9x0qa"])
    user: str
    rights: list[str]
    device_groups: list[str]
    labels: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str

    @classmethod
    def of(cls, token: ApiToken) -> "TokenEntry":
        """From its row with the user."""
        copied = {name: getattr(token, name) for name in cls.model_fields if name != "user"}
        return cls(user=token.user.get_username(), **copied)


class TokenPage(Schema):
    """Some tokens, and where the next page begins."""

    items: list[TokenEntry]
    next: str


class TokenFilter(Schema):
    """Which tokens; all that are given must hold."""

    q: Text = Field("", description="Part of the name.", max_length=100)
    user: Text = Field("", description="User name.", max_length=150)
    state: Literal["", "valid", "over"] = "valid"
    sort: Literal["name", "-name", "created", "-created", "expires", "-expires"] = "name"


class Me(Schema):
    """Who calls."""

    id: int
    username: str = Field(examples=["anna"])
    name: str
    email: str
    roles: list[str]
    rights: list[Held]
    token: TokenEntry | None = Field(description="The token that the call was made with.")


@router.get("", response=answers(Me), operation_id="me")
@for_anybody
def me(request: HttpRequest) -> Any:
    """Who you are to SSM, and what you may do where: of your rights, those that the token has."""
    user = signed_in(request)
    token: ApiToken | None = getattr(request, "api_token", None)
    grants = grants_of(user)
    held = []
    for right in Right:
        scopes = grants.of(right)
        if scopes:
            limits = [limit for scope in scopes for limit in scope]
            held.append(
                Held(
                    right=right,
                    everywhere=grants.is_unlimited(right),
                    device_groups=sorted({name for limit in limits for name in limit.device_groups}),
                    labels=sorted({name for limit in limits for name in limit.labels}),
                )
            )
    return Me(
        id=user.pk,
        username=user.get_username(),
        name=user.get_full_name(),
        email=user.email,
        roles=sorted(user.groups.values_list("name", flat=True)),
        rights=held,
        token=TokenEntry.of(token) if token is not None else None,
    )


@token_router.get("", response=answers(TokenPage), operation_id="tokens_list")
@for_anybody
def tokens_list(request: HttpRequest, filters: Query[TokenFilter], paging: Query[Paging]) -> Any:
    """Your tokens; those of all users for who manages users. New ones are made on the page of one's account."""
    rows = ApiToken.objects.visible_to(request.user).select_related("user")
    if filters.q:
        rows = rows.filter(name__icontains=filters.q)
    if filters.user:
        rows = rows.filter(user__username=filters.user)
    if filters.state == "valid":
        rows = rows.valid(now())
    elif filters.state == "over":
        rows = rows.exclude(pk__in=ApiToken.objects.valid(now()).values("pk"))
    return page(rows, _SORTS, filters.sort, paging).shown(TokenEntry.of)


@token_router.delete("/{uuid:pk}", response=answers(None, 204), operation_id="tokens_revoke")
@for_anybody
def tokens_revoke(request: HttpRequest, pk: uuid.UUID) -> Any:
    """End a token, also the one that calls: streams that were opened with it are closed."""
    token = get_object_or_404(ApiToken.objects.visible_to(request.user).select_related("user"), pk=pk)
    revoke(token)
    record_audit(request.user, "token.revoke", token, request=request)
    return Status(204, None)
