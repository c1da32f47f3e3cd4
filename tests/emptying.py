"""Empty the tables after a test that committed, in milliseconds instead of a second.

Django truncates every table and makes all content types, permissions and roles anew. Here only tables that hold rows
are emptied, and what every migration makes is left when it is as it was; where it is not, Django's own way is taken.
"""

from typing import Any, Final

from django.db import connection, transaction
from django.test import TransactionTestCase

# Made by migrations, read by every test.
_KEPT: Final = ("django_content_type", "auth_permission", "auth_group", "auth_group_permissions")
# Its rows cannot be deleted, not even by tests.
_TRUNCATED: Final = ("accounts_auditentry",)
_django_teardown: Final = TransactionTestCase._fixture_teardown
_as_made: dict[str, str] = {}


def remember() -> None:
    """Note how the kept tables are, once the database has been made."""
    _as_made["kept"] = _fingerprint()


def empty(case: Any) -> None:
    """In place of ``TransactionTestCase._fixture_teardown``."""
    if (
        case.available_apps is not None
        or getattr(case, "serialized_rollback", False)
        or _fingerprint() != _as_made.get("kept")
    ):
        _django_teardown(case)
        return
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    wanted = sorted(set(tables) - set(_KEPT))
    look = " UNION ALL ".join(f"(SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\"))" for name in wanted)  # noqa: S608
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(look)
        # Foreign keys of Django's tables are checked at the commit, so that the order does not matter.
        for (name,) in cursor.fetchall():
            verb = "TRUNCATE" if name in _TRUNCATED else "DELETE FROM"
            cursor.execute(f'{verb} "{name}"')


def _fingerprint() -> str:
    parts = ", ".join(
        f"(SELECT count(*)::text || coalesce(md5(string_agg(t::text, '|' ORDER BY id)), '') FROM \"{name}\" t)"  # noqa: S608
        for name in _KEPT
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT concat_ws(' ', {parts})")
        return str(cursor.fetchone()[0])


TransactionTestCase._fixture_teardown = empty
