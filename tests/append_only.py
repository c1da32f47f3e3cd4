"""Tests that commit end with TRUNCATE of all tables, which the audit's trigger refuses everywhere else."""

import pytest
from django.db import connection

from tests import emptying


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker) -> None:
    """The test's database, in which the audit may be truncated; changing and deleting its rows stays refused."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditentry DISABLE TRIGGER accounts_audit_no_truncate")
        emptying.remember()
