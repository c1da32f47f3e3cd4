"""Which backups of a plan are kept: the last ones, and the last of each day, week and month (pure)."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Retention:
    """How many are kept by each rule; one that any rule keeps stays. Zero: the rule keeps none."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @property
    def keeps_all(self) -> bool:
        """Whether no rule is set: then nothing is ever deleted."""
        return not (self.last or self.daily or self.weekly or self.monthly)

    def in_words(self) -> str:
        """The rules as a person reads them."""
        if self.keeps_all:
            return "all"
        parts = [
            (self.last, "the last {}", "the last one"),
            (self.daily, "{} daily", "1 daily"),
            (self.weekly, "{} weekly", "1 weekly"),
            (self.monthly, "{} monthly", "1 monthly"),
        ]
        return ", ".join((one if count == 1 else many.format(count)) for count, many, one in parts if count)


def _day(moment: datetime) -> Hashable:
    return moment.astimezone(UTC).date()


def _week(moment: datetime) -> Hashable:
    return moment.astimezone(UTC).isocalendar()[:2]


def _month(moment: datetime) -> Hashable:
    return moment.astimezone(UTC).year, moment.astimezone(UTC).month


def expired(backups: Iterable[tuple[Key, datetime]], retention: Retention) -> list[Key]:
    """Keys of the backups (key, time made) that no rule keeps, the oldest first. The newest is never among them.

    Days, weeks (ISO 8601) and months are those of UTC. A rule counts only those that have a backup: three daily ones
    are the last of the three last days on which any was made.
    """
    ordered = sorted(backups, key=lambda item: item[1], reverse=True)
    if retention.keeps_all or not ordered:
        return []
    kept = {ordered[0][0], *(key for key, _made in ordered[: retention.last])}
    rules: list[tuple[int, Callable[[datetime], Hashable]]] = [
        (retention.daily, _day),
        (retention.weekly, _week),
        (retention.monthly, _month),
    ]
    for count, period_of in rules:
        periods: dict[Hashable, Key] = {}
        for key, made in ordered:
            periods.setdefault(period_of(made), key)
        kept |= set(list(periods.values())[:count])
    return [key for key, _made in reversed(ordered) if key not in kept]
