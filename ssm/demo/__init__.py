"""The demo: three real Docker hosts on this machine, registered like any other server.

`manage.py up --demo` calls `start` when the database is ready; `manage.py demo_down` calls `stop`.
"""

from collections.abc import Callable

from ssm.demo.errors import DemoError
from ssm.demo.hosts import require_root, start_hosts, stop_hosts
from ssm.demo.rows import forget_devices, register_devices

__all__ = ["DemoError", "forget_devices", "require_root", "start", "start_hosts", "stop", "stop_hosts"]


def start(emit: Callable[[str], None]) -> None:
    """Have the demo's hosts up and registered; safe to repeat. `emit` gets a line per step.

    Needs a migrated database. Raises DemoError with one line.
    """
    register_devices(start_hosts(emit))


def stop(emit: Callable[[str], None] = lambda _line: None, *, keep_packages: bool = False) -> None:
    """Remove the demo's hosts, then its rows. Needs the database. Raises DemoError with one line."""
    stop_hosts(emit, keep_packages=keep_packages)
    forget_devices()
