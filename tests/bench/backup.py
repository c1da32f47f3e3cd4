"""What a backup and its restore cost: time, and memory of the worker, of a volume much larger than that memory.

    MEBIBYTES=2048 python -m tests.bench.backup [--small]

Real: an engine behind a real sshd (a host of the fleet), the store in a folder, PostgreSQL, Redis, and the same code
that a worker runs, in this process. Half of the volume cannot be compressed, half can. Memory is what the process holds
(resident), sampled every 50 ms, less what it held before. The last line is one JSON object.
"""

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fleet import Fleet, net_from_environment
from tests.fleet.layout import DEVELOPER_NET
from tests.services import start_servers

MOST_MEMORY_MIB = 64
_FILL = r"""cd "$1"; head -c "$2" /dev/urandom > random; head -c "$2" /dev/zero | tr '\0' a > text; mkdir many
i=0; while [ $i -lt 500 ]; do echo $i > many/$i; i=$((i+1)); done"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backup")
    parser.add_argument("--small", action="store_true", help="64 MiB")
    mebibytes = int(os.environ.get("MEBIBYTES") or (64 if parser.parse_args().small else 2048))
    folder = tempfile.mkdtemp(prefix="bench-backup-")
    os.environ["SSM_BACKUP_DIR"] = folder
    start_servers()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fleet = Fleet(net_from_environment(DEVELOPER_NET))
    fleet.up(["28"], registry=False)
    try:
        result = _measure(fleet, mebibytes)
    finally:
        fleet.down()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"target: memory grows by less than {MOST_MEMORY_MIB} MiB, whatever the size of the volume")
    print(json.dumps(result))
    if result["backup_memory_mib"] >= MOST_MEMORY_MIB or result["restore_memory_mib"] >= MOST_MEMORY_MIB:
        raise SystemExit("memory is not flat")


def _measure(fleet: Fleet, mebibytes: int) -> dict[str, Any]:
    from django.contrib.auth.models import AnonymousUser

    from containers import execution
    from containers.models import Operation
    from containers.volume_requests import request_backup, request_restore
    from devices.connections import pool
    from tests.containers.logstage import add_device

    host = next(host for host in fleet.hosts if host.engine == "28")
    device = add_device(fleet.entry(host.number), f"bench-backup-{os.getpid()}")
    name = f"bench-{os.getpid()}"
    try:
        for wanted in (f"{name}-warm", name):
            host.api("POST", "/volumes/create", {"Name": wanted})
        place = host.api("GET", f"/volumes/{name}")["Mountpoint"]
        host.exec(["sh", "-c", _FILL, "sh", place, str(mebibytes * 512 * 1024)], timeout_s=600)
        figures: dict[str, Any] = {"mebibytes": mebibytes}

        def run(operation: Operation, word: str) -> None:
            with _sampled() as sample:
                began = time.monotonic()
                execution.run(str(operation.pk))
                figures[f"{word}_seconds"] = round(time.monotonic() - began, 1)
            figures[f"{word}_memory_mib"] = round(sample["peak"] / 2**20, 1)
            ended = Operation.objects.get(pk=operation.pk)
            if ended.state != "succeeded":
                raise RuntimeError(ended.error_message)

        # The first one loads libraries and opens the connection.
        warm = request_backup(AnonymousUser(), device, f"{name}-warm", "running")
        backup = request_backup(AnonymousUser(), device, name, "running")
        if warm.operation is None or backup.operation is None:
            raise RuntimeError("not asked for")
        run(warm.operation, "warm")
        run(backup.operation, "backup")
        backup.refresh_from_db()
        figures["stored_mib"] = round((backup.size_bytes or 0) / 2**20, 1)
        run(request_restore(AnonymousUser(), backup, device, f"{name}-back", mode="new"), "restore")
        return figures
    finally:
        pool.close_all()
        credential = device.credential
        device.delete()
        if credential is not None:
            credential.delete()


@contextmanager
def _sampled() -> Iterator[dict[str, int]]:
    """The most that this process holds more than at the beginning, in bytes, under ``peak``."""
    before, sample, over = _resident(), {"peak": 0}, threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            sample["peak"] = max(sample["peak"], _resident() - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield sample
    finally:
        over.set()
        thread.join()


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
