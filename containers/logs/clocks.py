"""The time zones of hosts, for who reads a log in the host's own time."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from containers.logs.choosing import SourceEntry
from containers.logs.sources import locate
from devices.connections import pool
from ssm.lib.errors import SsmError

_AT_ONCE: Final = 8
_readers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="log-clock")


def host_offsets(sources: Iterable[SourceEntry]) -> dict[str, int]:
    """Minutes that each source's host is ahead of UTC, by source id; hosts that do not answer are left out. Blocking.

    Taken from SystemTime of the Engine's ``/info``, which carries the host's offset (Docker Engine API, "Get system
    information").
    """
    by_device: dict[str, list[str]] = {}
    for source in sources:
        by_device.setdefault(source["device"], []).append(source["id"])
    answers = _readers.map(_offset, [ids[0] for ids in by_device.values()])
    return {
        each: minutes
        for ids, minutes in zip(by_device.values(), answers, strict=True)
        if minutes is not None
        for each in ids
    }


def _offset(container_id: str) -> int | None:
    source = locate(container_id)
    if source is None:
        return None
    try:
        told = pool.engine(source.target).get_json("/info").get("SystemTime", "")
        offset = datetime.fromisoformat(told).utcoffset()
    except (SsmError, AttributeError, TypeError, ValueError):
        return None
    return round(offset.total_seconds() / 60) if offset is not None else None
