"""Figures of a host itself: over SSH where that is allowed, else what its engine tells, else why there are none."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from containers.models import HostUsage
from containers.statistics.storing import HostFigures
from devices.connections import Engine, read_host_figures
from devices.errors import CommandsRefused, CommandTooSlow, DeviceError
from devices.rules.host_figures import host_cpu_percent, is_folder

# The engine's data folder hardly ever moves.
_FOLDER_IS_FRESH: Final = timedelta(hours=6)
# A refusal lasts: each try costs the host a process and a line in its log.
_RETRY_AFTER: Final = timedelta(hours=6)
# A command that did not end may have met a host that was busy.
_RETRY_SLOW_AFTER: Final = timedelta(minutes=10)

Ticks = tuple[int, int]


def read_host(
    engine: Engine, known: HostUsage, memory_bytes: int | None, before: Ticks | None
) -> tuple[HostFigures, Ticks | None, dict[str, Any]]:
    """Figures, CPU ticks for the next time, and columns of the HostUsage row to change. Makes no query.

    ``known`` is that row (or a new one), ``memory_bytes`` what the engine told of the host's memory, ``before`` the
    last ticks. Never raises a DeviceError: what fails is the reason.
    """
    moment = datetime.now(UTC)
    target = engine.target.version
    if known.refused_target == target and known.retry_at is not None and known.retry_at > moment:
        return _from_engine(memory_bytes or known.memory_total_bytes, known.reason), None, {}
    changed: dict[str, Any] = {}
    try:
        folder = known.data_folder
        if not folder or known.asked_at is None or known.asked_at < moment - _FOLDER_IS_FRESH:
            info = engine.get_json("/info")
            told = info if isinstance(info, dict) else {}
            folder = str(told.get("DockerRootDir")) if is_folder(told.get("DockerRootDir")) else ""
            memory_bytes = memory_bytes or _size(told.get("MemTotal"))
            changed |= {"data_folder": folder, "asked_at": moment}
        reading = read_host_figures(engine, folder)
    except CommandsRefused as exc:
        later = _RETRY_SLOW_AFTER if isinstance(exc, CommandTooSlow) else _RETRY_AFTER
        changed |= {"refused_target": target, "retry_at": moment + later}
        return _from_engine(memory_bytes, str(exc)), None, changed
    except DeviceError as exc:
        return _from_engine(memory_bytes, str(exc)), None, changed
    if known.refused_target:
        changed |= {"refused_target": "", "retry_at": None}
    figures = HostFigures(
        cpu_percent=host_cpu_percent(before, reading),
        memory_used_bytes=reading.memory_used_bytes,
        memory_total_bytes=reading.memory_total_bytes or memory_bytes,
        load_1=reading.load_1,
        load_5=reading.load_5,
        load_15=reading.load_15,
        disk_used_bytes=reading.disk_used_bytes,
        disk_total_bytes=reading.disk_total_bytes,
        source=HostUsage.Source.SSH.value,
        reason="" if reading.disk_total_bytes else "The host's df does not tell of the disk of the engine's data.",
    )
    if reading.cpu_busy_ticks is None or reading.cpu_total_ticks is None:
        return figures, None, changed
    return figures, (reading.cpu_busy_ticks, reading.cpu_total_ticks), changed


def _from_engine(memory_bytes: int | None, reason: str) -> HostFigures:
    source = HostUsage.Source.ENGINE if memory_bytes else HostUsage.Source.NONE
    return HostFigures(memory_total_bytes=memory_bytes, source=source.value, reason=reason)


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**60 else None
