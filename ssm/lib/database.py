"""Use of the database by threads that live long: a connection is borrowed from the pool and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections


@contextmanager
def database_work() -> Iterator[None]:
    """Queries inside use this thread's connection; afterwards it goes back to the pool.

    Without it every thread of a listener or hub would hold a connection for as long as it lives.
    """
    try:
        yield
    finally:
        # Not close_all(): that opens nothing, but closes what an outer test transaction still needs.
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()
