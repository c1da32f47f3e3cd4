"""Reading what registries say about limits: quota headers, and when to come back (pure)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

# "100;w=21600": 100 in a window of six hours.
_AMOUNT = re.compile(r"\s*([0-9]{1,12})\s*(?:;\s*w\s*=\s*([0-9]{1,9})\s*)?(?:[;,].*)?")
# One registry sends parts of a millisecond, which is an invitation to be banned.
SHORTEST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 24 * 3600.0
_UNKNOWN_WAITS_S: Final = (60.0, 300.0, 900.0, 3600.0)


def parse_amount(text: str) -> tuple[int, int | None] | None:
    """Amount and window in seconds out of a ratelimit header; None when it is not of that form."""
    match = _AMOUNT.fullmatch(text)
    if not match:
        return None
    return int(match[1]), int(match[2]) if match[2] else None


def wait_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by Retry-After (seconds or date) or X-Retry-After (Unix time); None when nothing is said.

    Between one second and a day. ``headers`` have lower-case names; ``now`` is Unix time.
    """
    wait = None
    if text := headers.get("retry-after", "").strip():
        wait = _seconds(text)
        if wait is None:
            wait = _until(text, now)
    elif text := headers.get("x-retry-after", "").strip():
        at = _seconds(text)
        # Small numbers are seconds by people who misread their own documentation.
        wait = None if at is None else (at - now if at > 1e8 else at)
    return None if wait is None else min(max(wait, SHORTEST_WAIT_S), LONGEST_WAIT_S)


def unknown_wait_seconds(refusals: int) -> float:
    """How long to leave a registry alone that refuses without saying for how long, by refusals in a row (1, 2, …)."""
    return _UNKNOWN_WAITS_S[min(max(refusals, 1), len(_UNKNOWN_WAITS_S)) - 1]


def is_low(limit: int, remaining: int) -> bool:
    """Whether so little is left that looking stops, to keep it for real pulls.

    Less than a tenth or less than ten; of a small limit a fifth, as ten would be all of it.
    """
    return remaining < max(limit / 10, min(10, limit / 5))


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,12})?", text) else None


def _until(text: str, now: float) -> float | None:
    try:
        at = parsedate_to_datetime(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return (at - datetime.fromtimestamp(now, UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
