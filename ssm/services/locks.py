"""One supervisor at a time in one data directory."""

import fcntl
import os
from typing import IO

from ssm.services.errors import AlreadyRunning
from ssm.services.layout import Layout, disk_errors, make_directories

# The kernel drops a lock when its holder dies, however it dies; so the files stay open until then.
_held: dict[str, IO[str]] = {}


def hold_lock(layout: Layout) -> None:
    """Take the lock of this data directory until our process ends; taking it twice is fine.

    Raises AlreadyRunning with the other one's process id.
    """
    path = str(layout.lock_file)
    if path in _held:
        return
    make_directories(layout)
    with disk_errors(layout.lock_file):
        file = layout.lock_file.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.seek(0)
        process = file.read(20).strip()
        file.close()
        raise AlreadyRunning(
            f"SSM already runs in {layout.data}" + (f" (process {process})." if process.isdigit() else "."),
            fix="Use that one, or end it with Ctrl-C there first.",
        ) from exc
    with disk_errors(layout.lock_file):
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    _held[path] = file
