"""One PostgreSQL cluster of this checkout on the loopback address, with passwords for every connection."""

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from ssm.services.binaries import Binaries
from ssm.services.errors import DiskFull, ServiceFailed
from ssm.services.layout import Account, Layout, disk_errors, make_private_directory
from ssm.services.ports import LOOPBACK
from ssm.services.programs import Program

SUPERUSER = "postgres"
ROLE = "ssm"
DATABASE = "ssm"


@dataclass(frozen=True, slots=True)
class PostgresAccess:
    """How to reach the cluster: the superuser sets it up, the application's role owns its database only."""

    port: int
    password: str = field(repr=False)
    superuser_password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"


def stored_major(layout: Layout) -> int | None:
    """Major version that wrote the data directory; None when there is none yet."""
    try:
        return int((layout.servers / "postgres" / "PG_VERSION").read_text().strip())
    except (FileNotFoundError, ValueError):
        return None


def create_cluster(layout: Layout, binaries: Binaries, access: PostgresAccess) -> None:
    """Run initdb once; an interrupted one leaves nothing that the next start would take for a cluster.

    Raises DiskFull or ServiceFailed with the last line that initdb said.
    """
    target = layout.servers / "postgres"
    if target.exists():
        return
    partial = layout.servers / "postgres.new"
    shutil.rmtree(partial, ignore_errors=True)
    make_private_directory(partial, layout.account)
    password_file = layout.servers / "postgres.password"
    try:
        _write_private(password_file, access.superuser_password, layout.account)
        command = [binaries["initdb"], "-D", str(partial), "-U", SUPERUSER, f"--pwfile={password_file}"]
        command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        _run_as(command, layout.account)
        with disk_errors(target):
            partial.rename(target)
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(partial, ignore_errors=True)


def program(layout: Layout, binaries: Binaries, access: PostgresAccess, *, durable: bool = True) -> Program:
    """The server in the foreground. Not `durable` means: faster, and a power cut may cost the data (tests)."""
    options = {
        "listen_addresses": LOOPBACK,
        "port": str(access.port),
        # No socket: its path would be limited to 107 bytes, and the loopback address works for every client.
        "unix_socket_directories": "",
        "max_connections": "200",
        # Failed statements are told by those who sent them.
        "log_min_messages": "fatal",
        "log_line_prefix": "",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    command = [binaries["postgres"], "-D", str(layout.servers / "postgres")]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    return Program(
        name="postgres",
        command=tuple(command),
        stage=0,
        account=layout.account,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        death_signal=signal.SIGINT,
        stop_seconds=4,
        leftover=r'lock file "postmaster\.pid" already exists|pre-existing shared memory block|could not bind',
        hide=r"terminating (background worker|connection)|the database system is (starting|shutting)|HINT:|DETAIL:",
    )


def is_ready(layout: Layout, access: PostgresAccess) -> bool:
    """Whether the server takes connections by now; asks it, waits at most two seconds."""
    try:
        # As pg_ctl does: the server writes its state there, and is not disturbed by early connections.
        if not (layout.servers / "postgres" / "postmaster.pid").read_text().rstrip().endswith("ready"):
            return False
    except OSError:
        return False
    try:
        _connect(access).close()
    except psycopg.OperationalError:
        return False
    return True


def create_database(access: PostgresAccess) -> None:
    """Create the application's role and database when they are missing, and set the role's password.

    The role may create databases, since the tests need one of their own; it is no superuser.
    Raises ServiceFailed when the cluster does not know our superuser's password.
    """
    try:
        with _connect(access) as connection:
            names = {"role": sql.Identifier(ROLE), "password": sql.Literal(access.password)}
            roles = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
            verb = sql.SQL("ALTER" if roles else "CREATE")
            statement = sql.SQL("{verb} ROLE {role} LOGIN CREATEDB PASSWORD {password}")
            connection.execute(statement.format(verb=verb, **names))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                create = sql.SQL("CREATE DATABASE {name} OWNER {role}")
                connection.execute(create.format(name=sql.Identifier(DATABASE), role=names["role"]))
    except psycopg.OperationalError as exc:
        raise ServiceFailed(
            "The embedded PostgreSQL does not accept its stored password.",
            fix="Restore ssm.env in the data directory from where the database came from.",
        ) from exc
    except psycopg.errors.DiskFull as exc:
        raise DiskFull("The disk of the embedded PostgreSQL is full.", fix="Free some space.") from exc


def _connect(access: PostgresAccess) -> psycopg.Connection[tuple[object, ...]]:
    """A connection of the superuser; autocommit, as CREATE DATABASE allows no transaction."""
    return psycopg.connect(
        host=LOOPBACK,
        port=access.port,
        user=SUPERUSER,
        password=access.superuser_password,
        dbname="postgres",
        connect_timeout=2,
        autocommit=True,
    )


def _run_as(command: list[str], account: Account | None) -> None:
    """Run a set-up program of PostgreSQL to its end as `account`, from / (which every account may read)."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=120,
            check=False,
            env=environment,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ServiceFailed(f"{Path(command[0]).name} could not run: {exc}.") from exc
    if result.returncode == 0:
        return
    if "No space left on device" in result.stderr:
        raise DiskFull(
            "The disk is full: PostgreSQL could not create its files.",
            fix="Free some space, or set SSM_DATA_DIR to a directory on a larger disk.",
        )
    errors = re.findall(r"(?:error|FATAL|PANIC): *(.+)", result.stderr)
    said = errors[-1] if errors else (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
    raise ServiceFailed(f"{Path(command[0]).name} failed: {said}")


def _write_private(path: Path, text: str, account: Account | None) -> None:
    """Write a file that only `account` (or we) can read, from its first byte on."""
    with disk_errors(path):
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if account:
            os.chown(path, account.uid, account.gid)
