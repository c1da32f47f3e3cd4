"""Filters of the pages about people, read from the address."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from django.db.models import Q
from django.http import QueryDict
from django.utils.dateparse import parse_date

from ssm.accounts.models import AuditEntry
from ssm.accounts.querysets import AuditQuerySet
from ssm.lib.tables import Chip, Choice, chips, choice_of, text_of

DOORS: Final = [
    Choice("page", "Pages"),
    Choice("api", "API"),
    Choice("admin", "Administration"),
    Choice("system", "SSM itself"),
]
OUTCOMES: Final = [Choice("done", "Done"), Choice("refused", "Refused")]
AT_ONCE: Final = 1000
MOST_EXPORTED: Final = 200_000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What of the audit is shown."""

    q: str
    person: str
    kind: str
    door: str
    outcome: str
    since: str
    until: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From the address; what makes no sense is left out."""
        return cls(
            q=text_of(query, "q"),
            person=text_of(query, "person"),
            kind=text_of(query, "kind")[:60],
            door=choice_of(query, "door", [choice.value for choice in DOORS]),
            outcome=choice_of(query, "outcome", [choice.value for choice in OUTCOMES]),
            since=text_of(query, "since") if _day(text_of(query, "since")) else "",
            until=text_of(query, "until") if _day(text_of(query, "until")) else "",
        )

    def select(self, entries: AuditQuerySet) -> AuditQuerySet:
        """The entries that pass."""
        if self.q:
            named = Q(object_name__icontains=self.q) | Q(action__icontains=self.q) | Q(user_name__icontains=self.q)
            entries = entries.filter(named | Q(address__startswith=self.q) | Q(object_id=self.q))
        if self.person:
            entries = entries.filter(user_name=self.person)
        if self.kind:
            entries = entries.filter(action__startswith=f"{self.kind}.")
        if self.door:
            entries = entries.filter(door=self.door)
        if self.outcome:
            entries = entries.filter(outcome="") if self.outcome == "done" else entries.exclude(outcome="")
        if since := _day(self.since):
            entries = entries.filter(created_at__gte=since)
        if until := _day(self.until):
            entries = entries.filter(created_at__lt=until + timedelta(days=1))
        return entries

    def chips(self, query: QueryDict) -> list[Chip]:
        """What is filtered by, removable."""
        words = {choice.value: choice.text for choice in (*DOORS, *OUTCOMES)}
        return chips(
            query,
            (
                ("q", "Text", self.q),
                ("person", "Person", self.person),
                ("kind", "About", self.kind),
                ("door", "By", words.get(self.door, "")),
                ("outcome", "Outcome", words.get(self.outcome, "")),
                ("since", "From", self.since),
                ("until", "Until", self.until),
            ),
        )


def _day(text: str) -> datetime | None:
    """The beginning of a day (ISO) in UTC; None for anything else."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None


def facts(entry: AuditEntry) -> dict[str, Any]:
    """An entry as plain data, for files and the API."""
    return {
        "id": entry.pk,
        "time": entry.created_at.isoformat(),
        "user": entry.user_name,
        "door": entry.door,
        "token": entry.token_name,
        "address": entry.address,
        "user_agent": entry.user_agent,
        "action": entry.action,
        "object_kind": entry.object_kind,
        "object_id": entry.object_id,
        "object_name": entry.object_name,
        "before": entry.before,
        "after": entry.after,
        "outcome": entry.outcome,
    }


def pieces(entries: AuditQuerySet) -> Iterator[list[AuditEntry]]:
    """The entries, newest first, a thousand at a time: nothing more is held. One query each."""
    last = None
    for _piece in range(MOST_EXPORTED // AT_ONCE):
        rows = list((entries.filter(pk__lt=last) if last else entries).order_by("-pk")[:AT_ONCE])
        if rows:
            yield rows
            last = rows[-1].pk
        if len(rows) < AT_ONCE:
            return
