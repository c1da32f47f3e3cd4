"""The last readings of a device, kept in Redis for the difference to the next. Losing them costs one point."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.cache import cache

from containers.rules.statistics import Reading, reading_from_list


@dataclass(frozen=True, slots=True)
class Before:
    """What was read last: containers by engine id, and the host's CPU ticks (busy, total)."""

    readings: Mapping[str, Reading] = field(default_factory=dict)
    host_ticks: tuple[int, int] | None = None


_KEY: Final = "statistics:{}"


def recall(device_id: object) -> Before:
    """What `remember` kept; nothing if that was long ago. May fail with Redis."""
    try:
        kept: Any = json.loads(cache.get(_KEY.format(device_id)) or "null")
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not isinstance(kept.get("readings"), dict):
        return Before()
    readings = {engine_id: reading_from_list(values) for engine_id, values in kept["readings"].items()}
    ticks = kept.get("host")
    return Before(
        readings={engine_id: reading for engine_id, reading in readings.items() if reading is not None},
        host_ticks=(ticks[0], ticks[1])
        if isinstance(ticks, list) and len(ticks) == 2 and all(isinstance(tick, int) for tick in ticks)
        else None,
    )


def remember(device_id: object, before: Before, keep_s: float) -> None:
    """Keep the readings for the next time, for ``keep_s`` seconds."""
    kept = {
        "readings": {engine_id: reading.as_list() for engine_id, reading in before.readings.items()},
        "host": before.host_ticks,
    }
    cache.set(_KEY.format(device_id), json.dumps(kept), timeout=int(keep_s))
