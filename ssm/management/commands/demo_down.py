"""Remove the demo: `manage.py demo_down`, whether SSM runs or not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import ProgrammingError

from ssm import demo
from ssm.lib.env import env_secret
from ssm.services.embedded import start_embedded_servers
from ssm.services.environment import prepare_environment, read_environment_file
from ssm.services.layout import Layout, find_layout
from ssm.services.locks import hold_lock
from ssm.services.output import Output
from ssm.services.supervisor import Supervisor


class Command(BaseCommand):
    """End the demo's hosts and delete their devices."""

    help = "Remove the demo's hosts and their devices."

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument("--rows-only", action="store_true", help="Leave the hosts; the database must be up.")

        parser.add_argument("--keep-packages", action="store_true", help="Leave the downloaded Debian packages.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Hosts first, so that no listener sees a host that it no longer knows."""
        if not options["rows_only"]:
            demo.stop_hosts(self.stdout.write, keep_packages=options["keep_packages"])
        if options["rows_only"] or _database_answers():
            self._forget()
            return
        layout = find_layout(with_account=False)
        if "SSM_POSTGRES_PORT" not in read_environment_file(layout.environment_file):
            raise demo.DemoError(
                "The demo's hosts are gone, but the database does not answer, so their devices are still listed.",
                fix="Start the database and run this again.",
            )
        _forget_in_embedded_database()

    def _forget(self) -> None:
        try:
            count = demo.forget_devices()
        except ProgrammingError:  # no tables: SSM never ran on this database
            count = 0
        self.stdout.write(f"{count} demo devices removed")


def _database_answers() -> bool:
    """Whether the database takes connections. Past Django, whose pool would try for long and warn each time."""
    try:
        psycopg.connect(env_secret("DATABASE_URL"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _forget_in_embedded_database() -> None:
    """Start the checkout's own servers for a moment; SSM itself does not run.

    A child does the work, as the servers' ports may differ from those that our settings have read.
    """
    layout: Layout = find_layout()
    hold_lock(layout)
    prepare_environment(layout)
    supervisor = Supervisor(Output(sys.stderr))
    try:
        start_embedded_servers(layout, supervisor)
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "demo_down", "--rows-only"]
        subprocess.run(command, check=True)
    finally:
        supervisor.stop()
