"""What registries told: repositories, and the tags of one."""

import uuid
from datetime import datetime
from typing import Any, Final, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from registries.listing import select_repositories, tag_lines
from registries.models import RepositoryKnowledge
from registries.services import check_now
from ssm.lib.api.access import needs
from ssm.lib.api.errors import answers
from ssm.lib.api.forms import Text
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["registries"])
_SORTS: Final = {"name": ("host", "path"), "changed": ("-changed_at", "host"), "tags": ("-tag_count", "host", "path")}
_MOST_TAGS: Final = 1000


class RepositoryFilter(Schema):
    """Which repositories; all that are given must hold."""

    q: Text = Field("", description="Part of the registry's host or the path.", max_length=200)
    host: Text = Field("", max_length=255, examples=["ghcr.io"])
    state: Literal["", "good", "failing", "waiting", "new"] = ""
    sort: Literal["name", "-name", "changed", "-changed", "tags", "-tags"] = "name"


class RepositoryEntry(Schema):
    """A repository, and how the last look-up went."""

    id: uuid.UUID
    host: str = Field(examples=["docker.io"])
    path: str = Field(examples=["library/nginx"])
    tag_count: int
    tags_are_truncated: bool
    is_being_looked_up: bool
    looked_up_at: datetime | None = Field(description="When the registry last answered.")
    attempted_at: datetime | None
    failing_since: datetime | None
    retry_at: datetime | None
    error_code: str
    error_message: str
    error_fix: str

    @classmethod
    def of(cls, row: RepositoryKnowledge) -> "RepositoryEntry":
        """From its row."""
        copied = [name for name in cls.model_fields if not name.startswith("error_")]
        errors = {f"error_{name}": getattr(row, f"last_error_{name}") for name in ("code", "message", "fix")}
        return cls(**{name: getattr(row, name) for name in copied}, **errors)


class RepositoryPage(Schema):
    """Some repositories, and where the next page begins."""

    items: list[RepositoryEntry]
    next: str


class TagQuery(Schema):
    """Which tags of a repository."""

    q: Text = Field("", description="Part of the tag.", max_length=128)
    sort: Literal["name", "-name", "pushed", "-pushed"] = Field("-name", description="1.10 comes after 1.9.")
    limit: int = Field(100, ge=1, le=_MOST_TAGS)


class TagEntry(Schema):
    """A tag. Details are known of those that somebody runs or may be offered."""

    tag: str = Field(examples=["1.27-alpine"])
    pushed_at: datetime | None
    digest: str
    size_bytes: int | None
    platforms: list[dict[str, Any]]


@router.get("", response=answers(RepositoryPage), operation_id="repositories_list")
@needs(Right.SEE)
def repositories_list(request: HttpRequest, filters: Query[RepositoryFilter], paging: Query[Paging]) -> Any:
    """Repositories that images of the fleet come from."""
    rows = RepositoryKnowledge.objects.visible_to(request.user).defer("tags", "tag_dates")
    rows = select_repositories(rows, filters.q, filters.host, filters.state)
    return page(rows, _SORTS, filters.sort, paging).shown(RepositoryEntry.of)


@router.get("/{uuid:pk}", response=answers(RepositoryEntry), operation_id="repositories_get")
@needs(Right.SEE)
def repositories_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One repository."""
    return RepositoryEntry.of(_find(request, pk))


@router.get("/{uuid:pk}/tags", response=answers(list[TagEntry]), operation_id="repositories_tags")
@needs(Right.SEE)
def repositories_tags(request: HttpRequest, pk: uuid.UUID, filters: Query[TagQuery]) -> Any:
    """The tags of a repository as the registry told them."""
    lines = tag_lines(_find(request, pk), q=filters.q, age_days=0, sort=filters.sort)
    return [
        TagEntry(
            tag=line.name,
            pushed_at=line.pushed_at,
            digest=line.row.digest if line.row else "",
            size_bytes=line.row.size_bytes if line.row and line.row.has_details else None,
            platforms=line.row.platforms if line.row and line.row.has_details else [],
        )
        for line in lines[: filters.limit]
    ]


@router.post("/{uuid:pk}/check", response=answers(RepositoryEntry, 202), operation_id="repositories_check")
@needs(Right.OPERATE)
def repositories_check(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Have it looked up now; `is_being_looked_up` tells when that is done."""
    found = _find(request, pk)
    check_now(RepositoryKnowledge.objects.filter(pk=found.pk))
    found.refresh_from_db()
    return Status(202, RepositoryEntry.of(found))


def _find(request: HttpRequest, pk: uuid.UUID) -> RepositoryKnowledge:
    return get_object_or_404(RepositoryKnowledge.objects.visible_to(request.user), pk=pk)
