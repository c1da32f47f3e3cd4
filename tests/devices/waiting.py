"""Waiting for what other threads bring about."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Return once the condition holds; AssertionError after ``timeout_s`` seconds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        threading.Event().wait(0.01)


@contextmanager
def no_threads_left() -> Iterator[None]:
    """Assert that every thread that the block started ends with it (closing may take a moment)."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [repr(thread) for thread in set(threading.enumerate()) - before if thread.is_alive()]

    end = time.monotonic() + 8
    while left():
        assert time.monotonic() < end, f"threads left: {left()}"
        threading.Event().wait(0.02)
