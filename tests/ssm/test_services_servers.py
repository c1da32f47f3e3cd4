"""The embedded PostgreSQL and Redis themselves, from the machine's programs and from the packages'."""

import io
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import psycopg
import pytest
import redis

from ssm.services import postgres
from ssm.services.binaries import (
    Binaries,
    find_postgres,
    find_redis,
    postgres_installations,
    redis_installations,
    within_reach,
)
from ssm.services.embedded import start_embedded_servers
from ssm.services.environment import prepare_environment
from ssm.services.errors import BinaryMissing, DiskFull
from ssm.services.layout import Layout, is_reachable, temporary_layout
from ssm.services.output import Output
from ssm.services.supervisor import Supervisor
from tests.ssm.test_services_supervisor import wait_gone


@pytest.fixture
def layout():
    with temporary_layout() as layout:
        yield layout


@contextmanager
def servers(layout: Layout):
    """Both servers of a layout; gives the environment that reaches them, and what they said."""
    environment: dict[str, str] = {}
    prepare_environment(layout, environment)
    said = io.StringIO()
    supervisor = Supervisor(Output(said))
    try:
        start_embedded_servers(layout, supervisor, environment)
        yield environment, supervisor, said
    finally:
        supervisor.stop()


def kill_server(layout: Layout) -> None:
    """kill -9 of the PostgreSQL main process."""
    pid = int((layout.servers / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


@pytest.fixture(params=["machine", "package"])
def programs(request, monkeypatch):
    """Make one kind of server programs the chosen one."""
    wanted = request.param == "package"
    for variable, installations in (
        ("SSM_POSTGRES_BIN", postgres_installations),
        ("SSM_REDIS_BIN", redis_installations),
    ):
        found = [binaries.directory for binaries in installations() if bool(binaries.package) == wanted]
        if not found:
            pytest.skip(f"no {request.param}'s programs for {variable}")
        # As root, a package below /root must be copied first; test_package_programs does that.
        if os.geteuid() == 0 and not is_reachable(found[0]):
            pytest.skip(f"{found[0]} is closed to the servers' account")
        monkeypatch.setenv(variable, str(found[0]))


def test_servers_start_and_keep_their_data(layout, programs):
    with servers(layout) as (environment, _supervisor, _said):
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        redis.Redis.from_url(environment["REDIS_URL"]).set("kept", "yes")

    with servers(layout) as (environment, _supervisor, _said):
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert redis.Redis.from_url(environment["REDIS_URL"]).get("kept") == b"yes"


def test_quiet_start_says_nothing(layout):
    with servers(layout) as (_environment, _supervisor, said):
        pass

    assert said.getvalue() == ""


def test_database_after_kill_is_started_again_with_its_data(layout):
    with servers(layout) as (environment, supervisor, said):
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

        kill_server(layout)
        assert supervisor.wait_until(lambda: "postgres ended (killed by SIGKILL)" in said.getvalue(), 10)

        def answers() -> bool:
            try:
                with psycopg.connect(environment["DATABASE_URL"], connect_timeout=2) as connection:
                    return connection.execute("SELECT answer FROM kept").fetchone() == (42,)
            except psycopg.OperationalError:
                return False

        assert supervisor.wait_until(answers, 30)


def test_start_at_once_after_kill_of_everything_finds_its_data(layout):
    command = "import sys; from ssm.services.__main__ import main; sys.exit(main(['start']))"
    environment = {**os.environ, "SSM_DATA_DIR": str(layout.data)}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name)
    process = subprocess.Popen(
        [sys.executable, "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [line for line in iter(process.stdout.readline, "# ready\n") if line]
    url = next(line for line in said if "DATABASE_URL" in line).split("=", 1)[1].strip()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server = int((layout.servers / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(server, signal.SIGKILL)
    process.kill()
    process.communicate()

    with servers(layout) as (again, _supervisor, _said), psycopg.connect(again["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert wait_gone(server)


def test_passwords_are_needed_and_not_in_the_process_list(layout):
    with servers(layout) as (environment, _supervisor, _said):
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url("redis://" + environment["REDIS_URL"].split("@")[1]).ping()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(environment["DATABASE_URL"].replace("ssm:", "ssm:x", 1))
        commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    kept = dict(line.split("=", 1) for line in layout.environment_file.read_text().splitlines() if "=" in line)
    secrets = [value for value in kept.values() if len(value) > 30]

    assert secrets
    assert not [secret for secret in secrets if secret in commands]


def test_application_role_is_no_superuser(layout):
    with servers(layout) as (environment, _s, _t), psycopg.connect(environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)


def test_two_layouts_do_not_clash(layout):
    with temporary_layout() as other, servers(layout) as (first, _s, _t), servers(other) as (second, _s2, _t2):
        assert first["DATABASE_URL"] != second["DATABASE_URL"]
        with psycopg.connect(first["DATABASE_URL"]) as one, psycopg.connect(second["DATABASE_URL"]) as two:
            assert one.info.port != two.info.port


def test_interrupted_initdb_is_done_again(layout):
    environment: dict[str, str] = {}
    prepare_environment(layout, environment)
    (layout.servers / "postgres.new").mkdir()
    (layout.servers / "postgres.new" / "PG_VERSION").write_text("15\n")

    with servers(layout):
        assert not (layout.servers / "postgres.new").exists()
        assert not (layout.servers / "postgres.password").exists()


def test_data_of_a_version_that_is_not_there_names_the_package(layout):
    (layout.servers / "postgres").mkdir()
    (layout.servers / "postgres" / "PG_VERSION").write_text("9\n")

    assert postgres.stored_major(layout) == 9
    with pytest.raises(BinaryMissing, match=r"written by PostgreSQL 9, .* apt-get install postgresql-9"):
        find_postgres(9)


@pytest.mark.parametrize(
    ("variable", "find"),
    [("SSM_POSTGRES_BIN", find_postgres), ("SSM_REDIS_BIN", find_redis)],
    ids=["postgres", "redis"],
)
def test_chosen_folder_without_programs_is_told_by_name(monkeypatch, tmp_path, variable, find):
    monkeypatch.setenv(variable, str(tmp_path))

    with pytest.raises(BinaryMissing, match=f"{variable} names {tmp_path}, which holds no .* apt-get install"):
        find()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another account")
def test_package_programs_below_a_closed_directory_are_copied_once(layout, tmp_path):
    tmp_path.chmod(0o700)
    origin = next((binaries for binaries in postgres_installations() if binaries.package), None)
    if origin is None or origin.package is None or layout.account is None:
        pytest.skip("the package with PostgreSQL's programs is not installed")
    for tree in (origin.package, origin.package.with_name(f"{origin.package.name}.libs")):
        shutil.copytree(tree, tmp_path / tree.name, symlinks=True)
    closed = tmp_path / origin.package.name
    binaries = Binaries(closed / origin.directory.relative_to(origin.package), origin.major, closed)

    copy = within_reach(binaries, layout)

    version = subprocess.run(
        [copy["initdb"], "--version"], user=layout.account.uid, cwd="/", capture_output=True, text=True, check=True
    )
    assert f"(PostgreSQL) {origin.major}." in version.stdout
    assert within_reach(binaries, layout) == copy


@pytest.fixture
def small_disk(layout):
    """A layout on a file system of its own with 30 MB; needs root."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    options = "size=30m,mode=711"
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", layout.data], check=False)
    if mount.returncode:
        pytest.skip("no mounting here")
    yield layout
    subprocess.run(["umount", layout.data], check=True)


def test_too_small_disk_is_told_before_anything_starts(small_disk):
    with pytest.raises(DiskFull, match=r"Only \d+ MB are free .* SSM_DATA_DIR"):
        prepare_environment(small_disk, {})


def test_disk_that_fills_up_while_creating_the_database_is_told_as_that(small_disk):
    access = postgres.PostgresAccess(1, "a", "b")

    with pytest.raises(DiskFull, match="The disk is full: PostgreSQL could not create its files"):
        postgres.create_cluster(small_disk, find_postgres(), access)

    assert not (small_disk.servers / "postgres").exists()
