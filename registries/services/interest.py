"""Interest in repositories: what others want to know becomes due, and what is known is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from registries.models import RepositoryKnowledge, TagKnowledge, now
from registries.querysets import RepositoryQuerySet

Pair = tuple[str, str]

# Digests that hosts run, kept for each repository; the latest count.
_LOCAL_DIGESTS: Final = 200
# "Wanted" is noted again only after that time: most calls then write nothing.
_NOTED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to know of a repository, named as in a reference's normal form.

    ``local_digests`` are those that hosts run: a tag that points to one of them is known well enough by its digest,
    so its manifests are not fetched (each would count on Docker Hub's quota).
    """

    registry: str
    repository: str
    tags: frozenset[str]
    needs_tag_list: bool
    local_digests: frozenset[str] = field(default=frozenset())

    @property
    def pair(self) -> Pair:
        """Registry and repository."""
        return self.registry, self.repository


def want(wanted: Iterable[Wanted], *, urgent: bool = False, max_age: timedelta) -> int:
    """Register interest; what was last asked longer ago than ``max_age`` becomes due. How many repositories are due.

    An answer counts by its age, an error too: a repository that is refused is not asked again until ``max_age`` is
    over (errors that may pass are tried again earlier, by the poll itself). ``urgent`` ones come first. The number of
    queries does not depend on how many are wanted.
    """
    merged = _merge(wanted)
    if not merged:
        return 0
    moment = now()
    with transaction.atomic():
        repositories = _repositories(merged)
        rows = _tag_rows(merged, repositories)
        fresh = [row for row in rows if row.due_at is None and _is_older(row.attempted_at, moment - max_age)]
        owners = {row.repository_id for row in rows if row.due_at is not None} | {row.repository_id for row in fresh}
        TagKnowledge.objects.filter(pk__in=[row.pk for row in fresh]).update(due_at=moment)
        _note_wanted(rows, moment)
        return _make_due(merged, repositories, owners, moment, max_age, urgent=urgent)


def _merge(wanted: Iterable[Wanted]) -> dict[Pair, Wanted]:
    merged: dict[Pair, Wanted] = {}
    for item in wanted:
        known = merged.get(item.pair)
        merged[item.pair] = (
            item
            if known is None
            else Wanted(
                item.registry,
                item.repository,
                known.tags | item.tags,
                known.needs_tag_list or item.needs_tag_list,
                known.local_digests | item.local_digests,
            )
        )
    return merged


def _repositories(merged: dict[Pair, Wanted]) -> dict[Pair, RepositoryKnowledge]:
    """Rows of all pairs, made where missing and locked in one order: two devices that want the same do not clash."""
    RepositoryKnowledge.objects.bulk_create(
        [RepositoryKnowledge(host=host, path=path) for host, path in sorted(merged)], ignore_conflicts=True
    )
    found = (
        RepositoryKnowledge.objects.select_for_update()
        .filter(_is_one_of(merged))
        .defer("tags", "tag_dates")
        .order_by("host", "path")
    )
    return {(row.host, row.path): row for row in found}


def _is_one_of(pairs: Iterable[Pair]) -> Q:
    by_host: dict[str, list[str]] = {}
    for host, path in pairs:
        by_host.setdefault(host, []).append(path)
    condition = Q(pk__in=[])
    for host, paths in by_host.items():
        condition |= Q(host=host, path__in=paths)
    return condition


def _tag_rows(merged: dict[Pair, Wanted], repositories: dict[Pair, RepositoryKnowledge]) -> list[TagKnowledge]:
    names = {repositories[pair].pk: item.tags for pair, item in merged.items()}
    TagKnowledge.objects.bulk_create(
        [TagKnowledge(repository_id=pk, tag=tag) for pk, tags in names.items() for tag in sorted(tags)],
        ignore_conflicts=True,
    )
    found = TagKnowledge.objects.filter(repository__in=names).defer("platforms", "labels")
    return [row for row in found if row.tag in names[row.repository_id]]


def _is_older(moment: datetime | None, limit: datetime) -> bool:
    return moment is None or moment <= limit


def _note_wanted(rows: list[TagKnowledge], moment: datetime) -> None:
    stale = [row.pk for row in rows if row.wanted_at < moment - _NOTED]
    if stale:
        TagKnowledge.objects.filter(pk__in=stale).update(wanted_at=moment)


def _make_due(
    merged: dict[Pair, Wanted],
    repositories: dict[Pair, RepositoryKnowledge],
    owners: set[UUID],
    moment: datetime,
    max_age: timedelta,
    *,
    urgent: bool,
) -> int:
    due, changed = 0, []
    for pair, item in merged.items():
        row = repositories[pair]
        before = (row.needs_tag_list, row.tags_due_at, row.due_at, row.is_urgent, row.wanted_at, row.local_digests)
        row.needs_tag_list |= item.needs_tag_list
        if item.needs_tag_list and row.tags_due_at is None and _is_older(row.tags_attempted_at, moment - max_age):
            row.tags_due_at = moment
        new = sorted(item.local_digests - set(row.local_digests))
        row.local_digests = [*row.local_digests, *new][-_LOCAL_DIGESTS:]
        if row.pk in owners or row.tags_due_at is not None:
            due += 1
            # What waits for its turn after a failure is not hurried by a schedule, only by a person.
            if row.due_at is None or urgent:
                row.due_at = moment
            row.is_urgent |= urgent
        if row.wanted_at < moment - _NOTED:
            row.wanted_at = moment
        after = (row.needs_tag_list, row.tags_due_at, row.due_at, row.is_urgent, row.wanted_at, row.local_digests)
        if after != before:
            changed.append(row)
    RepositoryKnowledge.objects.bulk_update(
        changed, ["needs_tag_list", "tags_due_at", "due_at", "is_urgent", "wanted_at", "local_digests"], batch_size=500
    )
    return due


def knowledge(pairs: Iterable[Pair]) -> dict[Pair, RepositoryKnowledge]:
    """What is known of these repositories, with their ``tags_by_name``. Two queries; unknown ones are left out."""
    found = RepositoryKnowledge.objects.filter(_is_one_of(pairs)).prefetch_related("tag_rows")
    return {(row.host, row.path): row for row in found}


def check_now(repositories: RepositoryQuerySet, *, tag: str = "") -> int:
    """Make repositories due at once with all that is wanted of them, and with their lists of tags, for a person.

    ``tag`` adds one tag. How many repositories that are; six queries.
    """
    moment = now()
    with transaction.atomic():
        pks = list(repositories.select_for_update().order_by("host", "path").values_list("pk", flat=True))
        if tag:
            TagKnowledge.objects.bulk_create(
                [TagKnowledge(repository_id=pk, tag=tag) for pk in pks], ignore_conflicts=True
            )
        TagKnowledge.objects.filter(repository__in=pks, due_at=None).update(due_at=moment)
        rows = RepositoryKnowledge.objects.filter(pk__in=pks)
        return rows.update(due_at=moment, tags_due_at=moment, is_urgent=True, retry_at=None)
