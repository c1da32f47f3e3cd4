"""How often things ended and how long they took, over all processes: kept in Redis, read for the metrics.

Rows tell the same for as long as they are kept; what measures needs numbers that only grow. A Redis that comes back
empty begins at nought, which is what a restarted counter does.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import redis
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# Upper bounds in seconds; what takes longer is in the last one, without a bound.
BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_PREFIX: Final = "ssm:tally:"
_SUM: Final = "sum"


@dataclass(frozen=True, slots=True)
class Tally:
    """One combination of labels: how many in each of BUCKETS and beyond (not added up), and the sum of the times."""

    labels: tuple[str, ...]
    buckets: tuple[int, ...]
    seconds: float

    @property
    def count(self) -> int:
        """How many in all."""
        return sum(self.buckets)


@cache
def _client(url: str) -> "redis.Redis":
    made: redis.Redis = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    return made


def count(name: str, labels: Sequence[str], seconds: float) -> None:
    """Count something that took so long. ``labels`` are of few kinds (codes of ours, never texts of hosts).

    One round trip; silent when Redis is away, as nothing that works depends on it.
    """
    place = next((position for position, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
    text = json.dumps(list(labels), separators=(",", ":"))
    pipe = _client(settings.REDIS_URL).pipeline(transaction=False)
    pipe.hincrby(_PREFIX + name, f"{place}:{text}", 1)
    pipe.hincrbyfloat(_PREFIX + name, f"{_SUM}:{text}", max(0.0, seconds))
    try:
        pipe.execute()
    except (RedisError, OSError) as exc:
        logger.debug("not counted: %s", exc)


def tallies(store: "redis.Redis", name: str, width: int) -> list[Tally]:
    """What was counted under the name, by labels (``width`` of them); what does not fit is passed over. RedisError."""
    told: Any = store.hgetall(_PREFIX + name)
    found: dict[tuple[str, ...], list[int]] = {}
    sums: dict[tuple[str, ...], float] = {}
    for field, value in told.items():
        try:
            place, _colon, text = field.decode().partition(":")
            labels = tuple(str(label) for label in json.loads(text))
            if len(labels) != width:
                continue
            if place == _SUM:
                sums[labels] = float(value)
            elif (number := int(value)) > 0 and 0 <= (bucket := int(place)) <= len(BUCKETS):
                found.setdefault(labels, [0] * (len(BUCKETS) + 1))[bucket] += number
        except (ValueError, TypeError):
            continue  # of a version that counts otherwise
    return [Tally(labels, tuple(found[labels]), sums.get(labels, 0.0)) for labels in sorted(found)]
