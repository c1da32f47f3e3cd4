"""Write down what look-ups found. Errors leave what was known, and say since when they stand in its way."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from registries.client import Quota
from registries.models import Origin, RepositoryKnowledge, TagKnowledge, now
from registries.polling.jobs import Outcome, TagFound, Trouble

# A registry that is not to be had is tried again by itself, less and less often.
_FIRST_RETRY: Final = timedelta(minutes=2)
_LONGEST_RETRY: Final = timedelta(hours=1)
# The registry gave no time when it refused for too many requests.
_SLEEP: Final = timedelta(minutes=10)

_REPOSITORY_COLUMNS: Final = (
    "tags",
    "tag_count",
    "tags_are_truncated",
    "tag_dates",
    "tags_at",
    "tags_attempted_at",
    "tags_due_at",
    "due_at",
    "is_urgent",
    "claimed_until",
    "attempted_at",
    "looked_up_at",
    "last_error_code",
    "last_error_message",
    "last_error_fix",
    "failing_since",
    "failures",
    "retry_at",
    "changed_at",
)
_TAG_COLUMNS: Final = (
    "digest",
    "media_type",
    "checked_at",
    "moved_at",
    "details_digest",
    "platforms",
    "size_bytes",
    "created",
    "labels",
    "due_at",
    "attempted_at",
    "error_code",
    "error_message",
    "error_fix",
)


def record(outcomes: list[Outcome]) -> None:
    """Write a batch of outcomes in one transaction; a constant number of queries."""
    moment = now()
    by_id = {outcome.job.repository_id: outcome for outcome in outcomes}
    with transaction.atomic():
        # Locked in the order in which services.want locks them.
        rows = list(RepositoryKnowledge.objects.select_for_update().filter(pk__in=by_id).order_by("host", "path"))
        _write_tags([found for outcome in outcomes for found in outcome.tags], moment)
        still_due = set(
            TagKnowledge.objects.filter(repository__in=by_id, due_at__isnull=False).values_list(
                "repository_id", flat=True
            )
        )
        for row in rows:
            _settle(row, by_id[row.pk], moment, has_due_tags=row.pk in still_due)
        # Far cheaper than bulk_update with its conditions for each column and row.
        RepositoryKnowledge.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["id"], update_fields=_REPOSITORY_COLUMNS
        )


def _write_tags(found: list[TagFound], moment: datetime) -> None:
    by_id = {item.job.row_id: item for item in found}
    # Locked: one that was forgotten meanwhile must not come back.
    rows = list(TagKnowledge.objects.select_for_update().filter(pk__in=by_id).order_by("pk"))
    for row in rows:
        item = by_id[row.pk]
        trouble = item.trouble
        if trouble is None or not trouble.concerns_registry:
            row.due_at, row.attempted_at = None, moment
        row.error_code, row.error_message, row.error_fix = _told(trouble)
        if not item.digest:
            continue
        if row.digest != item.digest:
            row.moved_at = moment if row.digest else None
        row.digest, row.media_type, row.checked_at = item.digest, item.media_type, moment
        if item.details is not None:
            row.details_digest, row.platforms = item.digest, item.details.platforms
            row.size_bytes, row.created, row.labels = item.details.size_bytes, item.details.created, item.details.labels
    TagKnowledge.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=_TAG_COLUMNS)


def _told(trouble: Trouble | None) -> tuple[str, str, str]:
    return (trouble.code, trouble.message, trouble.fix) if trouble else ("", "", "")


def _settle(row: RepositoryKnowledge, outcome: Outcome, moment: datetime, *, has_due_tags: bool) -> None:
    """Bring a repository's row to what its look-up found; what it did not reach stays due."""
    if outcome.job.needs_tag_list and not (outcome.tag_list_trouble and not outcome.is_complete):
        row.tags_attempted_at, row.tags_due_at = moment, None
    if outcome.tag_list is not None:
        row.tags, row.tag_count = list(outcome.tag_list.tags), len(outcome.tag_list.tags)
        row.tags_are_truncated, row.tags_at = outcome.tag_list.is_truncated, moment
        # Not every look-up tells dates: older ones stay with their tags.
        listed = set(row.tags)
        kept = {tag: pushed for tag, pushed in row.tag_dates.items() if tag in listed}
        row.tag_dates = kept | {tag: pushed.isoformat() for tag, pushed in outcome.tag_list.dates.items()}
    row.claimed_until, row.attempted_at, row.changed_at = None, moment, moment
    trouble = outcome.trouble
    row.last_error_code, row.last_error_message, row.last_error_fix = _told(trouble)
    if trouble is None:
        row.looked_up_at, row.failing_since, row.failures, row.retry_at = moment, None, 0, None
    else:
        row.failing_since = row.failing_since or moment
        row.failures += 1
        row.retry_at = _retry_at(trouble, row.failures, moment)
    is_pending = has_due_tags or row.tags_due_at is not None
    if row.retry_at is not None:
        row.due_at = row.retry_at
    elif is_pending:
        row.due_at = moment
    else:
        row.due_at, row.is_urgent = None, False


def _retry_at(trouble: Trouble, failures: int, moment: datetime) -> datetime | None:
    if trouble.code == "rate_limited":
        return trouble.retry_at or moment + _SLEEP
    if trouble.concerns_registry:
        return moment + min(_LONGEST_RETRY, _FIRST_RETRY * int(2 ** min(failures - 1, 10)))
    return None


def refuse(row: RepositoryKnowledge, trouble: Trouble, moment: datetime) -> None:
    """Note that a repository cannot be looked up at all, such as for an account that is not complete."""
    row.tag_rows.filter(due_at__isnull=False).update(due_at=None, attempted_at=moment)
    RepositoryKnowledge.objects.filter(pk=row.pk).update(
        claimed_until=None,
        due_at=None,
        tags_due_at=None,
        is_urgent=False,
        retry_at=None,
        attempted_at=moment,
        tags_attempted_at=moment,
        last_error_code=trouble.code,
        last_error_message=trouble.message,
        last_error_fix=trouble.fix,
        failing_since=row.failing_since or moment,
        changed_at=moment,
    )


def postpone(pks: Iterable[UUID], until: datetime, moment: datetime) -> None:
    """Put look-ups off until their origin may be asked again."""
    RepositoryKnowledge.objects.filter(pk__in=list(pks)).update(
        due_at=until,
        retry_at=until,
        last_error_code="rate_limited",
        last_error_message="The registry asked to be left alone for a while: too many requests.",
        last_error_fix="It is asked again by itself. What is shown is what it told before.",
        failing_since=Coalesce("failing_since", Value(moment)),
        changed_at=moment,
    )


def record_origin(origin: Origin, outcomes: list[Outcome], quota: Quota | None) -> None:
    """Note how a run went at an origin: its quota, its sleep, and the error if nothing at all was answered."""
    if not outcomes:
        return
    moment = now()
    columns: dict[str, object] = {"last_poll_at": moment}
    troubles = [outcome.trouble for outcome in outcomes]
    # A registry that says "no such repository" works.
    failed = [trouble for trouble in troubles if trouble is not None and trouble.code != "not_found"]
    limited = next((trouble for trouble in failed if trouble.code == "rate_limited"), None)
    columns["sleeping_until"] = (limited.retry_at or moment + _SLEEP) if limited else None
    if len(failed) < len(outcomes) and limited is None:
        columns |= {"last_good_at": moment, "failing_since": None}
        columns |= {"last_error_code": "", "last_error_message": "", "last_error_fix": ""}
    else:
        trouble = limited or failed[0]
        columns |= {"failing_since": origin.failing_since or moment, "last_error_code": trouble.code}
        columns |= {"last_error_message": trouble.message, "last_error_fix": trouble.fix}
    if quota is not None:
        columns |= {
            "quota_limit": quota.limit,
            "quota_remaining": quota.remaining,
            "quota_window_s": quota.window_s,
            "quota_source": quota.source[:120],
            "quota_seen_at": quota.seen_at,
        }
    Origin.objects.filter(pk=origin.pk).update(**columns)
