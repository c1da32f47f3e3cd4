"""Take what is due: an origin for one run alone, and of its repositories as many as a run can do."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Prefetch, Q

from registries.errors import RegistryError
from registries.models import Origin, RepositoryKnowledge, TagKnowledge
from registries.polling.jobs import Job, TagJob, Trouble
from registries.polling.recording import postpone, refuse
from registries.providers import Access
from registries.services import Accounts
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

# Repositories that one run takes, of all origins and of each.
MOST_OF_ALL: Final = 2000
MOST_OF_ONE: Final = 500
# Longer than a run can last: what a dead worker claimed is free again after that.
CLAIMED: Final = timedelta(minutes=4)


@dataclass(slots=True)
class Claim:
    """An origin that this run alone asks, with the look-ups to do there."""

    origin: Origin
    jobs: list[Job] = field(default_factory=list)


def claim_due(moment: datetime) -> list[Claim]:
    """Claim due repositories by conditional updates: whatever other workers do, each is looked up once.

    1. The due ones are sorted by origin: the host, and the account that counts for the path.
    2. Those of an origin that sleeps are put off until it wakes.
    3. Each origin is claimed; one that another run has claimed is left to it.
    4. Its repositories are claimed and read with their due tags.
    """
    due = list(
        RepositoryKnowledge.objects.due(moment)
        .order_by("-is_urgent", "due_at")
        .values_list("pk", "host", "path")[:MOST_OF_ALL]
    )
    if not due:
        return []
    accounts = Accounts()
    lanes: dict[tuple[str, UUID | None], list[UUID]] = {}
    for pk, host, path in due:
        account = accounts.of(host, path)
        lanes.setdefault((host, account.pk if account else None), []).append(pk)
    origins = origins_of(lanes)
    claims = []
    for key, pks in lanes.items():
        origin = origins[key]
        if origin.is_sleeping(moment) and origin.sleeping_until is not None:
            postpone(pks, origin.sleeping_until, moment)
        elif _claim_origin(origin, moment):
            claims.append(Claim(origin, _claim_repositories(pks[:MOST_OF_ONE], accounts, moment)))
    return claims


def origins_of(keys: Iterable[tuple[str, UUID | None]]) -> dict[tuple[str, UUID | None], Origin]:
    """The rows of hosts with accounts, made where missing. Two queries."""
    wanted = set(keys)
    Origin.objects.bulk_create(
        [Origin(host=host, account_id=account) for host, account in sorted(wanted, key=str)], ignore_conflicts=True
    )
    found = Origin.objects.filter(host__in={host for host, _account in wanted})
    return {(row.host, row.account_id): row for row in found if (row.host, row.account_id) in wanted}


def _claim_origin(origin: Origin, moment: datetime) -> bool:
    free = Q(claimed_until=None) | Q(claimed_until__lte=moment)
    return Origin.objects.filter(free, pk=origin.pk).update(claimed_until=moment + CLAIMED) == 1


def _claim_repositories(pks: list[UUID], accounts: Accounts, moment: datetime) -> list[Job]:
    """Jobs of those that are still due; ones whose account cannot be used are told so at once."""
    claimed_until = moment + CLAIMED
    RepositoryKnowledge.objects.due(moment).filter(pk__in=pks).update(claimed_until=claimed_until)
    rows = (
        RepositoryKnowledge.objects.filter(pk__in=pks, claimed_until=claimed_until)
        .defer("tags", "tag_dates")
        .order_by("-is_urgent", "due_at")
        .prefetch_related(
            Prefetch("tag_rows", TagKnowledge.objects.filter(due_at__lte=moment).defer("platforms", "labels"))
        )
    )
    jobs = []
    for row in rows:
        try:
            access = accounts.access(row.host, row.path)
        except RegistryError as exc:
            refuse(row, Trouble.of(exc), moment)
        except SsmError as exc:
            refuse(row, Trouble(exc.code, exc.message, exc.fix), moment)
        else:
            jobs.append(_job(row, access, moment))
    return jobs


def _job(row: RepositoryKnowledge, access: Access, moment: datetime) -> Job:
    return Job(
        repository_id=row.pk,
        path=row.path,
        access=access,
        needs_tag_list=row.tags_due_at is not None and row.tags_due_at <= moment,
        with_dates=row.is_urgent,
        tags=tuple(TagJob(tag.pk, tag.tag, tag.digest, tag.details_digest) for tag in row.tag_rows.all()),
        local_digests=frozenset(row.local_digests),
    )


def release(claims: Iterable[Claim]) -> None:
    """Give the origins back; repositories that were not reached stay due."""
    for claim in claims:
        Origin.objects.filter(pk=claim.origin.pk).update(claimed_until=None)
        RepositoryKnowledge.objects.filter(pk__in=[job.repository_id for job in claim.jobs]).update(claimed_until=None)
