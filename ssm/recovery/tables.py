"""The database's tables as text copies, out and in, in one fixed form whatever the server's settings are."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from psycopg import sql

# Rebuilt by the migrations, or worth nothing after a restore: people log in again.
NEVER_COPIED: Final = frozenset({"django_migrations", "django_session"})
# Large, and missed least.
STATISTICS: Final = frozenset({"containers_usage_sample", "containers_usage_history"})
# So that the same rows are the same bytes on every server.
_FORM: Final = (
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL extra_float_digits = 3",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL client_encoding = 'UTF8'",
    # Rows in the order they lie in, so that a restored table can be compared with its copy.
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL synchronize_seqscans = off",
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, undivided or the whole of its partitions, and its columns but for computed ones."""

    name: str
    columns: tuple[str, ...]


def fix_form() -> None:
    """Have this transaction read and write copies in the one form."""
    with connection.cursor() as cursor:
        for setting in _FORM:
            cursor.execute(setting)


def tables() -> list[Table]:
    """All tables of the schema, partitions counted as their parents. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"
            " GROUP BY c.relname ORDER BY c.relname"
        )
        return [Table(str(name), tuple(map(str, columns))) for name, columns in cursor.fetchall()]


def read(table: Table) -> Iterator[bytes]:
    """The copy of a table, piece by piece, as the transaction sees it."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(columns, sql.Identifier(table.name))
    with connection.cursor() as cursor, _raw(cursor).copy(statement) as copy:
        for piece in copy:
            yield bytes(piece)


def write(table: Table, pieces: Iterable[bytes]) -> None:
    """Add the rows of a copy to a table."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    with connection.cursor() as cursor, _raw(cursor).copy(statement) as copy:
        for piece in pieces:
            copy.write(piece)


def digest(table: Table) -> str:
    """SHA-256 of the copy of a table as it is now."""
    found = hashlib.sha256()
    for piece in read(table):
        found.update(piece)
    return found.hexdigest()


def empty(table: Table) -> None:
    """Delete what the migrations themselves put into a table."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))


def sequences() -> dict[str, int]:
    """The last value of each sequence that was used, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sequencename, last_value FROM pg_sequences"
            " WHERE schemaname = current_schema() AND last_value IS NOT NULL"
        )
        return {str(name): int(value) for name, value in cursor.fetchall()}


def set_sequence(name: str, value: int) -> None:
    """Have a sequence go on after a value; one that this version no longer has is passed over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(to_regclass(quote_ident(%s)), %s)", [name, value])


def drop_everything() -> None:
    """Remove all that is in the schema, but for what belongs to an extension. Within a transaction it can be undone."""
    with connection.cursor() as cursor:
        for kind, query in _OBJECTS:
            cursor.execute(query)
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP {kind} IF EXISTS {name} CASCADE")


# Names come quoted, and functions with their arguments, from the server itself.
_OBJECTS: Final = (
    (
        "TABLE",
        "SELECT o.oid::regclass::text FROM pg_class o WHERE o.relnamespace = current_schema()::regnamespace"
        " AND o.relkind IN ('r', 'p') AND NOT o.relispartition"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')",
    ),
    (
        "SEQUENCE",
        "SELECT o.oid::regclass::text FROM pg_class o WHERE o.relnamespace = current_schema()::regnamespace"
        " AND o.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')",
    ),
    (
        "ROUTINE",
        "SELECT o.oid::regprocedure::text FROM pg_proc o WHERE o.pronamespace = current_schema()::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')",
    ),
)


def _raw(cursor: Any) -> Any:
    """The driver's own cursor: Django's has no copies."""
    return cursor.cursor
