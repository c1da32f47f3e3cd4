"""A backup of SSM is restored into another database, row by row, and refused where it would do harm."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from cryptography.fernet import Fernet

from tests.recovery.installation import AWKWARD, SECRET

PROJECT = Path(__file__).resolve().parents[2]
# What a restore changes on purpose: what was under way is ended, nobody stays logged in.
CHANGED = {"containers_operation", "django_migrations", "django_session"}
pytestmark = [pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Database:
    """One database of the test's PostgreSQL, and manage.py run with it."""

    url: str
    folder: Path

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with this database; never raises."""
        own = {"DATABASE_URL": self.url, "SSM_DATA_DIR": str(self.folder), "SSM_DEBUG": "false", **environment}
        return subprocess.run(
            [sys.executable, *words],
            cwd=PROJECT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "ssm.settings", **own},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def manage(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py."""
        return self.run("manage.py", *words, **environment)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """The rows of a query."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def contents(self) -> dict[str, list[str]]:
        """Every row of every table as text, sorted."""
        names = self.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition ORDER BY relname"
        )
        return {
            str(name): sorted(str(row[0]) for row in self.rows(f'SELECT t::text FROM "{name}" t'))  # noqa: S608
            for (name,) in names
        }


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    """A filled one and an empty one."""
    place = urlsplit(os.environ["DATABASE_URL"])
    made = []
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        for name in ("ssm_recovery_old", "ssm_recovery_new"):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            made.append(Database(urlunsplit(place._replace(path=f"/{name}")), tmp_path_factory.mktemp(name)))
        filled = made[0].run("-m", "tests.recovery.installation")
        assert filled.returncode == 0, filled.stderr
        yield made[0], made[1]
        for name in ("ssm_recovery_old", "ssm_recovery_new"):
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def backup(databases: tuple[Database, Database]) -> Path:
    """A backup of the filled one, in the usual place."""
    done = databases[0].manage("backup_ssm", "-v", "2")
    assert done.returncode == 0, done.stderr
    assert "read back and whole" in done.stdout
    (path,) = (databases[0].folder / "self").iterdir()
    return path


def test_backup_is_readable_for_its_owner_alone_and_holds_no_secret(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600
    assert backup.parent.stat().st_mode & 0o777 == 0o700
    with zipfile.ZipFile(backup) as archive:
        manifest = archive.read("manifest.json").decode()
    for secret in (os.environ["SSM_FIELD_KEYS"], os.environ["SSM_SECRET_KEY"], SECRET):
        assert secret not in manifest
        assert secret.encode() not in backup.read_bytes()


def test_restore_brings_every_row_back_and_ends_what_was_under_way(
    databases: tuple[Database, Database], backup: Path
) -> None:
    old, new = databases

    done = new.manage("restore_ssm", str(backup))

    assert done.returncode == 0, done.stderr
    assert "2 operations that were under way" in done.stdout
    before, after = old.contents(), new.contents()
    assert before.keys() == after.keys()
    for name in before.keys() - CHANGED:
        assert after[name] == before[name], name
    states = new.rows("SELECT state, error_code, finished_at IS NULL FROM containers_operation ORDER BY state")
    assert [state for state, *_ in states].count("lost") == 3
    assert not [state for state, *_ in states if state in ("queued", "running")]
    assert new.rows("SELECT state_message FROM devices_device WHERE name = 'kept'") == [(AWKWARD,)]
    # New rows get numbers of their own.
    assert new.rows("SELECT nextval(pg_get_serial_sequence('accounts_auditentry', 'id'))") == [
        (int(str(old.rows("SELECT max(id) FROM accounts_auditentry")[0][0])) + 1,)
    ]
    # The audit can only be added to, here as there.
    with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(new.url) as connection:
        connection.execute("DELETE FROM accounts_auditentry")
    opened = new.manage(
        "shell",
        "-c",
        "from devices.models import Credential; print([one.password for one in Credential.objects.all()])",
    )
    assert SECRET in opened.stdout


def test_restore_is_refused_over_an_installation_unless_that_is_wished(
    databases: tuple[Database, Database], backup: Path
) -> None:
    old, _new = databases
    before = old.contents()

    refused = old.manage("restore_ssm", str(backup))
    assert refused.returncode == 1
    assert "holds an installation" in refused.stderr
    assert old.contents() == before

    with psycopg.connect(old.url, application_name="ssm"):
        in_use = old.manage("restore_ssm", str(backup), "--replace", "--noinput")
    assert in_use.returncode == 1
    assert "Stop web, worker" in in_use.stderr
    assert old.contents() == before

    old.rows("UPDATE devices_device SET name = 'changed since' WHERE name = 'kept' RETURNING 1")
    replaced = old.manage("restore_ssm", str(backup), "--replace", "--noinput")
    assert replaced.returncode == 0, replaced.stderr
    assert old.rows("SELECT count(*) FROM devices_device WHERE name = 'kept'") == [(1,)]


def test_restore_without_the_keys_is_refused_and_says_which_is_missing(
    databases: tuple[Database, Database], backup: Path
) -> None:
    other = Fernet.generate_key().decode()

    refused = databases[1].manage("restore_ssm", "--check", str(backup), SSM_FIELD_KEYS=other)
    followed = databases[1].manage(
        "restore_ssm", "--check", str(backup), SSM_FIELD_KEYS=f"{other},{os.environ['SSM_FIELD_KEYS']}"
    )

    assert refused.returncode == 1
    assert "SSM_FIELD_KEYS" in refused.stderr
    assert other not in refused.stderr
    assert followed.returncode == 0
