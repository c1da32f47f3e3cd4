"""Pytest plugin (`-p tests.services`): real, empty PostgreSQL and Redis for one test run, before settings are read.

Servers that the environment names already (DATABASE_URL and REDIS_URL) are used instead. Each worker of pytest-xdist
starts its own, as tests empty queues, caches and tables, and publish to channels that a Redis has but once.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm.services.environment import is_given
from ssm.services.programs import Program, kill_group, spawn

PROJECT = Path(__file__).resolve().parents[1]
# Set for the workers of pytest-xdist as well.
THROWN_AWAY = "SSM_TEST_SERVERS_ARE_THROWN_AWAY"
_servers: list[subprocess.Popen[bytes]] = []


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Runs around pytest-django's hook of the same name, which imports the settings."""
    start_servers()
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Leave the tests' database to the end of its server: a thread's idle connection would forbid to drop it."""
    if os.environ.get(THROWN_AWAY):
        config.option.reuse_db = True


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """The last thing of a run; when it is killed before, the kernel ends the servers (see ssm.services.programs)."""
    while _servers:
        process = _servers.pop()
        process.terminate()
        try:
            process.wait(timeout=12)
        except subprocess.TimeoutExpired:
            kill_group(process)
            process.wait()


def start_servers() -> None:
    """Start both in a process of their own and set their URLs and fresh keys in our environment."""
    os.environ.setdefault("SSM_DEBUG", "true")  # static files are found where they are, none are collected
    if "PYTEST_XDIST_WORKER" in os.environ and os.environ.get(THROWN_AWAY):
        for name in ("DATABASE_URL", "REDIS_URL"):  # those of the controller
            os.environ.pop(name, None)
    if is_given("DATABASE_URL", os.environ) and is_given("REDIS_URL", os.environ):
        for name in ("SSM_SECRET_KEY", "SSM_FIELD_KEYS"):
            os.environ.setdefault(name, "dGVzdHMtb25seS1rZXktb2YtMzItYnl0ZXMtbGVuZ3Q=")
        return
    program = Program(
        name="services",
        command=(sys.executable, "-m", "ssm.services", "temporary"),
        directory=PROJECT,
        death_signal=signal.SIGTERM,
    )
    process = spawn(program)
    _servers.append(process)
    said = []
    for raw in process.stdout or ():
        line = raw.decode().strip()
        said.append(line)
        if line == "# ready":
            os.environ[THROWN_AWAY] = "1"
            return
        if line.startswith("export "):
            name, _, value = shlex.split(line)[1].partition("=")
            os.environ[name] = value
    pytest.exit("The test run's PostgreSQL and Redis did not start: " + "\n".join(said), returncode=3)
