"""How the installation stands, for the status page: processes, queues, stores, leases, clocks. Each part by itself, so
that one store that does not answer hides nothing of the others."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Count, Min
from redis import Redis
from redis.exceptions import RedisError

from containers.events.leases import holders
from containers.models import Operation
from containers.operations import ORPHANED_AFTER
from devices.models import Device
from ssm.lib import presence
from ssm.lib.presence import Presence, Queue, Tick
from ssm.lib.version import VERSION

# A queue whose oldest message waits longer than this has too few workers, or none.
SLOW_QUEUE_S: Final = 30.0
# Signed texts and leases compare clocks: beyond this, one of them should be set.
SKEW_S: Final = 2.0
LITTLE_SPACE: Final = 0.1
_MOST_TABLES: Final = 25
_MOST_DEVICES: Final = 5000

_EXPECTED: Final = (
    ("web", "Web", "manage.py serve"),
    ("worker", "Worker", "celery -A ssm worker"),
    ("transfers", "Worker for transfers", "celery -A ssm worker -Q transfers"),
    ("scheduler", "Scheduler", "celery -A ssm beat"),
    ("listener", "Listener", "manage.py watch_hosts"),
)

# Partitions count for the table that they are of.
_TABLES: Final = """
SELECT COALESCE(parent.relname, own.relname) AS name, SUM(pg_total_relation_size(own.oid)) AS bytes,
       SUM(pg_indexes_size(own.oid)) AS index_bytes, SUM(GREATEST(own.reltuples, 0))::bigint AS rows, COUNT(*) AS parts
FROM pg_class own
LEFT JOIN pg_inherits link ON link.inhrelid = own.oid
LEFT JOIN pg_class parent ON parent.oid = link.inhparent
WHERE own.relkind = 'r' AND own.relnamespace = 'public'::regnamespace
GROUP BY 1 ORDER BY 2 DESC LIMIT %s
"""
_DATABASE: Final = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
       current_setting('max_connections')::int, clock_timestamp(), pg_postmaster_start_time()
"""


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of process, those that were heard of, and how it is started."""

    name: str
    command: str
    processes: tuple[Presence, ...]

    @property
    def alive(self) -> int:
        """How many of them are heard."""
        return sum(not process.is_silent for process in self.processes)


@dataclass(frozen=True, slots=True)
class Table:
    """A table's size with its indexes, in bytes; rows as the planner estimates them; partitions added up."""

    name: str
    size_bytes: int
    index_bytes: int
    rows: int
    parts: int


@dataclass(frozen=True, slots=True)
class Database:
    """PostgreSQL: ``skew_s`` is how far its clock is before that of this process."""

    version: str
    size_bytes: int
    connections: int
    most_connections: int
    started_at: datetime
    skew_s: float
    answer_ms: float
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Store:
    """Redis, as it tells of itself; ``most_bytes`` 0: no limit."""

    version: str
    used_bytes: int
    most_bytes: int
    clients: int
    evicted: int
    policy: str
    started_at: datetime
    skew_s: float
    answer_ms: float

    @property
    def may_forget(self) -> bool:
        """Whether it throws keys away when it is full: tasks and leases among them."""
        return self.most_bytes > 0 and self.policy != "noeviction"


@dataclass(frozen=True, slots=True)
class Leases:
    """Which listener follows how many devices, and how many watched ones nobody follows."""

    by_holder: tuple[tuple[str, int], ...]
    watched: int
    unheld: int


@dataclass(frozen=True, slots=True)
class Work:
    """Operations that are not over, and the oldest of each state."""

    queued: int
    queued_since: datetime | None
    running: int
    running_since: datetime | None
    orphaned: int


@dataclass(frozen=True, slots=True)
class Space:
    """Room in a folder that SSM writes to."""

    label: str
    path: str
    free_bytes: int
    total_bytes: int

    @property
    def is_little(self) -> bool:
        """Whether less than a tenth is left."""
        return self.total_bytes > 0 and self.free_bytes / self.total_bytes < LITTLE_SPACE


@dataclass(slots=True)
class Standing:
    """All of it; a part that could not be read is None, and ``problems`` says why."""

    roles: tuple[Role, ...] = ()
    queues: tuple[Queue, ...] | None = None
    ticks: tuple[Tick, ...] | None = None
    leases: Leases | None = None
    database: Database | None = None
    store: Store | None = None
    work: Work | None = None
    spaces: tuple[Space, ...] = ()
    problems: list[str] = field(default_factory=list)

    @property
    def late(self) -> frozenset[str]:
        """Names of ticks that have not run for too long. Nobody expects any where no scheduler runs."""
        of_scheduler = [one for role in self.roles for one in role.processes if one.kind == "scheduler"]
        since = min((one.started_at for one in of_scheduler if not one.is_silent), default=None)
        return frozenset(tick.name for tick in self.ticks or () if tick.is_late(since))


_Part = TypeVar("_Part")


def standing() -> Standing:
    """Read everything. A dozen queries and as many round trips to Redis, whatever the size of the fleet."""
    found = Standing()
    redis = presence.client()
    try:
        found.database = _try(found, "PostgreSQL", _database)
        found.work = _try(found, "Operations", _work)
        found.store = _try(found, "Redis", lambda: _store(redis))
        found.roles = _try(found, "Processes", lambda: _roles(redis)) or ()
        found.queues = _try(found, "Queues", lambda: tuple(presence.queues()))
        found.ticks = _try(
            found, "Scheduler", lambda: tuple(presence.ticks(redis, dict(settings.CELERY_BEAT_SCHEDULE)))
        )
        found.leases = _try(found, "Leases", lambda: _leases(redis))
        found.spaces = _spaces()
    finally:
        redis.close()
    found.problems += _judge(found)
    return found


def _try(found: Standing, name: str, read: Callable[[], _Part]) -> _Part | None:
    try:
        return read()
    except (RedisError, DatabaseError, OSError) as exc:
        found.problems.append(f"{name} could not be read: {type(exc).__name__}. The log of its server tells more.")
        return None


def _roles(redis: "Redis") -> tuple[Role, ...]:
    all_of_them = presence.presences(redis)
    return tuple(
        Role(name, command, tuple(one for one in all_of_them if one.kind == kind)) for kind, name, command in _EXPECTED
    )


def _database() -> Database:
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute(_DATABASE)
        version, size, connections, most, clock, started = cursor.fetchone()
        after = time.time()
        cursor.execute(_TABLES, [_MOST_TABLES])
        tables = tuple(Table(str(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in cursor)
    skew = round(clock.timestamp() - (before + after) / 2, 3)
    answer = (after - before) * 1000
    return Database(str(version).split(" ")[0], size, connections, most, started, skew, answer, tables)


def _store(redis: "Redis") -> Store:
    before = time.time()
    clock: Any = redis.time()
    after = time.time()
    info: dict[str, Any] = redis.info()
    return Store(
        version=str(info.get("redis_version", "?"))[:40],
        used_bytes=int(info.get("used_memory", 0)),
        most_bytes=int(info.get("maxmemory", 0)),
        clients=int(info.get("connected_clients", 0)),
        evicted=int(info.get("evicted_keys", 0)),
        policy=str(info.get("maxmemory_policy", "")),
        started_at=datetime.now(UTC) - timedelta(seconds=int(info.get("uptime_in_seconds", 0))),
        skew_s=round(int(clock[0]) + int(clock[1]) / 1e6 - (before + after) / 2, 3),
        answer_ms=(after - before) * 1000,
    )


def _leases(redis: "Redis") -> Leases:
    watched = [str(pk) for pk in Device.objects.watched().values_list("pk", flat=True)[:_MOST_DEVICES]]
    held = holders(redis, watched)
    counts = Counter(held.values())
    return Leases(tuple(sorted(counts.items())), len(watched), len(watched) - len(held))


def _work() -> Work:
    active = Operation.objects.active().order_by().values("state").annotate(number=Count("pk"), since=Min("created_at"))
    by_state = {row["state"]: row for row in active}
    nothing: Any = {}
    queued, running = by_state.get("queued", nothing), by_state.get("running", nothing)
    return Work(
        queued.get("number", 0),
        queued.get("since"),
        running.get("number", 0),
        running.get("since"),
        Operation.objects.orphaned(datetime.now(UTC) - ORPHANED_AFTER).count(),
    )


def _spaces() -> tuple[Space, ...]:
    places = [("Data", Path(settings.DATA_DIR)), ("Backups", Path(settings.SSM_BACKUP_DIR))]
    if settings.SSM_BACKUP_S3_BUCKET:
        places.pop()
    found = []
    for label, path in places:
        there = next((folder for folder in (path, *path.parents) if folder.exists()), None)
        if there is not None:
            usage = shutil.disk_usage(there)
            found.append(Space(label, str(path), usage.free, usage.total))
    return tuple(found)


def _judge(found: Standing) -> list[str]:
    """What needs somebody, in sentences with what to do."""
    told = []
    for role in found.roles:
        if not role.alive:
            told.append(f"{role.name}: none is running. Start one: {role.command}.")
        told += [
            f"{role.name} {one.pid} on {one.host} runs version {one.version}, this page {VERSION}: restart it."
            for one in role.processes
            if one.is_other_version and not one.is_silent
        ]
        told += [
            f"The clock of {one.host} is {abs(one.skew_s):.1f} s off that of Redis: set it by NTP."
            for one in role.processes
            if abs(one.skew_s) > SKEW_S and not one.is_silent
        ]
    for queue in found.queues or ():
        if queue.oldest_s is not None and queue.oldest_s > SLOW_QUEUE_S:
            told.append(f"Queue {queue.name}: the oldest message waits for {queue.oldest_s:.0f} s: start more workers.")
    if found.late:
        told.append(f"Late: {', '.join(sorted(found.late))}. The scheduler or the workers do not keep up.")
    if found.leases is not None and found.leases.unheld:
        told.append(f"{found.leases.unheld} watched devices are followed by no listener: start one.")
    for name, skew in (("PostgreSQL", found.database), ("Redis", found.store)):
        if skew is not None and abs(skew.skew_s) > SKEW_S:
            told.append(f"The clock of {name} is {abs(skew.skew_s):.1f} s off: set it by NTP.")
    if found.store is not None and found.store.may_forget:
        told.append(f"Redis may throw keys away ({found.store.policy}): set maxmemory-policy to noeviction.")
    told += [f"{space.label}: less than a tenth of {space.path} is free." for space in found.spaces if space.is_little]
    return list(dict.fromkeys(told))
