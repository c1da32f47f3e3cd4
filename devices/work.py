"""Work that is due again and again for each device: what there is, handing it out, and doing it one at a time.

One beat tick calls ``hand_out``. A run that was missed (SSM was down, the host away) is not made up for: work is due
once, whatever the number of missed runs, and its message is dropped by the workers when its time is over.
"""

import logging
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Q

from devices.models import Device
from devices.rules.schedules import (
    DEFAULT_STATISTICS_SCHEDULE,
    DEFAULT_SWEEP_SCHEDULE,
    DEFAULT_UPDATE_SCHEDULE,
    ScheduleError,
    is_left_out,
    next_run,
)
from ssm.lib import tallies
from ssm.lib.jobs import enqueue
from ssm.lib.locks import lock

logger = logging.getLogger(__name__)

# What was handed out but did not end by then is handed out again: its message or its worker was lost.
EXPECTED: Final = timedelta(minutes=3)
# Handed out by one tick at most: the rest follows with the next one, a few seconds later.
AT_ONCE: Final = 500
# A worker that died keeps others from a device's work for so long; the lock of a living one is renewed.
_LOCK_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work: its task, and which columns of Device hold its settings and its standing."""

    name: str
    label: str
    task: str
    schedule: str
    default: str
    next_at: str
    last_at: str
    duration_ms: str
    error: str
    enabled: str = ""
    interval_s: str = ""
    # Its own recording plans the next run, as it knows how the last one ended.
    plans_itself: bool = False

    def is_wanted(self, device: Device) -> bool:
        """Whether the device's settings ask for it."""
        return device.watch_enabled and (not self.enabled or getattr(device, self.enabled))

    def plan(self, device: Device, after: datetime) -> datetime:
        """When it is due next, by schedule, stable spread, and the longer interval of a host found slow.

        A schedule that cannot be used, however it came into the row, counts as the default: it must not stop others.
        """
        longer = getattr(device, self.interval_s) if self.interval_s else None
        if longer:
            # A minute of the schedule that begins a little early is that minute all the same.
            after += timedelta(seconds=max(0.0, longer - 30.0))
        key = zlib.crc32(f"{device.pk}:{self.name}".encode())
        with suppress(ScheduleError):
            return next_run(getattr(device, self.schedule), after, spread_key=key)
        return next_run(self.default, after, spread_key=key)


SWEEP: Final = Kind(
    name="sweep",
    label="Full sweep",
    task="containers.sweep_device",
    schedule="sweep_schedule",
    default=DEFAULT_SWEEP_SCHEDULE,
    next_at="next_sweep_at",
    last_at="last_sweep_at",
    duration_ms="last_sweep_duration_ms",
    error="last_sweep_error",
    plans_itself=True,
)
STATISTICS: Final = Kind(
    name="statistics",
    label="Statistics",
    task="containers.sample_device",
    schedule="statistics_schedule",
    default=DEFAULT_STATISTICS_SCHEDULE,
    next_at="next_statistics_at",
    last_at="last_statistics_at",
    duration_ms="last_statistics_duration_ms",
    error="last_statistics_error",
    enabled="statistics_enabled",
    interval_s="statistics_interval_s",
)
UPDATE_CHECK: Final = Kind(
    name="updates",
    label="Update check",
    task="containers.check_device_updates",
    schedule="update_schedule",
    default=DEFAULT_UPDATE_SCHEDULE,
    next_at="next_update_check_at",
    last_at="last_update_check_at",
    duration_ms="last_update_check_duration_ms",
    error="last_update_check_error",
)
KINDS: Final = (SWEEP, STATISTICS, UPDATE_CHECK)


def kind_named(name: str) -> Kind | None:
    """The kind of that name."""
    return next((kind for kind in KINDS if kind.name == name), None)


def plan_all(device: Device) -> None:
    """Set the next runs by settings that were just changed; the row is not saved."""
    for kind in KINDS:
        setattr(device, kind.next_at, kind.plan(device, datetime.now(UTC)))


# ---- handing out


def hand_out(moment: datetime | None = None) -> int:
    """Send what is due at the moment (default: now) to the workers, each once, whoever else ticks; how many.

    One query for each kind, and one for each device that is due. Hosts that are not online are passed over: they cost
    nothing, and a sweep is due when they return.
    """
    moment = moment or datetime.now(UTC)
    return sum(_hand_out(kind, device, moment) for kind in KINDS for device in _due(kind, moment))


def _due(kind: Kind, moment: datetime) -> list[Device]:
    """Watched, online, and their time has come or was never planned; the longest waiting first."""
    wanted: dict[str, Any] = {kind.enabled: True} if kind.enabled else {}
    devices = Device.objects.watched().filter(state=Device.State.ONLINE, **wanted)
    due = devices.filter(Q(**{f"{kind.next_at}__lte": moment}) | Q(**{kind.next_at: None}))
    columns = [kind.schedule, kind.next_at, *([kind.interval_s] if kind.interval_s else [])]
    return list(due.order_by(kind.next_at).only("pk", *columns)[:AT_ONCE])


def _hand_out(kind: Kind, device: Device, moment: datetime) -> int:
    """Claim by moving the time on, if it is still what was read; then send, to be done before its next turn."""
    due_at: datetime | None = getattr(device, kind.next_at)
    planned = kind.plan(device, moment)
    if is_left_out(due_at, moment, planned):
        _move(kind, device, due_at, planned)
        return 0
    claimed = _move(kind, device, due_at, min(planned, moment + EXPECTED))
    if claimed:
        enqueue(kind.task, str(device.pk), expires_s=(min(planned, moment + EXPECTED) - moment).total_seconds())
    return claimed


def _move(kind: Kind, device: Device, due_at: datetime | None, to: datetime) -> int:
    return Device.objects.filter(pk=device.pk, **{kind.next_at: due_at}).update(**{kind.next_at: to})


def request_now(kind: Kind, device: Device) -> None:
    """Have it done now, whatever its schedule says: a person asked, or something was missed.

    What was asked for and did not end, as its message or its worker was lost, is handed out again by a tick.
    """
    Device.objects.filter(pk=device.pk).update(**{kind.next_at: datetime.now(UTC) + EXPECTED})
    enqueue(kind.task, str(device.pk), expires_s=EXPECTED.total_seconds())


# ---- doing


def perform(kind: Kind, device_id: str, work: Callable[[str], object]) -> bool:
    """Do the work of one device and plan its next run; False, and nothing done, while another worker is at it.

    A request that came meanwhile leaves a sweep due, as what changed may have been passed by; of the other kinds the
    next run tells the same.
    """
    started = datetime.now(UTC)
    with lock(f"work:{kind.name}:{device_id}", _LOCK_S) as is_ours:
        if not is_ours:
            if kind.plans_itself:
                Device.objects.filter(pk=device_id).update(**{kind.next_at: started})
            return False
        try:
            work(device_id)
        finally:
            tallies.count("work", (kind.name,), (datetime.now(UTC) - started).total_seconds())
            if not kind.plans_itself:
                settle(kind, device_id, started)
    return True


def settle(kind: Kind, device_id: str, started: datetime) -> None:
    """Plan the next run, unless one was asked for after ``started`` and is due."""
    device = Device.objects.filter(pk=device_id).first()
    if device is None:
        return
    moment = datetime.now(UTC)
    planned = kind.plan(device, started if kind.interval_s else moment)
    if planned <= moment:
        planned = kind.plan(device, moment)
    rows = Device.objects.filter(pk=device_id)
    rows.exclude(**{f"{kind.next_at}__gt": started, f"{kind.next_at}__lte": moment}).update(**{kind.next_at: planned})
