"""The processes of SSM itself: web, worker, scheduler, listener; and the account they run as."""

import http.client
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ssm.services.layout import Account, Layout, make_private_directory
from ssm.services.ports import LOOPBACK
from ssm.services.programs import Program

WILDCARD_HOSTS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
WORKER_THREADS = 32
TRANSFER_THREADS = 8


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where the web process listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What to type into a browser on this machine."""
        host = LOOPBACK if self.host in WILDCARD_HOSTS else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"


def programs(
    layout: Layout, web: WebAddress, account: Account | None, threads: int, transfers: int = TRANSFER_THREADS
) -> list[Program]:
    """All processes in the order of their start; `account` is None to stay the user that we are.

    `threads` are those of the worker, `transfers` those of the one that moves images and backups.
    """
    state = make_private_directory(layout.servers / "beat", account)
    python = sys.executable
    celery = (python, "-m", "celery", "--quiet", "-A", "ssm")
    # Threads take a tenth of the memory of processes, and the work is waiting for the network.
    worker = (*celery, "worker", "-P", "threads", "-l", "info", "--without-gossip", "--without-mingle")
    commands = {
        "web": (python, "manage.py", "serve", "--host", web.host, "--port", str(web.port)),
        "worker": (*worker, "-c", str(threads), "-n", "worker@%h"),
        "transfers": (*worker, "-c", str(transfers), "-Q", "transfers", "-n", "transfers@%h"),
        "beat": (*celery, "beat", "-l", "warning", "--pidfile=", "-s", str(state / "celerybeat-schedule")),
        "listener": (python, "manage.py", "watch_hosts"),
    }
    environment = {"PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "ssm.settings"}
    if account:
        environment |= {"HOME": str(state), "PYTHONDONTWRITEBYTECODE": "1"}
    else:
        # Said in one line by `up`; Celery's own warning guards pickled messages, which SSM refuses.
        environment["PYTHONWARNINGS"] = "ignore:You're running the worker with superuser privileges"
    return [
        Program(name, command, environment=environment, directory=layout.project, account=account)
        for name, command in commands.items()
    ]


def application_account(layout: Layout) -> Account | None:
    """The servers' account, when we are root and it can load the settings from this checkout; else None.

    A checkout below /root, or secrets in files for root alone, are closed to it; SSM then stays root.
    """
    if layout.account is None:
        return None
    try:
        result = subprocess.run(
            [sys.executable, "-c", "import ssm.settings, django, celery, daphne, paramiko"],
            user=layout.account.uid,
            group=layout.account.gid,
            extra_groups=[],
            cwd=layout.project,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return layout.account if result.returncode == 0 else None


def web_answers(web: WebAddress) -> bool:
    """Whether /healthz gives any answer but a server error; waits at most two seconds.

    A 400 counts: SSM_ALLOWED_HOSTS may leave out the loopback address.
    """
    host = LOOPBACK if web.host in WILDCARD_HOSTS else web.host
    connection = http.client.HTTPConnection(host, web.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def static_files_digest(folders: list[Path]) -> str:
    """Changes when a file below the folders does; cheap, from names, sizes and times."""
    lines = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                facts = path.stat()
                lines.append(f"{path.relative_to(folder)} {facts.st_size} {facts.st_mtime_ns}")
    return "\n".join(lines)
