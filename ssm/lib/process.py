"""Which of SSM's processes this one is."""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import PurePath
from typing import Final

KINDS: Final = ("web", "worker", "transfers", "scheduler", "listener")


@cache
def process_kind() -> str:
    """One of KINDS, else the name of the management command, else ``other``."""
    return kind_of(sys.argv)


def kind_of(arguments: Sequence[str]) -> str:
    """The same, from the arguments that a process was started with.

    A worker counts as ``transfers`` when that is the only queue it serves.
    """
    words = list(arguments)
    program = PurePath(words[0]).name if words else ""
    if "worker" in words[1:] or "beat" in words[1:]:
        if "beat" in words[1:] and "worker" not in words[1:]:
            return "scheduler"
        return "transfers" if _queues(words) == "transfers" else "worker"
    if "watch_hosts" in words:
        return "listener"
    if program == "daphne" or "serve" in words[1:2]:
        return "web"
    if program == "manage.py" and len(words) > 1:
        return words[1][:40]
    return "other"


def _queues(words: Sequence[str]) -> str:
    for position, word in enumerate(words[:-1]):
        if word in ("-Q", "--queues"):
            return words[position + 1]
    return next((word.partition("=")[2] for word in words if word.startswith("--queues=")), "")
