"""Which span of time a statistics page shows, as its address holds it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from django.http import QueryDict

from devices.models import now

SHORTEST_S: Final = 60
LONGEST_S: Final = 400 * 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time that ends now."""

    key: str
    text: str
    words: str
    seconds: int


SPANS: Final = (
    Span("1h", "1 h", "the last hour", 3_600),
    Span("6h", "6 h", "the last 6 hours", 6 * 3_600),
    Span("24h", "24 h", "the last 24 hours", 86_400),
    Span("7d", "7 d", "the last 7 days", 7 * 86_400),
    Span("30d", "30 d", "the last 30 days", 30 * 86_400),
)
_BY_KEY: Final = {span.key: span for span in SPANS}


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown: a span until now, or a part of it that somebody zoomed into (``is_zoomed``)."""

    span: Span
    start: datetime
    end: datetime
    is_zoomed: bool

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From ``span`` (of `SPANS`) and, for a part, ``from`` and ``to`` (Unix seconds); odd ones are ignored."""
        moment = now()
        span = _BY_KEY.get(query.get("span", ""), SPANS[0])
        start, end = _seconds(query.get("from", "")), _seconds(query.get("to", ""))
        if start is not None and end is not None:
            end = min(end, int(moment.timestamp()) + 1)
            if SHORTEST_S <= end - start <= LONGEST_S:
                return cls(span, datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC), is_zoomed=True)
        return cls(span, moment - timedelta(seconds=span.seconds), moment, is_zoomed=False)

    @property
    def bounds(self) -> tuple[int, int]:
        """Beginning and end in Unix seconds."""
        return int(self.start.timestamp()), int(self.end.timestamp())


def _seconds(text: str) -> int | None:
    """Unix seconds between 2001 and 2286, else None."""
    return int(text) if len(text) == 10 and text.isascii() and text.isdecimal() else None
