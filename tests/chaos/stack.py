"""The whole of SSM as `manage.py up` runs it, on a file system of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from ssm.services.environment import load_environment
from ssm.services.layout import SYSTEM_STATE, find_layout
from ssm.services.ports import free_port
from ssm.services.programs import Program, spawn
from tests.fleet.processes import family, memory_kib
from tests.fleet.shell import read_file, run

PROJECT: Final = Path(__file__).resolve().parents[2]
_FOREIGN: Final = ("SSM_", "DATABASE_URL", "REDIS_URL", "CELERY_", "DJANGO_")
_START_S: Final = 300
_STOP_S: Final = 60
# What tells a program's process from the others below `up`, looked for in this order; the web process is the rest.
_SIGNS: Final = (
    ("listener", "watch_hosts"),
    ("beat", " beat "),
    ("transfers", "transfers@"),
    ("worker", "worker@"),
    ("redis", "redis-server"),
    ("postgres", "postgres"),
)


class Stack:
    """One run of `manage.py up` with a data directory on a file system of ``mebibytes``."""

    def __init__(self, mebibytes: int = 1536) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="ssm-chaos-"))
        self.place.chmod(0o711)
        run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0711", "ssm-chaos", self.place)
        self.port = free_port()
        self.log = self.place.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            "SSM_DATA_DIR": str(self.place / "data"),
            "SSM_HTTP_PORT": str(self.port),
            "SSM_API_REQUESTS_PER_MINUTE": "100000",
            "SSM_WORKER_THREADS": "12",
            "SSM_UPDATE_KEEP_HOURS": "0",
        }

    def start(self) -> None:
        """Start it, wait until it is ready, and have its environment as ours, so that this process can open its books.

        Raises RuntimeError with its last words.
        """
        # What the user set for other runs (`.env`, DATABASE_URL) is not for this one.
        for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
            del os.environ[name]
        os.environ.update(self._environment)
        program = Program("up", (sys.executable, "manage.py", "up"), directory=PROJECT, death_signal=signal.SIGTERM)
        process = self._process = spawn(program)
        threading.Thread(target=self._write_log, args=(process,), name="log", daemon=True).start()
        deadline = time.monotonic() + _START_S
        while "SSM is ready" not in read_file(self.log):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("SSM did not start: " + read_file(self.log)[-1500:])
            time.sleep(0.2)
        load_environment(find_layout(self.place / "data", with_account=False))

    def stop(self, *, keep_log: bool) -> None:
        """End it and leave nothing; the log stays where somebody wants to read it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        layout = find_layout(self.place / "data", with_account=False)
        for _ in range(20):
            if run("umount", self.place, check=False).returncode == 0:
                break
            time.sleep(0.5)
        self.place.rmdir()
        if layout.servers.is_relative_to(SYSTEM_STATE):
            shutil.rmtree(layout.servers, ignore_errors=True)
        if not keep_log:
            self.log.unlink(missing_ok=True)

    def _write_log(self, process: "subprocess.Popen[bytes]") -> None:
        with self.log.open("wb", buffering=0) as log:
            for line in process.stdout or ():
                log.write(line)

    # -- its processes

    def processes(self) -> dict[str, int]:
        """The main process of each program that runs now."""
        if self._process is None:
            return {}
        found: dict[str, int] = {}
        parent = self._process.pid
        for child in read_file(Path(f"/proc/{parent}/task/{parent}/children")).split():
            line = read_file(Path(f"/proc/{child}/cmdline")).replace("\0", " ")
            if line:
                found[next((name for name, sign in _SIGNS if sign in line), "web")] = int(child)
        return found

    def send(self, program: str, number: signal.Signals, *, to_all: bool) -> list[int]:
        """Signal a program's main process, or all of its processes; which ones got it."""
        main = self.processes().get(program)
        if main is None:
            return []
        pids = family(main) if to_all else [main]
        signal_all(pids, number)
        return pids

    def footprint(self) -> dict[str, tuple[int, int]]:
        """Resident memory (KiB, shared parts by share) and open files of each program's main process."""
        found = {}
        for name, pid in self.processes().items():
            with contextlib.suppress(OSError):
                found[name] = (memory_kib(pid), len(list(Path(f"/proc/{pid}/fd").iterdir())))
        return found

    # -- its disk

    def fill(self) -> None:
        """Leave not one byte on its file system."""
        ballast = self.place / "ballast"
        with ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Take away what `fill` wrote."""
        (self.place / "ballast").unlink(missing_ok=True)


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Signal those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
