"""Cron expressions of registries: check them, and tell the next run."""

from datetime import datetime, timedelta
from typing import Final

from cronsim import CronSim, CronSimError

# That of its column.
LONGEST_SCHEDULE: Final = 100


class ScheduleError(ValueError):
    """A cron expression that cannot be used; its text says why."""


def next_poll(expression: str, after: datetime, *, spread_key: int = 0, spread_s: int = 60) -> datetime:
    """The next run after ``after`` (aware, in its zone), moved by a stable 0 to ``spread_s`` - 1 seconds.

    ``spread_key`` is any number that stays with the registry. Raises ScheduleError when the expression is wrong or
    never fires. Syntax as in Debian's cron, as the package cronsim implements it.
    """
    shown = "".join(character if character.isprintable() else "?" for character in expression[:LONGEST_SCHEDULE])
    if len(expression) > LONGEST_SCHEDULE:
        raise ScheduleError(f"“{shown}” is too long for a cron expression: {LONGEST_SCHEDULE} characters at most.")
    try:
        return next(CronSim(expression, after)) + timedelta(seconds=spread_key % spread_s)
    except CronSimError as exc:
        raise ScheduleError(
            f"“{shown}” is not a cron expression ({exc}). "
            "Write minute, hour, day of month, month and day of week, for example 0 */6 * * * for every six hours."
        ) from exc
    except StopIteration as exc:
        raise ScheduleError(f"“{shown}” never fires: no such date exists.") from exc
