"""One reading of a device: what its containers and the host itself use now, within a stated cost."""

import itertools
import logging
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import OperationalError

from containers.models import Container, HostUsage
from containers.push import publish
from containers.rules.sampling import interval_s, slow_host_text
from containers.rules.statistics import LONGEST_BETWEEN_S, Reading, Usage, usage_between, with_block_counters
from containers.statistics.asking import Answers, ask
from containers.statistics.hosts import read_host
from containers.statistics.lastreadings import Before, recall, remember
from containers.statistics.storing import HostFigures, Sample, store
from devices.connections import Engine, pool
from devices.errors import DeviceError
from devices.models import Device
from devices.rules.schedules import ScheduleError, check_schedule
from devices.services import connection_target
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

_MOST_TEXT: Final = 2000
_NAMED: Final = 5
_DEFAULT_INTERVAL_S: Final = 60.0
_MISSED: Final = 3


@dataclass(frozen=True, slots=True)
class _Running:
    """A container that runs, as far as the rows know."""

    pk: uuid.UUID
    engine_id: str
    name: str
    started_at: datetime | None


def sample(device_id: str) -> None:
    """Read one device and store what it uses; what fails is noted on its row. The caller sees to one at a time.

    Blocks for the time that opening a connection takes, plus ``SSM_STATISTICS_DEVICE_SECONDS``.
    """
    device = Device.objects.select_related("credential").prefetch_related("host_keys").filter(pk=device_id).first()
    if device is not None and device.watch_enabled and device.statistics_enabled:
        _sample(device)


def _sample(device: Device) -> None:
    started_at, began = datetime.now(UTC), time.monotonic()
    try:
        note = read_and_store(device, pool.engine(connection_target(device)))
    except SsmError as exc:
        logger.warning("statistics not read: %s", exc, extra={"device": str(device.pk)})
        _record(device, last_statistics_error=str(exc)[:_MOST_TEXT])
    except OperationalError:
        raise  # nothing can be noted either
    except Exception as exc:
        logger.exception("statistics failed unexpectedly", extra={"device": str(device.pk)})
        _record(device, last_statistics_error=f"SSM failed at reading statistics ({type(exc).__name__}): see its log.")
    else:
        took_s = time.monotonic() - began
        scheduled_s = _scheduled_interval_s(device)
        longer = interval_s(scheduled_s, took_s, settings.SSM_STATISTICS_HOST_PERCENT, device.statistics_interval_s)
        if longer is not None:
            slow = slow_host_text(scheduled_s, took_s, settings.SSM_STATISTICS_HOST_PERCENT, longer)
            note = f"{slow} {note}".strip()
        _record(
            device,
            last_statistics_at=started_at,
            last_statistics_duration_ms=int(took_s * 1000),
            last_statistics_error=note[:_MOST_TEXT],
            statistics_interval_s=longer,
        )
    publish("usage", device.pk, [device.pk])


def read_and_store(device: Device, engine: Engine) -> str:
    """Ask for all running containers and the host, and store it. What is missing and why, as text ("" for nothing).

    Raises DeviceError when the host fails before anything was read; then nothing was stored.
    """
    moment = datetime.now(UTC)
    running = _running(device)
    before = recall(device.pk)
    # As far apart as readings of this device are, some missed ones included.
    longest_s = max(LONGEST_BETWEEN_S, _MISSED * (device.statistics_interval_s or _scheduled_interval_s(device)))
    # Who was not reached last time comes first.
    order = sorted(running, key=lambda engine_id: _read_at(before.readings.get(engine_id)))
    answers, (host, ticks) = _ask_all(device, engine, order, before)
    readings = with_block_counters(answers.readings)
    usages = {
        running[engine_id].pk: _usage(running[engine_id], before.readings.get(engine_id), reading, longest_s)
        for engine_id, reading in readings.items()
    }
    store(device, Sample(moment, host, usages))
    # One that did not answer this time is compared with what it said before that.
    kept = {engine_id: reading for engine_id, reading in before.readings.items() if engine_id in running}
    remember(device.pk, Before({**kept, **readings}, ticks), longest_s)
    return _missing(answers, running)


def _ask_all(
    device: Device, engine: Engine, engine_ids: list[str], before: Before
) -> tuple[Answers, tuple[HostFigures, tuple[int, int] | None]]:
    """Containers and host at the same time."""
    usage = HostUsage.objects.filter(device=device).first() or HostUsage(device=device)
    with ThreadPoolExecutor(1, thread_name_prefix="host-figures") as executor:
        host: Future[Any] = executor.submit(read_host, engine, usage, device.memory_bytes, before.host_ticks)
        answers = ask(
            engine,
            engine_ids,
            at_once=settings.SSM_STATISTICS_CALLS_AT_ONCE,
            budget_s=settings.SSM_STATISTICS_DEVICE_SECONDS,
        )
        figures, ticks, changed = host.result()
    if changed:
        HostUsage.objects.update_or_create(device=device, defaults=changed)
    return answers, (figures, ticks)


def _running(device: Device) -> dict[str, _Running]:
    """Containers that use something, by engine id. Paused and stopped ones are not asked: they use nothing."""
    rows = Container.objects.present().filter(device=device, state=Container.State.RUNNING)
    return {
        engine_id: _Running(pk, engine_id, name, started_at)
        for pk, engine_id, name, started_at in rows.values_list("pk", "engine_id", "name", "started_at")
    }


def _usage(container: _Running, before: Reading | None, reading: Reading, longest_s: float) -> Usage:
    """Without a difference over a restart, whose counters began anew and may be beyond the old ones already."""
    started = container.started_at
    if before is not None and started is not None and _read_at(before) < started.timestamp():
        before = None
    return usage_between(before, reading, longest_s=longest_s)


def _read_at(reading: Reading | None) -> float:
    return (reading.read_at or 0.0) if reading else 0.0


def _missing(answers: Answers, running: Mapping[str, _Running]) -> str:
    """Which containers have no figures, and why."""
    parts = []
    if answers.failed:
        named = [
            f"{running[engine_id].name}: {_message(error)}"
            for engine_id, error in list(answers.failed.items())[:_NAMED]
        ]
        parts.append(f"{len(answers.failed)} of {len(running)} containers gave no figures: " + " ".join(named))
    if answers.unreached:
        parts.append(
            f"{len(answers.unreached)} of {len(running)} containers were not reached in time and come first next time."
        )
    return " ".join(parts)


def _message(error: DeviceError) -> str:
    return error.message


def _scheduled_interval_s(device: Device) -> float:
    """The shortest distance of the next runs of the device's schedule."""
    try:
        runs = check_schedule(device.statistics_schedule, datetime.now(UTC))
    except ScheduleError:
        return _DEFAULT_INTERVAL_S
    return min((after - before) / timedelta(seconds=1) for before, after in itertools.pairwise(runs))


def _record(device: Device, **columns: Any) -> None:
    Device.objects.filter(pk=device.pk).update(**columns)
