"""What a process is at while it writes to its log: the ids of the request, the device and the operation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

# In the order in which they are shown; extras of records with these names count as well.
NAMES: Final = ("request", "task", "device", "operation")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_current: ContextVar[Mapping[str, str]] = ContextVar("ssm_log_context", default=_NOTHING)


def current_context() -> Mapping[str, str]:
    """The ids of what this thread or coroutine is at, by the names in NAMES."""
    return _current.get()


@contextmanager
def log_context(**ids: object) -> Iterator[None]:
    """Put the ids (names in NAMES; empty ones are left out) on everything logged inside, callees included.

    A thread that is started inside does not inherit them; coroutines and `sync_to_async` do.
    """
    told = {name: str(value)[:64] for name, value in ids.items() if value}
    token = _current.set(MappingProxyType({**_current.get(), **told}))
    try:
        yield
    finally:
        _current.reset(token)


def context_of(record: object) -> dict[str, str]:
    """The ids that belong to a record: its own extras before those around it."""
    around = _current.get()
    found = {name: getattr(record, name, None) or around.get(name) for name in NAMES}
    return {name: str(value)[:64] for name, value in found.items() if value}
