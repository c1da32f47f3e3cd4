"""Cron expressions: check them, and tell the next run."""

from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

from devices.rules.texts import clean_text

DEFAULT_SWEEP_SCHEDULE = "0 * * * *"
DEFAULT_STATISTICS_SCHEDULE = "* * * * *"
DEFAULT_UPDATE_SCHEDULE = "0 */6 * * *"
# A run that is later than this is left out if the next one is nearer than that.
LATE = timedelta(minutes=1)
NEAR = timedelta(minutes=2)
# That of its column.
LONGEST_SCHEDULE = 100


class ScheduleError(ValueError):
    """A cron expression that cannot be used; its text says why."""


def check_schedule(expression: str, start: datetime) -> list[datetime]:
    """The next three run times after ``start`` (aware, and in its zone).

    Raises ScheduleError when the expression is wrong or never fires. Syntax and daylight-saving rules are those
    of Debian's cron, as the package cronsim implements them.
    """
    shown = clean_text(expression, 100)
    if len(expression) > LONGEST_SCHEDULE:
        raise ScheduleError(f"“{shown}” is too long for a cron expression: {LONGEST_SCHEDULE} characters at most.")
    try:
        runs = CronSim(expression, start)
        return [next(runs) for _ in range(3)]
    except CronSimError as exc:
        raise ScheduleError(
            f"“{shown}” is not a cron expression ({exc}). "
            "Write minute, hour, day of month, month and day of week, for example 0 * * * * for every hour."
        ) from exc
    except StopIteration as exc:
        raise ScheduleError(f"“{shown}” never fires: no such date exists.") from exc


def next_run(expression: str, after: datetime, *, spread_key: int, spread_s: int = 60) -> datetime:
    """The next run after ``after``, moved by a stable 0 to ``spread_s`` - 1 seconds of the device's own.

    ``spread_key`` is any number that stays with the device: with it a thousand hourly devices do not all start
    in the same second. Raises ScheduleError.
    """
    spread = timedelta(seconds=spread_key % spread_s)
    return check_schedule(expression, after - spread)[0] + spread


def is_left_out(due_at: datetime | None, moment: datetime, planned: datetime) -> bool:
    """Whether a run that should have been at ``due_at`` is too late at ``moment``, as the next one is near.

    So that what is due each minute is not done twice in a row for a host that was away, while a check that is due
    every six hours is made up for.
    """
    return due_at is not None and moment - due_at > LATE and planned - moment < NEAR
