"""Repositories and their tags as lists: filtered and put in order."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import Q

from registries.models import RepositoryKnowledge, TagKnowledge
from registries.querysets import RepositoryQuerySet

_DIGITS: Final = re.compile(r"([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class TagLine:
    """A tag of the table: its name, when it was pushed (if known), and what is known besides."""

    name: str
    pushed_at: datetime | None
    row: TagKnowledge | None

    @property
    def is_listed_only(self) -> bool:
        """Whether nothing but the name is known."""
        return self.row is None


def select_repositories(repositories: RepositoryQuerySet, q: str, host: str, state: str) -> RepositoryQuerySet:
    """The repositories that pass; what is empty does not filter."""
    if q:
        repositories = repositories.filter(Q(path__icontains=q) | Q(host__icontains=q))
    if host:
        repositories = repositories.filter(host=host)
    if state == "good":
        return repositories.filter(last_error_code="", looked_up_at__isnull=False)
    if state == "failing":
        return repositories.exclude(last_error_code="")
    if state == "waiting":
        return repositories.filter(due_at__isnull=False)
    return repositories.filter(attempted_at=None) if state == "new" else repositories


def tag_lines(found: RepositoryKnowledge, *, q: str, age_days: int, sort: str) -> list[TagLine]:
    """The tags that pass, in order; those that somebody runs or may be offered first. One query."""
    rows = found.tags_by_name
    names = [*found.tags, *(tag for tag in rows if tag not in set(found.tags))]
    lines = [TagLine(name, _pushed_at(found, name, rows.get(name)), rows.get(name)) for name in names]
    if q:
        lines = [line for line in lines if q.lower() in line.name.lower()]
    if age_days:
        limit = datetime.now(UTC) - timedelta(days=age_days)
        lines = [line for line in lines if line.pushed_at is not None and line.pushed_at >= limit]
    if sort.endswith("pushed"):
        oldest = datetime.min.replace(tzinfo=UTC)
        # As in other tables: the newest come first, and "-" turns it round.
        return sorted(lines, key=lambda line: line.pushed_at or oldest, reverse=not sort.startswith("-"))
    lines.sort(key=lambda line: _natural(line.name), reverse=sort.startswith("-"))
    return sorted(lines, key=lambda line: line.is_listed_only) if sort == "-name" else lines


def _pushed_at(found: RepositoryKnowledge, name: str, row: TagKnowledge | None) -> datetime | None:
    told = found.tag_dates.get(name)
    if told:
        return datetime.fromisoformat(told)
    return row.created if row is not None and row.has_details else None


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """1.10 after 1.9, as people read them."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _DIGITS.split(name) if part]
