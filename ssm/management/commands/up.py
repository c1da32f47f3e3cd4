"""`manage.py up`: everything that one machine needs to run SSM, under one supervisor."""

import secrets
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections, transaction

from ssm.lib.env import ConfigurationError, env_int, env_port, env_secret, env_str
from ssm.lib.roles import ADMINISTRATOR, ensure_roles
from ssm.services.embedded import start_embedded_servers
from ssm.services.errors import ServiceFailed
from ssm.services.layout import Layout, disk_errors, find_layout
from ssm.services.locks import hold_lock
from ssm.services.output import Output
from ssm.services.ports import require_free
from ssm.services.processes import (
    TRANSFER_THREADS,
    WORKER_THREADS,
    WebAddress,
    application_account,
    programs,
    static_files_digest,
    web_answers,
)
from ssm.services.supervisor import StopRequested, Supervisor

WEB_START_S = 90


class Command(BaseCommand):
    """Start the servers, migrate, start all processes, keep them running until Ctrl-C or SIGTERM."""

    help = "Run SSM: database, Redis, web, worker, scheduler and listener, until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo", action="store_true", help="also start real Docker hosts to look at (root)")

    def handle(self, *_args: Any, demo: bool, **_options: Any) -> None:
        layout = find_layout()
        hold_lock(layout)
        web = WebAddress(env_str("SSM_HTTP_HOST", "127.0.0.1"), env_port("SSM_HTTP_PORT", 8000))
        threads = env_int("SSM_WORKER_THREADS", WORKER_THREADS, minimum=1, maximum=500)
        transfers = env_int("SSM_TRANSFER_THREADS", TRANSFER_THREADS, minimum=1, maximum=100)
        require_free(web.port, web.host, "SSM_HTTP_PORT")
        output = Output(sys.stdout)
        supervisor = Supervisor(output)
        supervisor.install_signals()
        try:
            start_embedded_servers(layout, supervisor)
            check_database()
            check_redis()
            supervisor.call(lambda: prepare(layout, output))
            if demo:
                supervisor.call(lambda: start_demo(output))
            start_processes(layout, supervisor, output, web, (threads, transfers))
            announce(supervisor, output, web)
            supervisor.run()
        except StopRequested:
            output.message("stopped while starting")
        finally:
            output.message("stopping")
            supervisor.stop()
            output.message(
                "stopped, nothing is left running" + (" but the demo's hosts: make demo-down" if demo else "")
            )


def prepare(layout: Layout, output: Output) -> None:
    """Bring the database's tables and the collected static files up to date; quick when they are."""
    output.message("checking the database's tables")
    call_command("migrate", interactive=False, verbosity=0)
    ensure_roles()
    digest_file = layout.data / "staticfiles.digest"
    folders = [Path(folder) for finder in finders.get_finders() for folder in _folders(finder)]
    digest = static_files_digest(folders)
    if not Path(settings.STATIC_ROOT).is_dir() or not digest_file.exists() or digest_file.read_text() != digest:
        output.message("collecting static files")
        call_command("collectstatic", interactive=False, verbosity=0)
        with disk_errors(digest_file):
            digest_file.write_text(digest)
    connections.close_all()


def start_demo(output: Output) -> None:
    """Start the demo's Docker hosts and register them."""
    from ssm import demo  # only here: it needs root and programs that nobody else needs

    demo.start(output.message)
    connections.close_all()


def start_processes(
    layout: Layout, supervisor: Supervisor, output: Output, web: WebAddress, threads: tuple[int, int]
) -> None:
    """Start all processes of SSM; ``threads`` are the worker's and those for transfers.

    Raises ServiceFailed when the web process does not answer."""
    account = application_account(layout)
    if layout.account and account:
        output.message(f"running as the user {account.name} instead of root")
    elif layout.account:
        output.message(f"running as root: the user {layout.account.name} cannot read {layout.project}")
    for program in programs(layout, web, account, *threads):
        supervisor.start(program)
    if not supervisor.wait_until(lambda: web_answers(web), WEB_START_S):
        if supervisor.is_stopping:
            raise StopRequested
        raise ServiceFailed(
            f"The web process did not answer at {web.url} within {WEB_START_S} seconds.",
            fix="Its own lines above tell why.",
        )


def announce(supervisor: Supervisor, output: Output, web: WebAddress) -> None:
    """Say where SSM is, and the first administrator's password this once, after all else has worked."""
    password = create_first_administrator()
    connections.close_all()
    if supervisor.is_stopping:
        raise StopRequested
    output.message("")
    output.message(f"SSM is ready: {web.url}")
    if password:
        output.message("  user      admin")
        output.message(f"  password  {password}   (shown only now)")
    output.message("Ctrl-C ends it.")
    output.message("")


def create_first_administrator() -> str:
    """Create `admin` when there is no user at all; returns the password, "" when there was somebody."""
    users = get_user_model()._default_manager
    if users.exists():
        return ""
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        user = get_user_model().objects.create_superuser("admin", password=password)
        user.groups.add(Group.objects.get(name=ADMINISTRATOR))
    return password


def check_database() -> None:
    """Raise ConfigurationError with the server's reason when the database cannot be used."""
    try:
        with psycopg.connect(env_secret("DATABASE_URL"), connect_timeout=5) as connection:
            version = connection.info.server_version
    except psycopg.Error as exc:
        # One line for each address that was tried, with questions to the user between them.
        lines = [line.strip(" \t-") for line in str(exc).splitlines()]
        reason = next((line for line in reversed(lines) if "failed: " in line or "FATAL" in line), lines[0])
        reason = reason.removeprefix("connection failed: ")
        raise ConfigurationError("DATABASE_URL", f"names a database that cannot be used: {reason}") from exc
    if version < 140000:
        raise ConfigurationError("DATABASE_URL", "names a PostgreSQL older than 14")


def check_redis() -> None:
    """Raise ConfigurationError with the reason when Redis cannot be used."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5, socket_timeout=5)
    try:
        client.ping()
    except redis.RedisError as exc:
        raise ConfigurationError("REDIS_URL", f"names a Redis that cannot be used: {exc}") from exc
    finally:
        client.close()


def _folders(finder: Any) -> list[str]:
    """The directories of one finder of django.contrib.staticfiles."""
    return [storage.location for storage in getattr(finder, "storages", {}).values()]
