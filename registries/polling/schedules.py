"""The registries' own schedules, beside those of the devices."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q

from registries.models import Origin, Registry, RepositoryKnowledge, TagKnowledge
from registries.polling.claims import origins_of
from registries.rules.schedules import ScheduleError, next_poll
from registries.services import Accounts

logger = logging.getLogger(__name__)

# What a device's schedule asked for a moment ago is not asked again.
_FRESH: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Scheduled:
    origin: Origin
    registry: Registry | None
    expression: str


def make_scheduled_due(moment: datetime) -> int:
    """Make the repositories due whose registry's schedule has come; each schedule counts once, whoever else ticks.

    How many repositories that are. Two queries when there is no schedule, and when none has come.
    """
    accounts = None
    count = 0
    for item in _scheduled():
        upcoming = _next(item, moment)
        if item.origin.next_poll_at is None or upcoming is None:
            if item.origin.next_poll_at != upcoming:
                Origin.objects.filter(pk=item.origin.pk).update(next_poll_at=upcoming)
            continue
        if item.origin.next_poll_at > moment:
            # A changed schedule may come sooner.
            if upcoming < item.origin.next_poll_at:
                Origin.objects.filter(pk=item.origin.pk).update(next_poll_at=upcoming)
            continue
        claimed = Origin.objects.filter(pk=item.origin.pk, next_poll_at=item.origin.next_poll_at)
        if claimed.update(next_poll_at=upcoming) == 1:
            accounts = accounts or Accounts()
            count += _make_due(item, accounts, moment)
    return count


def _scheduled() -> Iterator[_Scheduled]:
    usual = settings.SSM_REGISTRY_SCHEDULE
    registries = {registry.pk: registry for registry in Registry.objects.enabled().defer("secrets", "client_key")}
    origins = list(Origin.objects.all())
    known = {(origin.host, origin.account_id) for origin in origins}
    missing = [
        (registry.host, registry.pk)
        for registry in registries.values()
        if (registry.poll_schedule or usual) and (registry.host, registry.pk) not in known
    ]
    if missing:
        origins += origins_of(missing).values()
    for origin in origins:
        registry = registries.get(origin.account_id) if origin.account_id else None
        if origin.account_id and registry is None:
            continue
        expression = (registry.poll_schedule if registry else "") or usual
        if expression or origin.next_poll_at is not None:
            yield _Scheduled(origin, registry, expression)


def _next(item: _Scheduled, moment: datetime) -> datetime | None:
    if not item.expression:
        return None
    try:
        return next_poll(item.expression, moment, spread_key=item.origin.pk * 7)
    except ScheduleError:
        logger.warning("the schedule of %s cannot be used", item.origin, extra={"schedule": item.expression})
        return None


def _make_due(item: _Scheduled, accounts: Accounts, moment: datetime) -> int:
    host, prefix = item.origin.host, item.registry.path_prefix if item.registry else ""
    longer = accounts.longer_prefixes(host, prefix)
    if item.registry is None and accounts.of(host, ""):
        return 0  # an account takes all that is not taken by a longer prefix
    limit = moment - _FRESH
    repositories = RepositoryKnowledge.objects.below(host, prefix, longer)
    stale = Q(attempted_at=None) | Q(attempted_at__lte=limit)
    tags = TagKnowledge.objects.filter(stale, repository__in=repositories, due_at=None)
    owners = set(tags.values_list("repository_id", flat=True))
    tags.update(due_at=moment)
    lists = repositories.filter(needs_tag_list=True, tags_due_at=None).filter(
        Q(tags_attempted_at=None) | Q(tags_attempted_at__lte=limit)
    )
    owners |= set(lists.values_list("pk", flat=True))
    lists.update(tags_due_at=moment)
    RepositoryKnowledge.objects.filter(pk__in=owners, due_at=None).update(due_at=moment)
    return len(owners)
