"""One supervisor at a time in one data directory."""

import fcntl
import os

from ssm.services.errors import AlreadyRunning
from ssm.services.layout import Layout, disk_errors, make_directories

# Descriptors, open until we end: the kernel drops a lock when its holder dies, however it dies.
_held: dict[str, int] = {}


def hold_lock(layout: Layout) -> None:
    """Take the lock of this data directory until our process ends; taking it twice is fine.

    Raises AlreadyRunning with the other one's process id.
    """
    path = str(layout.lock_file)
    if path in _held:
        return
    make_directories(layout)
    with disk_errors(layout.lock_file):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        process = os.read(descriptor, 20).decode(errors="replace").strip()
        os.close(descriptor)
        raise AlreadyRunning(
            f"SSM already runs in {layout.data}" + (f" (process {process})." if process.isdigit() else "."),
            fix="Use that one, or end it with Ctrl-C there first.",
        ) from exc
    with disk_errors(layout.lock_file):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    _held[path] = descriptor
