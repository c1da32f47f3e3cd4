"""When containers are decided anew, and when registries are asked.

A device's schedule registers interest in what its containers use (``check_device``); what two devices use is looked up
once. A tick (``evaluate_moved``) decides anew for what moved since the last one: containers, images, decisions of
users, and what registries told.
"""

import itertools
import logging
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from django.core.cache import cache
from django.db.models import F, Q

from containers.image_sync import sweep_images
from containers.models import Container, Image, UpdatePolicy, UpdateStatus
from containers.push import publish
from containers.updates.checks import follow_checks
from containers.updates.evaluation import evaluate
from containers.updates.interest import wanted_for
from devices.connections import pool
from devices.errors import DeviceError
from devices.models import Device, now
from devices.rules.schedules import ScheduleError, check_schedule
from devices.services import connection_target
from registries.models import RepositoryKnowledge
from registries.services import want

logger = logging.getLogger(__name__)

# Rows that were written in a transaction which committed late carry an earlier time: looked at once more.
_OVERLAP: Final = timedelta(seconds=20)
_TICK_LOCK_S: Final = 300
_CURSOR: Final = "updates:evaluated-until"
_CURSOR_KEPT_S: Final = 7 * 24 * 3600
# What a registry told within that time is young enough for a container that has just appeared.
YOUNG: Final = timedelta(hours=1)
_SHORTEST: Final = timedelta(minutes=1)
# In one tick; the rest follows in the next one.
_MOST: Final = 20_000


def check_device(device_id: str) -> None:
    """Read the device's images anew, decide, and have registries asked for what is older than the device's schedule.

    A host that cannot be reached is checked with the images that are known of it.
    """
    devices = Device.objects.select_related("credential").prefetch_related("host_keys")
    device = devices.filter(pk=device_id, watch_enabled=True).first()
    if device is None:
        return
    started = time.monotonic()
    error = ""
    if device.is_online:
        try:
            sweep_images(device, pool.engine(connection_target(device)))
        except DeviceError as exc:
            error = f"The images of the host could not be read: {exc.message}"
            logger.warning("images not read: %s", exc, extra={"device": device_id})
    ids = list(Container.objects.present().filter(device=device).values_list("pk", flat=True))
    evaluate(ids)
    want(wanted_for(UpdateStatus.objects.filter(container__in=ids)), max_age=_max_age(device))
    Device.objects.filter(pk=device.pk).update(
        last_update_check_at=now(),
        last_update_check_duration_ms=int((time.monotonic() - started) * 1000),
        last_update_check_error=error,
    )
    publish("device", device.pk, [device.pk])


def _max_age(device: Device) -> timedelta:
    """Half of the time between two checks: devices that share a repository and a schedule ask once a cycle."""
    try:
        runs = check_schedule(device.update_schedule, datetime.now(UTC))
    except ScheduleError:
        return YOUNG
    return max(_SHORTEST, min(run - before for before, run in itertools.pairwise(runs)) / 2)


def evaluate_moved() -> int:
    """Decide anew for what moved since the last tick; how many containers that were. One at a time."""
    holder = uuid.uuid4().hex
    if not cache.add("updates:tick", holder, _TICK_LOCK_S):
        return 0
    try:
        started = now()
        ids = _moved(cache.get(_CURSOR))
        seen = _evaluate_and_ask(ids[:_MOST])
        if len(ids) <= _MOST:
            cache.set(_CURSOR, started, _CURSOR_KEPT_S)
        follow_checks()
        return seen
    finally:
        if cache.get("updates:tick") == holder:
            cache.delete("updates:tick")


def _evaluate_and_ask(ids: list[uuid.UUID]) -> int:
    if not ids:
        return 0
    done = evaluate(ids)
    if done.asking:
        want(wanted_for(UpdateStatus.objects.filter(container__in=done.asking)), max_age=YOUNG)
    return done.seen


def _moved(until: datetime | None) -> list[uuid.UUID]:
    """Present containers that have to be decided anew: a handful of queries, all by an index on the time."""
    containers = Container.objects.present().filter(device__watch_enabled=True)
    if until is None:
        oldest_first = F("update__evaluated_at").asc(nulls_first=True)
        return list(containers.order_by(oldest_first).values_list("pk", flat=True))
    since = until - _OVERLAP
    found = Q(changed_at__gte=since)
    devices = Image.objects.filter(changed_at__gte=since).values_list("device_id", flat=True).distinct()
    found |= Q(device__in=list(devices))
    ids = set(containers.filter(found).values_list("pk", flat=True))
    ids |= _using_moved_repositories(since)
    ids |= _concerned_by_decisions(since, until)
    ids |= _with_other_settings()
    return list(ids)


def _using_moved_repositories(since: datetime) -> set[uuid.UUID]:
    moved = set(RepositoryKnowledge.objects.filter(changed_at__gte=since).values_list("host", "path"))
    if not moved:
        return set()
    rows = UpdateStatus.objects.present().filter(
        registry__in={host for host, _path in moved}, repository__in={path for _host, path in moved}
    )
    return {pk for pk, host, path in rows.values_list("pk", "registry", "repository") if (host, path) in moved}


def _concerned_by_decisions(since: datetime, until: datetime) -> set[uuid.UUID]:
    """Of decisions that were made or undone, and of those whose time is over."""
    decisions = UpdatePolicy.objects.filter(
        Q(created_at__gte=since) | Q(ended_at__gte=since) | Q(until__gte=since, until__lte=until + _OVERLAP)
    )
    found: set[uuid.UUID] = set()
    for container_id, registry, repository, tag in decisions.values_list("container", "registry", "repository", "tag"):
        if container_id is not None:
            found.add(container_id)
            continue
        same = UpdateStatus.objects.filter(registry=registry, repository=repository, tag=tag)
        found |= set(same.values_list("pk", flat=True))
    return found


def _with_other_settings() -> set[uuid.UUID]:
    """Those whose answer does not fit the settings of their device any more."""
    statuses = UpdateStatus.objects.present().filter(container__device__watch_enabled=True)
    left_out = Q(state="not_watched")
    unlabelled = ~Q(container__labels__has_key="wud.watch")
    stopped = ~Q(container__state__in=["running", "paused", "restarting"])
    off = Q(container__device__watch_by_default=False)
    only_running = Q(container__device__watch_stopped=False) & stopped
    wrong = Q(left_out, reason="device") & ~off | Q(left_out, reason="stopped") & ~only_running
    wrong |= ~left_out & unlabelled & (off | only_running)
    return set(statuses.filter(wrong).values_list("pk", flat=True))
