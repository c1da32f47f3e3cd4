"""Restart loops: a container whose processes end again and again without anybody having asked for it.

One rule for all engines, read off their events: the restart count of an engine is set back by a start by hand, and
tells nothing of when.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# Ends that nobody asked for, within so long, make a loop; it is over when there was none for as long. Docker waits a
# minute at most before it starts a container again, so one that loops ends more often than that.
WINDOW_NS: Final = 5 * 60 * 1_000_000_000
ENDS: Final = 3
# What the rule needs to know of a container's events.
TELLING: Final = ("start", "die", "kill", "stop", "destroy")
# An end this long after a kill is not its doing: the signal was one that the program lives on with.
_ASKED_NS: Final = 10 * 60 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a container: the first word of its action, the Engine's time."""

    word: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop under way: when it began (its first end), its last end, and how many ends there were in between."""

    since_ns: int
    last_ns: int
    ends: int


def find_loop(events: Iterable[Told], now_ns: int) -> Loop | None:
    """The loop that the container is in at ``now_ns`` (the Engine's clock), if it is in one. Events in order of time.

    It begins with the first of three ends within five minutes; it is over once there was none for five minutes, or
    when somebody stopped or removed the container. A stop, a kill and a restart by hand are told as ``kill`` before
    the ``die``; an end for lack of memory, or by the program itself, is not.
    """
    loop: Loop | None = None
    lately: list[int] = []
    asked_ns = 0
    for event in events:
        if event.word == "start":
            asked_ns = 0
        elif event.word in ("stop", "destroy"):
            loop, lately = None, []
        elif event.word == "kill":
            asked_ns = event.time_ns
        elif event.word == "die" and (not asked_ns or event.time_ns - asked_ns > _ASKED_NS):
            lately = [*(end for end in lately if event.time_ns - end <= WINDOW_NS), event.time_ns]
            if loop is not None and event.time_ns - loop.last_ns <= WINDOW_NS:
                loop = Loop(loop.since_ns, event.time_ns, loop.ends + 1)
            else:
                loop = Loop(lately[0], event.time_ns, len(lately)) if len(lately) >= ENDS else None
    return loop if loop is not None and now_ns - loop.last_ns <= WINDOW_NS else None
