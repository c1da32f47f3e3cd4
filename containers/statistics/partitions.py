"""The partitions of the two tables of the past: made ahead of time, and dropped as a whole when their time is over.

Samples are in partitions of six hours, history in those of a week, both by UTC. A name tells where a partition
begins: ``containers_usage_sample_2026112406``. What is too old is there for one partition longer than it has to be; an
empty partition takes some 60 KiB, which is why there are not more of them.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.utils import IntegrityError, OperationalError
from psycopg import sql

logger = logging.getLogger(__name__)

# So much is made ahead: a day without any tick of the scheduler costs nothing.
AHEAD: Final = timedelta(days=2)
_NAME_FORMAT: Final = "%Y%m%d%H"
# Nobody waits long for a chart because of us: dropping needs the table for itself, and is tried again an hour later.
_LOCK_MS: Final = 3000
_LOCK_KEY: Final = 7_316_001


@dataclass(frozen=True, slots=True)
class Partitioned:
    """One of the tables, and how long a partition of it is. ``kind`` is the type of the column it is divided by."""

    name: str
    span: timedelta
    kind: str

    def begin_of(self, moment: datetime) -> datetime:
        """The begin of the partition that a time (aware) is in."""
        epoch = datetime(2000, 1, 1, tzinfo=UTC)
        return epoch + (moment - epoch) // self.span * self.span

    def partition(self, begin: datetime) -> str:
        """The name of the partition that begins there."""
        return f"{self.name}_{begin.astimezone(UTC).strftime(_NAME_FORMAT)}"


SAMPLES: Final = Partitioned("containers_usage_sample", timedelta(hours=6), "timestamptz")
HISTORY: Final = Partitioned("containers_usage_history", timedelta(days=7), "date")


def is_missing(error: IntegrityError) -> bool:
    """Whether a row could not be written because its time has no partition yet."""
    return "no partition of relation" in str(error)


def begins(table: Partitioned) -> list[datetime]:
    """Where the partitions that there are begin, the oldest first. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = to_regclass(%s)",
            [table.name],
        )
        names = [str(name) for (name,) in cursor.fetchall()]
    found = []
    for name in names:
        try:
            found.append(datetime.strptime(name.removeprefix(table.name + "_"), _NAME_FORMAT).replace(tzinfo=UTC))
        except ValueError:
            continue  # somebody's own
    return sorted(found)


def make(table: Partitioned, moment: datetime) -> None:
    """Have the partition that a time is in. Safe when several do so at once."""
    begin = table.begin_of(moment)
    # Made apart and then attached: a partition that is created in its place would wait for everybody who reads.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        cursor.execute("SELECT to_regclass(%s)", [table.partition(begin)])
        if cursor.fetchone() != (None,):
            return
        parent, child = sql.Identifier(table.name), sql.Identifier(table.partition(begin))
        kind = sql.SQL(table.kind)
        first, last = (sql.Literal(edge.isoformat()) for edge in (begin, begin + table.span))
        cursor.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(child, parent))
        cursor.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}::{}) TO ({}::{})").format(
                parent, child, first, kind, last, kind
            )
        )


def make_ahead(now: datetime) -> None:
    """Have all partitions from now on for `AHEAD`, and history's for yesterday, which is rolled up today."""
    for table, start in ((SAMPLES, now), (HISTORY, now - timedelta(days=1))):
        known = set(begins(table))
        moment = table.begin_of(start)
        while moment <= now + AHEAD:
            if moment not in known:
                make(table, moment)
            moment += table.span


def drop(table: Partitioned, begin: datetime) -> bool:
    """Drop one partition with all that is in it; False if somebody uses the table just now."""
    try:
        with transaction.atomic(durable=not connection.in_atomic_block), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_LOCK_MS}ms"])
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table.partition(begin))))
    except OperationalError as exc:
        logger.warning("a partition of statistics was not dropped, it is tried again: %s", exc)
        return False
    logger.info("dropped statistics", extra={"partition": table.partition(begin)})
    return True
