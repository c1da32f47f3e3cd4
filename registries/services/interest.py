"""Interest in repositories: what others want to know becomes due, and what is known is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

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
    over (a registry that is not to be had is tried again earlier, by the poll itself). ``urgent`` ones come first. The
    number of queries does not depend on how many are wanted, but for digests that were not known yet.
    """
    merged = _merge(wanted)
    if not merged:
        return 0
    moment = now()
    with transaction.atomic():
        repositories = _repositories(merged)
        rows = _tag_rows(merged, repositories)
        stale = [row for row in rows if row.due_at is None and _is_older(row.attempted_at, moment - max_age)]
        pending = {row.repository_id for row in rows if row.due_at is not None} | {row.repository_id for row in stale}
        TagKnowledge.objects.filter(pk__in=[row.pk for row in stale]).update(due_at=moment)
        limit = moment - _NOTED
        _note(TagKnowledge.objects.filter(pk__in=[row.pk for row in rows if row.wanted_at < limit]), moment)
        _note(
            RepositoryKnowledge.objects.filter(
                pk__in=[row.pk for row in repositories.values() if row.wanted_at < limit]
            ),
            moment,
        )
        _keep_local_digests(merged, repositories)
        pending |= _make_lists_due(merged, repositories, moment, max_age)
        return _make_due([row for row in repositories.values() if row.pk in pending], moment, urgent=urgent)


def _merge(wanted: Iterable[Wanted]) -> dict[Pair, Wanted]:
    merged: dict[Pair, Wanted] = {}
    for item in wanted:
        known = merged.get(item.pair)
        if known is not None:
            item = Wanted(
                item.registry,
                item.repository,
                known.tags | item.tags,
                known.needs_tag_list or item.needs_tag_list,
                known.local_digests | item.local_digests,
            )
        merged[item.pair] = item
    return merged


def _repositories(merged: dict[Pair, Wanted]) -> dict[Pair, RepositoryKnowledge]:
    """Rows of all pairs, made where missing and locked in one order: two devices that want the same do not clash."""
    condition = _is_one_of(merged)
    known = set(RepositoryKnowledge.objects.filter(condition).values_list("host", "path"))
    missing = sorted(set(merged) - known)
    if missing:
        RepositoryKnowledge.objects.bulk_create(
            [RepositoryKnowledge(host=host, path=path) for host, path in missing], ignore_conflicts=True
        )
    found = (
        RepositoryKnowledge.objects.select_for_update()
        .filter(condition)
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
    """Rows of all wanted tags, made where missing."""
    names = {repositories[pair].pk: item.tags for pair, item in merged.items()}
    rows = _known_tags(names)
    known = {(row.repository_id, row.tag) for row in rows}
    missing = [(pk, tag) for pk, tags in names.items() for tag in sorted(tags) if (pk, tag) not in known]
    if not missing:
        return rows
    TagKnowledge.objects.bulk_create(
        [TagKnowledge(repository_id=pk, tag=tag) for pk, tag in missing], ignore_conflicts=True
    )
    return _known_tags(names)


def _known_tags(names: dict[UUID, frozenset[str]]) -> list[TagKnowledge]:
    found = TagKnowledge.objects.filter(repository__in=names).only(
        "repository_id", "tag", "due_at", "attempted_at", "wanted_at"
    )
    return [row for row in found if row.tag in names[row.repository_id]]


def _is_older(moment: datetime | None, limit: datetime) -> bool:
    return moment is None or moment <= limit


def _note(rows: QuerySet[Any], moment: datetime) -> None:
    rows.update(wanted_at=moment)


def _keep_local_digests(merged: dict[Pair, Wanted], repositories: dict[Pair, RepositoryKnowledge]) -> None:
    for pair, item in merged.items():
        row = repositories[pair]
        if new := sorted(item.local_digests - set(row.local_digests)):
            kept = [*row.local_digests, *new][-_LOCAL_DIGESTS:]
            RepositoryKnowledge.objects.filter(pk=row.pk).update(local_digests=kept)


def _make_lists_due(
    merged: dict[Pair, Wanted],
    repositories: dict[Pair, RepositoryKnowledge],
    moment: datetime,
    max_age: timedelta,
) -> set[UUID]:
    """Make the tag lists due that are wanted and old; which repositories have one due now, whoever asked for it."""
    needed = [repositories[pair] for pair, item in merged.items() if item.needs_tag_list]
    unmarked = [row.pk for row in needed if not row.needs_tag_list]
    RepositoryKnowledge.objects.filter(pk__in=unmarked).update(needs_tag_list=True)
    old = [row.pk for row in needed if row.tags_due_at is None and _is_older(row.tags_attempted_at, moment - max_age)]
    RepositoryKnowledge.objects.filter(pk__in=old).update(tags_due_at=moment)
    return {row.pk for row in repositories.values() if row.tags_due_at is not None} | set(old)


def _make_due(rows: list[RepositoryKnowledge], moment: datetime, *, urgent: bool) -> int:
    """What waits for its turn after a failure is not hurried by a schedule, only by a person."""
    due = RepositoryKnowledge.objects.filter(pk__in=[row.pk for row in rows if urgent or row.due_at is None])
    if urgent:
        due.update(due_at=moment, is_urgent=True)
    else:
        due.update(due_at=moment)
    return len(rows)


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
