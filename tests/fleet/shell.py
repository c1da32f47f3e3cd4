"""Programs, small files and waiting: what every module of the fleet needs and the standard library makes long."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tests.fleet.errors import FleetError

Result = TypeVar("Result")

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def announce(message: str) -> None:
    """Tell the person at the terminal; standard output stays free for the JSON inventory."""
    print("fleet:", message, file=sys.stderr, flush=True)


def run(
    *command: str | int | Path,
    check: bool = True,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text: str | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return it with its output.

    `text` goes to standard input. Raises FleetError when the exit status is not 0 (unless `check` is false),
    with the end of what the program said.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            env=None if environment is None else dict(environment),
            cwd=cwd,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FleetError(f"{' '.join(words)}: not done after {timeout_s} s") from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()[-800:]
        raise FleetError(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done


def write_file(path: Path, content: str, mode: int = 0o644) -> None:
    """Replace a file in one step: a reader sees the old content or the new, and never with a wider mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(content)
    fresh.chmod(mode)
    fresh.rename(path)


def read_file(path: Path, default: str = "") -> str:
    """Content of a file, or `default` when it cannot be read (a process that ended, a host that is off)."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return default


def wait_until(ready: Callable[[], Result | None], timeout_s: float, what: str) -> Result:
    """Ask `ready` every 50 ms until its answer is true, and return that answer.

    Raises FleetError naming `what` when `timeout_s` has passed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise FleetError(f"{what}: not ready after {timeout_s:g} s")
        time.sleep(0.05)
