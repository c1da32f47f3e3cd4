"""Start one child process: its own process group, its own account, and it never outlives us."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssm.services.errors import BinaryMissing, ServiceFailed
from ssm.services.layout import Account

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to end it.

    `stage` orders the start; stopping goes backwards, one stage after the other. `stop_signal` asks for an
    orderly end; the whole process group is killed `stop_seconds` later. `death_signal` is what the kernel
    sends when the supervisor itself dies. A first start that fails with `leftover` (a regular expression) in
    its output is tried again for some seconds: a killed run's last processes may still be ending. Lines that
    match `hide` are not shown.
    """

    name: str
    command: tuple[str, ...]
    stage: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = Path("/")
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    stop_seconds: float = 4.0
    leftover: str = ""
    hide: str = ""


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start it with standard output and error in one pipe. Raises BinaryMissing or ServiceFailed.

    The calling thread must live as long as the child: the kernel ties the death signal to the thread.
    """
    parent = os.getpid()

    def tie_to_parent() -> None:
        # Runs after the change of account, which would clear the setting.
        _libc.prctl(PR_SET_PDEATHSIG, int(program.death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    account = program.account
    try:
        return subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=program.directory,
            env={**os.environ, **program.environment},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            # Ctrl-C reaches the supervisor alone, which then ends all in order.
            process_group=0,
            preexec_fn=tie_to_parent,
        )
    except FileNotFoundError as exc:
        raise BinaryMissing(
            f"{program.name}: {program.command[0]} is not on this machine.",
            fix="Install SSM's environment again: make clean install",
        ) from exc
    except OSError as exc:
        raise ServiceFailed(f"{program.name}: {program.command[0]} cannot be started: {exc.strerror}.") from exc


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the process group that `spawn` made."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
