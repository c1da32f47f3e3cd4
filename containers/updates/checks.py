"""Checks that somebody asks for now: what they wait for, how far they are."""

import uuid
from datetime import timedelta
from typing import Any, Final

from django.db import transaction

from containers.models import Container, UpdateCheck, UpdateStatus
from containers.push import publish
from containers.updates.evaluation import evaluate
from containers.updates.interest import wanted_for
from devices.models import Device, now
from registries.models import RepositoryKnowledge
from registries.services import check_now, want
from ssm.lib.roles import SomeUser

# What was looked up just now is not asked again, however often the button is pressed.
FRESH: Final = timedelta(seconds=20)
# A registry that sleeps, or workers that are away: the line goes, the look-ups stay due.
_LONGEST: Final = timedelta(minutes=10)
_KEPT: Final = timedelta(days=1)
# Checks belong to no one device: a device of this id is none.
_NO_DEVICE: Final = uuid.UUID(int=0)


def request_check(user: SomeUser, *, container: Container | None = None, device: Device | None = None) -> UpdateCheck:
    """Have the registries asked at once about a container, a device's containers, or all, and follow it."""
    containers = Container.objects.visible_to(user).present()
    if container is not None:
        containers = containers.filter(pk=container.pk)
    elif device is not None:
        containers = containers.filter(device=device)
    ids = list(containers.values_list("pk", flat=True))
    evaluate(ids)
    wanted = list(wanted_for(UpdateStatus.objects.filter(container__in=ids)))
    moment = now()
    want(wanted, urgent=True, max_age=FRESH)
    repositories = _repositories([item.pair for item in wanted])
    # Those that wait after a failure are asked too: a person wants to know.
    waiting = RepositoryKnowledge.objects.filter(pk__in=repositories, due_at__gt=moment)
    check_now(waiting.filter(retry_at__isnull=False).exclude(last_error_code="rate_limited"))
    due = RepositoryKnowledge.objects.filter(pk__in=repositories, due_at__isnull=False)
    pending = list(due.values_list("pk", flat=True))
    with transaction.atomic(durable=True):
        UpdateCheck.objects.filter(started_at__lt=moment - _KEPT).delete()
        UpdateCheck.objects.under_way().filter(container=container, device=device).update(finished_at=moment)
        check = UpdateCheck.objects.create(
            container=container,
            device=device,
            repositories=pending,
            total=len(repositories),
            done=len(repositories) - len(pending),
            requested_by_name=user.get_username()[:150],
            started_at=moment,
            finished_at=None if pending else moment,
        )
        _announce(check)
    return check


def _repositories(pairs: list[tuple[str, str]]) -> list[uuid.UUID]:
    wanted = set(pairs)
    found = RepositoryKnowledge.objects.filter(
        host__in={host for host, _path in wanted}, path__in={path for _host, path in wanted}
    ).values_list("pk", "host", "path")
    return [pk for pk, host, path in found if (host, path) in wanted]


def follow_checks() -> None:
    """Bring the checks under way up to date; two queries for each."""
    for check in UpdateCheck.objects.under_way().order_by("started_at")[:50]:
        rows = RepositoryKnowledge.objects.filter(pk__in=check.repositories)
        looked_up = list(rows.filter(attempted_at__gte=check.started_at).values_list("last_error_code", flat=True))
        left = len(check.repositories) - len(looked_up)
        columns: dict[str, Any] = {"done": check.total - left, "failed": sum(bool(code) for code in looked_up)}
        if left <= 0 or check.started_at < now() - _LONGEST:
            columns["finished_at"] = now()
        if any(getattr(check, name) != value for name, value in columns.items()):
            UpdateCheck.objects.filter(pk=check.pk).update(**columns)
            _announce(check)


def _announce(check: UpdateCheck) -> None:
    publish("check", check.device_id or _NO_DEVICE, [check.pk])


def latest_check(*, container_id: uuid.UUID | None = None, device_id: uuid.UUID | None = None) -> UpdateCheck | None:
    """The check of that scope that is under way, or ended within the last minute. One query."""
    checks = UpdateCheck.objects.filter(container=container_id, device=device_id, started_at__gte=now() - _LONGEST)
    found = checks.order_by("-started_at").first()
    if found is None or (found.finished_at is not None and found.finished_at < now() - timedelta(minutes=1)):
        return None
    return found
