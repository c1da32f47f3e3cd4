"""Figures of single containers, for who asks for them: written piece by piece, as there may be many thousands."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from containers.models import Container
from ssm.metrics.fleet import FRESH, label

_PIECE: Final = 2000
_LABELS: Final = ("device__name", "name")
_INFO: Final = ("pk", "compose_project", "compose_service", "image_reference", "state")
# Column, name, help, factor.
_USAGE: Final = (
    ("usage__cpu_percent", "ssm_container_cpu_cores", "CPU cores that the container uses.", 0.01),
    ("usage__memory_bytes", "ssm_container_memory_bytes", "Memory, as docker stats has it.", 1),
    ("usage__memory_limit_bytes", "ssm_container_memory_limit_bytes", "Its limit, or the host's memory.", 1),
    ("usage__network_received_bytes_per_s", "ssm_container_network_received_bytes_per_second", "Received.", 1),
    ("usage__network_sent_bytes_per_s", "ssm_container_network_sent_bytes_per_second", "Sent.", 1),
    ("usage__block_read_bytes_per_s", "ssm_container_block_read_bytes_per_second", "Read from disks.", 1),
    ("usage__block_written_bytes_per_s", "ssm_container_block_written_bytes_per_second", "Written to disks.", 1),
    ("usage__pids", "ssm_container_pids", "Processes and threads.", 1),
)
_FIXED: Final = (*_LABELS, *_INFO, "health", "restart_count", "started_at", "update__state", "usage__sampled_at")
_HEALTH: Final = {"healthy": 1.0, "starting": 0.5, "unhealthy": 0.0}


def containers(group: str = "", device: str = "") -> Iterator[str]:
    """The exposition text (version 0.0.4) of all present containers, or of a group's or a device's, in pieces.

    One query. Containers are told apart by ``device`` and ``container``; what may change of them is in
    ``ssm_container_info``. Figures that are older than ten minutes are left out.
    """
    rows = Container.objects.present().order_by("device__name", "name")
    if group:
        rows = rows.filter(device__groups__contains=[group])
    if device:
        rows = rows.filter(device__name=device)
    found = list(rows.values_list(*_FIXED, *(column for column, *_ in _USAGE)))
    own = [f'device="{_escaped(row[0])}",container="{_escaped(row[1])}"' for row in found]
    place = {column: position for position, column in enumerate(_FIXED)}
    oldest = datetime.now(UTC) - FRESH

    def column(name: str) -> Iterator[Any]:
        return (row[place[name]] for row in found)

    yield from _family("ssm_container_info", "A container, where it belongs and what it runs.", _infos(found, own))
    states = zip(own, column("state"), strict=True)
    yield from _family(
        "ssm_container_up", "1 while it runs.", ((key, float(state == "running")) for key, state in states)
    )
    health = [(key, _HEALTH[value]) for key, value in zip(own, column("health"), strict=True) if value in _HEALTH]
    yield from _family("ssm_container_health", "1 healthy, 0.5 starting, 0 unhealthy; absent without a check.", health)
    restarts = zip(own, map(float, column("restart_count")), strict=True)
    yield from _family("ssm_container_restarts", "Restarts, as the engine counts them.", restarts)
    started = [(key, at.timestamp()) for key, at in zip(own, column("started_at"), strict=True) if at]
    yield from _family("ssm_container_start_timestamp_seconds", "When it was started last.", started)
    updates = [(key, float(s == "update_available")) for key, s in zip(own, column("update__state"), strict=True) if s]
    yield from _family("ssm_container_update_available", "1 while a newer image exists.", updates)
    fresh = [at is not None and at >= oldest for at in column("usage__sampled_at")]
    for position, (_column, name, text, factor) in enumerate(_USAGE, start=len(_FIXED)):
        samples = (
            (key, float(row[position]) * factor)
            for key, row, is_fresh in zip(own, found, fresh, strict=True)
            if is_fresh and row[position] is not None
        )
        yield from _family(name, text, samples)


def _infos(found: Sequence[tuple[Any, ...]], own: Sequence[str]) -> Iterator[tuple[str, float]]:
    first = len(_LABELS)
    for key, row in zip(own, found, strict=True):
        pk, project, service, image, state = row[first : first + len(_INFO)]
        more = f'id="{pk}",project="{_escaped(project)}",service="{_escaped(service)}"'
        yield f'{key},{more},image="{_escaped(image)}",state="{state}"', 1.0


def _family(name: str, text: str, samples: Any) -> Iterator[str]:
    lines = [f"# HELP {name} {text}\n# TYPE {name} gauge\n"]
    for labels, value in samples:
        lines.append(f"{name}{{{labels}}} {value!r}\n")
        if len(lines) >= _PIECE:
            yield "".join(lines)
            lines = []
    yield "".join(lines)


def _escaped(text: str) -> str:
    return label(text).replace("\\", "\\\\").replace('"', '\\"')
