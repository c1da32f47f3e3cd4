"""Which processes of SSM are alive: each tells of itself in Redis every few seconds; who falls silent is forgotten.

Beside that, how the scheduler's ticks went, and how long the oldest message of each queue has been waiting. For the
status page and for measuring; nothing that has to be kept.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import redis
from django.conf import settings
from redis.exceptions import RedisError

from ssm.lib.version import VERSION

logger = logging.getLogger(__name__)

TOLD_EVERY_S: Final = 10.0
# After three missed turns nobody may be called alive; it stays listed for a while, as that is what to look at.
SILENT_AFTER_S: Final = 35.0
FORGOTTEN_AFTER_S: Final = 15 * 60.0
# Processes of other versions, or strangers with access to Redis, may write there: never read more than this.
_MOST: Final = 500
_NAMES: Final = "ssm:presence"
_ONE: Final = "ssm:presence:"
_TICKS: Final = "ssm:ticks"
_SENT: Final = "ssm:ticks-sent"
SENT_AT: Final = "ssm_sent_at"


@dataclass(frozen=True, slots=True)
class Presence:
    """One process as it told of itself last. ``skew_s`` is how far its clock was before that of Redis."""

    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_s_ago: float
    skew_s: float
    memory_bytes: int | None
    threads: int
    # What parts of the process count, by the part's name: `add_source`.
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def is_silent(self) -> bool:
        """Whether it has missed its turns: gone without a word, or stuck."""
        return self.seen_s_ago > SILENT_AFTER_S

    @property
    def is_other_version(self) -> bool:
        """Whether it runs another version than this process."""
        return self.version != VERSION


@dataclass(frozen=True, slots=True)
class Tick:
    """One entry of the schedule: when the scheduler sent it last, and how the last run went."""

    name: str
    task: str
    every_s: float
    sent_at: datetime | None
    ran_at: datetime | None
    duration_ms: int | None
    outcome: str

    def is_late(self, since: datetime | None) -> bool:
        """Whether it has not run for much longer than it should; ``since``: when the scheduler was started."""
        known = [moment for moment in (self.ran_at, since) if moment is not None]
        return bool(known) and (datetime.now(UTC) - max(known)).total_seconds() > 3 * self.every_s + 30


@dataclass(frozen=True, slots=True)
class Queue:
    """Messages that wait for a worker, and the age of the oldest in seconds; None: not known, or none waits."""

    name: str
    waiting: int
    oldest_s: float | None


_sources: Final[dict[str, Callable[[], Mapping[str, float]]]] = {}


def add_source(name: str, figures: Callable[[], Mapping[str, float]]) -> None:
    """Have this process tell what the function gives (quickly, from any thread) under that name, for the metrics."""
    _sources[name] = figures


class Announcer:
    """Tells of this process until it is closed."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._identity = uuid.uuid4().hex
        self._started = time.time()
        self._over = threading.Event()
        self._client = client()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> "Announcer":
        """Begin to tell."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Say goodbye: a process that ended as it should is not missed."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=6)
        try:
            self._client.delete(_ONE + self._identity)
            self._client.zrem(_NAMES, self._identity)
        except RedisError:
            return  # it is forgotten by itself

    def _run(self) -> None:
        while True:
            try:
                self.tell()
            except (RedisError, OSError) as exc:
                logger.debug("presence not told: %s", exc)
            if self._over.wait(TOLD_EVERY_S):
                return

    def tell(self) -> None:
        """Once. Two round trips. RedisError."""
        before = time.time()
        seconds, micros = self._client.time()
        # Half of the way there and back, so that a slow network is no wrong clock.
        own = (before + time.time()) / 2
        there = int(seconds) + int(micros) / 1e6
        told = {
            "kind": self._kind,
            "host": socket.gethostname()[:64],
            "pid": os.getpid(),
            "version": VERSION,
            "started": self._started,
            "skew": round(own - there, 3),
            "memory": _memory(),
            "threads": threading.active_count(),
            "figures": {name: dict(figures()) for name, figures in list(_sources.items())},
        }
        pipe = self._client.pipeline()
        pipe.set(_ONE + self._identity, json.dumps(told), ex=int(FORGOTTEN_AFTER_S))
        pipe.zadd(_NAMES, {self._identity: there})
        pipe.zremrangebyscore(_NAMES, 0, there - FORGOTTEN_AFTER_S)
        pipe.execute()


def client() -> "redis.Redis":
    """A client that gives up soon: what is told here is worth no waiting."""
    made: redis.Redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3)
    return made


def announce(kind: str) -> Announcer:
    """Have this process told of from now on: web, worker, transfers, scheduler or listener."""
    return Announcer(kind).start()


def presences(store: "redis.Redis") -> list[Presence]:
    """All processes that were heard of lately, by kind and host. RedisError."""
    seconds, micros = store.time()
    moment = int(seconds) + int(micros) / 1e6
    rows: Any = store.zrangebyscore(_NAMES, moment - FORGOTTEN_AFTER_S, "+inf", 0, _MOST, withscores=True)
    if not rows:
        return []
    texts: Any = store.mget([_ONE + _text(name) for name, _seen in rows])
    found = [_presence(text, moment - seen) for (_name, seen), text in zip(rows, texts, strict=True)]
    return sorted((one for one in found if one is not None), key=lambda one: (one.kind, one.host, one.pid))


def _presence(text: bytes | None, seen_s_ago: float) -> Presence | None:
    try:
        told = json.loads(text or b"null")
        memory = told["memory"]
        return Presence(
            kind=str(told["kind"])[:20],
            host=str(told["host"])[:64],
            pid=int(told["pid"]),
            version=str(told["version"])[:40],
            started_at=datetime.fromtimestamp(float(told["started"]), UTC),
            seen_s_ago=max(0.0, seen_s_ago),
            skew_s=float(told["skew"]),
            memory_bytes=None if memory is None else int(memory),
            threads=int(told["threads"]),
            figures=_figures(told.get("figures")),
        )
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return None  # of a version that tells other things


def _figures(told: object) -> dict[str, dict[str, float]]:
    """What is of the shape that is told now; other versions may tell otherwise."""
    if not isinstance(told, dict):
        return {}
    return {
        str(part)[:40]: {
            str(name)[:40]: float(value) for name, value in values.items() if isinstance(value, int | float)
        }
        for part, values in told.items()
        if isinstance(values, dict)
    }


# ---- the scheduler's ticks


def note_sent(store: "redis.Redis", task: str) -> None:
    """The scheduler has sent a tick; silent where Redis is away."""
    _note(store, _SENT, task, time.time())


def note_ran(store: "redis.Redis", task: str, duration_s: float, outcome: str) -> None:
    """A worker has ended a tick."""
    _note(store, _TICKS, task, [time.time() - duration_s, round(duration_s * 1000), outcome[:20]])


def _note(store: "redis.Redis", key: str, task: str, value: object) -> None:
    try:
        store.hset(key, task, json.dumps(value))
    except (RedisError, OSError) as exc:
        logger.debug("tick not noted: %s", exc)


def ticks(store: "redis.Redis", schedule: Mapping[str, Mapping[str, Any]]) -> list[Tick]:
    """How each entry of a beat schedule stands. RedisError."""
    names = list(schedule)
    tasks = [str(schedule[name]["task"]) for name in names]
    if not names:
        return []
    sent: Any = store.hmget(_SENT, tasks)
    ran: Any = store.hmget(_TICKS, tasks)
    found = []
    for name, task, sent_text, ran_text in zip(names, tasks, sent, ran, strict=True):
        ran_at, duration_ms, outcome = _ran(ran_text)
        every_s = float(schedule[name]["schedule"])
        found.append(Tick(name, task, every_s, _moment(_json(sent_text)), ran_at, duration_ms, outcome))
    return found


def _ran(text: bytes | None) -> tuple[datetime | None, int | None, str]:
    value = _json(text)
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[1], int):
        return None, None, ""
    return _moment(value[0]), value[1], str(value[2])


def _json(text: bytes | None) -> Any:
    try:
        return json.loads(text or b"null")
    except ValueError:
        return None


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


# ---- queues


def broker_is_redis() -> bool:
    """Whether the queues are in Redis, where they can be looked at."""
    return str(settings.CELERY_BROKER_URL).startswith(("redis://", "rediss://", "unix://", "redis+socket://"))


def queue_names() -> list[str]:
    """The queues that work is sent to."""
    routes: Mapping[str, Mapping[str, str]] = settings.CELERY_TASK_ROUTES
    return ["celery", *sorted({route["queue"] for route in routes.values()})]


def queues(store_of: Callable[[], "redis.Redis"] | None = None) -> list[Queue]:
    """How many messages wait in each queue, and for how long; none where the broker is no Redis. RedisError."""
    if not broker_is_redis():
        return []
    if store_of is not None:
        store = store_of()
    else:
        store = redis.Redis.from_url(settings.CELERY_BROKER_URL, socket_timeout=3, socket_connect_timeout=3)
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    found = []
    for name in queue_names():
        key = f"{prefix}{name}"
        # Messages are put in at the left and taken from the right.
        waiting: Any = store.llen(key)
        oldest: Any = store.lindex(key, -1)
        found.append(Queue(name, int(waiting), _age(oldest)))
    return found


def _age(message: bytes | None) -> float | None:
    value = _json(message)
    headers = value.get("headers") if isinstance(value, dict) else None
    sent = headers.get(SENT_AT) if isinstance(headers, dict) else None
    return max(0.0, time.time() - sent) if isinstance(sent, int | float) else None


def _memory() -> int | None:
    """Resident bytes of this process; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _text(name: bytes | str) -> str:
    return name.decode("ascii", "replace") if isinstance(name, bytes) else name
