"""Spans of time as people and pages give them: RFC 3339, or so much before now (pure)."""

import re
from typing import Final

from containers.rules.logresume import stamp_ns

_AGO: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SECOND: Final = 1_000_000_000


class SpanError(ValueError):
    """A time that cannot be read; the text says which and how to write it."""


def read_moment(name: str, text: str, now_ns: int) -> int | None:
    """Nanoseconds since 1970 of ``2026-11-24T10:42:03Z`` or ``15m``; None for empty text. Raises SpanError."""
    text = text.strip()
    if not text:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return max(0, now_ns - int(ago[1]) * _UNITS[ago[2]] * _SECOND)
    # "+" in a query string means a space.
    moment = stamp_ns(text.replace(" ", "+").encode("ascii", "replace"))
    if moment is None:
        raise SpanError(f"{name}: give a time such as 2026-11-24T10:42:03Z, or 15m, 6h, 2d for so long ago.")
    return moment


def read_whole(name: str, text: str, default: int, most: int) -> int:
    """A whole number from 0 to ``most``. Raises SpanError."""
    text = text.strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise SpanError(f"{name}: give a whole number.")
    return min(int(text), most)
