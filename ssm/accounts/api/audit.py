"""The record of what people changed."""

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from ssm.accounts.listing import AuditFilter, facts
from ssm.accounts.models import AuditEntry
from ssm.lib.api.access import needs
from ssm.lib.api.errors import answers
from ssm.lib.api.forms import Text
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["people"])


class AuditQuery(Schema):
    """Which entries; all that are given must hold."""

    q: Text = Field("", description="Part of the object's name, of the act or user; or an address.", max_length=200)
    person: Text = Field("", description="User name.", max_length=150)
    kind: Text = Field("", description="What it is about.", max_length=60, examples=["device"])
    door: Literal["", "page", "api", "admin", "system"] = ""
    outcome: Literal["", "done", "refused"] = ""
    since: datetime | None = None
    until: datetime | None = None
    sort: Literal["newest", "-newest"] = "newest"


class AuditLine(Schema):
    """Who did what to which object, when, from where, and what came of it."""

    id: int
    time: datetime
    user: str
    door: str = Field(description="page, api, admin or system.")
    token: str = Field(description="Name of the token that was used.")
    address: str
    user_agent: str
    action: str = Field(examples=["device.change"])
    object_kind: str
    object_id: str
    object_name: str
    before: dict[str, Any] = Field(description="What changed, as it was. Of secrets only whether there was one.")
    after: dict[str, Any]
    outcome: str = Field(description="Empty where it went as asked.")


class AuditPage(Schema):
    """Some entries, and where the next page begins."""

    items: list[AuditLine]
    next: str


@router.get("", response=answers(AuditPage), operation_id="audit_list")
@needs(Right.MANAGE_USERS)
def audit_list(request: HttpRequest, filters: Query[AuditQuery], paging: Query[Paging]) -> Any:
    """What people changed, the newest first."""
    chosen = AuditFilter(filters.q, filters.person, filters.kind, filters.door, filters.outcome, since="", until="")
    rows = chosen.select(AuditEntry.objects.visible_to(request.user))
    if filters.since:
        rows = rows.filter(created_at__gte=filters.since)
    if filters.until:
        rows = rows.filter(created_at__lt=filters.until)
    sorts = {"newest": ("-created_at",)}
    return page(rows, sorts, filters.sort, paging).shown(lambda row: AuditLine(**facts(row)))
