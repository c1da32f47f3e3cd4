"""Restoring a backup of SSM: all of it or nothing, in one transaction, compared with the file before it is kept."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.core.cache import cache
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils.timezone import now
from redis.exceptions import RedisError

from containers.backups.store import store
from containers.models import Backup, Operation
from containers.statistics.partitions import HISTORY, SAMPLES, Partitioned, make
from ssm.recovery import tables
from ssm.recovery.archive import Copy, Manifest, Reader
from ssm.recovery.backing_up import key_fingerprints
from ssm.recovery.errors import BackupDamaged, BackupTooNew, DatabaseInUse, KeysMissing, RecoveryError
from ssm.recovery.tables import Table

# Their column of time is the one that they are divided by.
_DIVIDED: Final[dict[str, Partitioned]] = {SAMPLES.name: SAMPLES, HISTORY.name: HISTORY}
# What was under way when the backup was made, told to whoever looks for it.
_LOST_CODE: Final = "restored"
_LOST_MESSAGE: Final = "This was under way when the backup was made that SSM was restored from; it is not done again."
_LOST_FIX: Final = "Look at the container, and start it again if it is still wanted."


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: rows written, and operations that were given up."""

    rows: int
    given_up: int


def check_keys(manifest: Manifest) -> None:
    """Raises KeysMissing when no configured key is one that the backup was made with."""
    own = key_fingerprints()
    if manifest.keys and not set(manifest.keys) & set(own):
        raise KeysMissing(
            f"The stored secrets were encrypted with the key {manifest.keys[0]}, and SSM_FIELD_KEYS holds "
            f"{', '.join(own)} instead.",
            fix="Set SSM_FIELD_KEYS to the keys of that installation, or give --without-keys and enter all "
            "credentials anew.",
        )


def check_version(manifest: Manifest) -> None:
    """Raises BackupTooNew when the backup has migrations that this version does not know."""
    known = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    unknown = [f"{app} {name}" for app, names in manifest.migrations.items() for name in names]
    unknown = [text for text in unknown if tuple(text.split(" ", 1)) not in known]
    if unknown:
        raise BackupTooNew(
            f"The backup was made by SSM {manifest.version}, which knows changes of the database that this version "
            f"does not: {', '.join(unknown[:3])}.",
            fix="Restore it with that version of SSM, or a later one.",
        )


def take_own_name() -> None:
    """Have this process's connections told from those of SSM's other processes; before the first one is opened."""
    connection.settings_dict["OPTIONS"]["application_name"] = "ssm-restore"


def check_target(*, replace: bool) -> None:
    """Raises DatabaseInUse while others work with the database, or when it holds an installation (unless `replace`).

    Call `take_own_name` first.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ssm'"
        )
        others = int(cursor.fetchone()[0])
        cursor.execute("SELECT to_regclass('auth_user') IS NOT NULL AND to_regclass('devices_device') IS NOT NULL")
        holds = bool(cursor.fetchone()[0])
        if holds:
            cursor.execute("SELECT EXISTS (SELECT FROM auth_user) OR EXISTS (SELECT FROM devices_device)")
            holds = bool(cursor.fetchone()[0])
    if others:
        raise DatabaseInUse(
            f"{others} connections of SSM's processes are open to this database.",
            fix="Stop web, worker, transfers, beat and listener first, then restore.",
        )
    if holds and not replace:
        raise DatabaseInUse(
            "This database holds an installation of SSM, with people or devices in it.",
            fix="Restore into an empty database, or give --replace to have all that is in this one replaced.",
        )


def restore(backup: Reader, tell: Callable[[Copy], None] = lambda _copy: None) -> Restored:
    """Replace what the database holds by a backup. Whatever fails, the database is what it was before.

    The schema is made as it was then; `migrate` brings it to this version afterwards. Raises RecoveryError.
    """
    with transaction.atomic(durable=True):
        tables.fix_form()
        tables.drop_everything()
        _migrate_to(backup.manifest)
        # The migrations' own rows are in the backup too.
        known = {table.name: table for table in tables.tables()}
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        wanted = [_table(copy, known) for copy in backup.manifest.tables]
        for table in wanted:
            tables.empty(table)
        for copy, table in zip(backup.manifest.tables, wanted, strict=True):
            _fill(backup, copy, table)
            tell(copy)
        with connection.cursor() as cursor:
            # Every reference is looked at before anything is kept.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for name, value in backup.manifest.sequences.items():
            tables.set_sequence(name, value)
        given_up = _give_up_what_was_under_way()
    # What was remembered belongs to what was there before; a Redis that is away remembers nothing for long.
    with contextlib.suppress(RedisError, OSError):
        cache.clear()
    return Restored(rows=backup.manifest.rows, given_up=given_up)


def missing_archives(limit: int = 1000) -> tuple[int, tuple[str, ...]]:
    """How many good backups of volumes there are, and the archives that the store lacks (of the newest `limit`).

    For after `migrate`. Raises what the store raises when it cannot be reached.
    """
    place = store()
    names = Backup.objects.filter(state=Backup.State.GOOD).order_by("-created_at").values_list("file_name", flat=True)
    return names.count(), tuple(name for name in names[:limit] if not place.exists(name))


def _migrate_to(manifest: Manifest) -> None:
    """Have the schema with the very migrations that the backup was made with."""
    executor = MigrationExecutor(connection)
    applied = {(app, name) for app, names in manifest.migrations.items() for name in names}
    nodes = executor.loader.graph.nodes
    targets = [
        key
        for key in sorted(applied)
        if key in nodes and not any(child.key in applied for child in executor.loader.graph.node_map[key].children)
    ]
    executor.migrate(targets)


def _table(copy: Copy, known: dict[str, Table]) -> Table:
    """The table that a copy belongs to, with the copy's own order of columns."""
    table = known.get(copy.table)
    if table is None or not set(copy.columns) <= set(table.columns):
        raise BackupDamaged(
            f"The backup holds a table {copy.table} that its own version does not have like that.",
            fix="Take another backup; tables that others keep in SSM's database are not restored.",
        )
    return Table(copy.table, copy.columns)


def _fill(backup: Reader, copy: Copy, table: Table) -> None:
    if divided := _DIVIDED.get(table.name):
        for moment in _moments(backup, copy, divided):
            make(divided, moment)
    tables.write(table, backup.pieces(copy))
    if tables.digest(table) != copy.sha256:
        raise RecoveryError(
            f"The table {copy.table} does not read as it was written.",
            fix="Nothing was changed. Say which versions of PostgreSQL are involved when you report this.",
        )


def _moments(backup: Reader, copy: Copy, divided: Partitioned) -> list[datetime]:
    """A time in each partition that a copy needs, by the column that the table is divided by."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_partitioned_table p JOIN pg_attribute a"
            " ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] WHERE p.partrelid = to_regclass(%s)",
            [divided.name],
        )
        column = copy.columns.index(str(cursor.fetchone()[0]))
    found: set[datetime] = set()
    rest = b""
    for piece in backup.pieces(copy):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            text = line.split(b"\t", column + 1)[column].decode()
            moment = datetime.fromisoformat(f"{text}:00" if text[-3:-2] in "+-" else text)
            found.add(divided.begin_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    return sorted(found)


def _give_up_what_was_under_way() -> int:
    """Nothing that people asked for long ago is done now: end what was queued or running. Returns how much."""
    # By SQL, as the schema may be an older one than the models'.
    active = [str(state) for state in Operation.ACTIVE_STATES]
    values: list[Any] = [Operation.State.LOST, now(), _LOST_CODE, _LOST_MESSAGE, _LOST_FIX, active]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE containers_operation SET state = %s, finished_at = %s, error_code = %s, error_message = %s,"
            " error_fix = %s WHERE state = ANY(%s)",
            values,
        )
        return int(cursor.rowcount)
