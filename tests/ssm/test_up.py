"""`manage.py up` as a user starts it: a process of its own, real servers, one line when something is wrong."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ssm.services.layout import temporary_layout
from ssm.services.ports import free_port
from tests.ssm.listeners import listening
from tests.ssm.test_services_supervisor import is_alive, wait_gone

PROJECT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@pytest.fixture
def environment():
    """What `up` gets: a data directory of its own, a free port, nothing else."""
    with temporary_layout() as layout:
        yield {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "SSM_DATA_DIR": str(layout.data),
            "SSM_HTTP_PORT": str(free_port()),
        }


Start = Callable[[dict[str, str]], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `up`; what a failed test leaves is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start_up(environment: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, "manage.py", "up"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=pipe, stderr=pipe, text=True)
        processes.append(process)
        return process

    yield start_up
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def run_to_failure(start):
    """Run `up` to its end: exit code, and the lines on standard error."""

    def run(environment: dict[str, str]) -> tuple[int, list[str]]:
        process = start(environment)
        _output, errors = process.communicate(timeout=60)
        return process.returncode, errors.splitlines()

    return run


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The lines up to the one that contains `text`; all of them when it never comes."""
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line.rstrip("\n"))
        if text in line:
            break
    return lines


def family(pid: int) -> list[int]:
    """The process and everything below it, in no order."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found = {pid}
    while below := {child for child, parent in parents.items() if parent in found} - found:
        found |= below
    return list(found)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"SSM_HTTP_PORT": "eighty"},
            "ssm: SSM_HTTP_PORT must be a whole number, not 'eighty'. Set it like this: SSM_HTTP_PORT=8000",
        ),
        ({"SSM_HTTP_HOST": "192.0.2.1"}, "ssm: SSM_HTTP_HOST: 192.0.2.1 is not an address of this machine."),
        ({"SSM_DEBUG": "maybe"}, "ssm: SSM_DEBUG must be true or false, not 'maybe'."),
        ({"SSM_FIELD_KEYS": "tooshort"}, "ssm: SSM_FIELD_KEYS holds no valid key at position 1"),
        ({"SSM_SECRET_KEY_FILE": "/nowhere/key"}, "ssm: SSM_SECRET_KEY_FILE names /nowhere/key, which cannot be read"),
        ({"DATABASE_URL": "mysql://u:hunter2@h/d"}, "ssm: DATABASE_URL must start with postgres:// or postgresql://."),
        ({"REDIS_URL": "127.0.0.1:6379"}, "ssm: REDIS_URL must start with redis:// or rediss://."),
        ({"SSM_POSTGRES_BIN": "/nowhere"}, "ssm: SSM_POSTGRES_BIN names /nowhere, which holds no PostgreSQL."),
        ({"SSM_DATA_DIR": "/proc/ssm"}, "ssm: /proc/ssm cannot be written"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_up_with_wrong_variable_says_one_line_and_exits_with_2(run_to_failure, environment, changes, line):
    code, errors = run_to_failure(environment | changes)

    assert code == 2
    assert len(errors) == 1
    assert errors[0].startswith(line)
    assert "hunter2" not in errors[0]


def test_up_with_database_that_does_not_answer_names_the_variable_and_the_reason(run_to_failure, environment):
    url = f"postgres://ssm:hunter2@127.0.0.1:{free_port()}/ssm"

    code, errors = run_to_failure(environment | {"DATABASE_URL": url})

    assert code == 2
    assert len(errors) == 1
    assert errors[0].startswith("ssm: DATABASE_URL names a database that cannot be used: ")
    assert "Connection refused" in errors[0]
    assert "hunter2" not in errors[0]


def test_up_with_redis_that_does_not_answer_names_the_variable_and_the_reason(run_to_failure, environment):
    code, errors = run_to_failure(environment | {"REDIS_URL": f"redis://:hunter2@127.0.0.1:{free_port()}/0"})

    assert code == 2
    assert len(errors) == 1
    assert errors[0].startswith("ssm: REDIS_URL names a Redis that cannot be used: ")
    assert "hunter2" not in errors[0]


def test_up_with_port_in_use_says_one_line_and_exits_with_2(run_to_failure, environment):
    with listening() as port:
        code, errors = run_to_failure(environment | {"SSM_HTTP_PORT": str(port)})

    assert code == 2
    assert errors == [
        f"ssm: Port {port} on 127.0.0.1 is in use by another program. "
        f"Stop that program, or choose another port: SSM_HTTP_PORT={port + 1}"
    ]


@pytest.mark.timeout(300)
def test_up_starts_all_prints_the_login_once_and_ends_all(start, run_to_failure, environment):
    process = start(environment)
    lines = read_until(process, "Ctrl-C ends it")
    assert "Ctrl-C ends it" in lines[-1], lines + (process.stderr.readlines() if process.stderr else [])
    text = "\n".join(lines)
    url = f"http://127.0.0.1:{environment['SSM_HTTP_PORT']}/"
    assert f"SSM is ready: {url}" in text
    assert re.search(r"user +admin\n.*password +\S{16} ", text)
    with urllib.request.urlopen(f"{url}healthz", timeout=10) as answer:  # noqa: S310 - our own URL
        assert answer.status == 200

    # Two at once: the second says so and leaves the first alone.
    code, errors = run_to_failure(environment | {"SSM_HTTP_PORT": str(free_port())})
    assert code == 2
    assert len(errors) == 1
    assert f"SSM already runs in {environment['SSM_DATA_DIR']} (process {process.pid})" in errors[0]

    pids = family(process.pid)
    assert len(pids) >= 7  # we, two servers, four processes of SSM
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors_at_end = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 0, errors_at_end
    assert errors_at_end == ""
    assert output.rstrip().endswith("stopped, nothing is left running")
    assert not [pid for pid in pids if is_alive(pid)]


@pytest.mark.timeout(300)
def test_up_killed_takes_all_along_and_starts_again_with_its_data(start, environment):
    first = start(environment)
    said = read_until(first, "Ctrl-C ends it")
    assert "password" in "\n".join(said)
    pids = family(first.pid)

    first.kill()
    first.wait()
    assert all(wait_gone(pid) for pid in pids)

    second = start(environment)
    said = read_until(second, "Ctrl-C ends it")
    assert "Ctrl-C ends it" in said[-1], said
    assert "password" not in "\n".join(said)  # the first administrator is still there
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=30)
    assert second.returncode == 0
