"""Patterns that labels hold: RE2, so that no pattern and no tag can make the search slow. Pure."""

from functools import lru_cache
from typing import Any, Final

import re2

MAX_LENGTH: Final = 1024
# Of a compiled pattern; a greedy one is refused instead of filling the memory.
_MAX_BYTES: Final = 1 << 20


class InvalidPatternError(ValueError):
    """A pattern that cannot be used; the text says why in a sentence."""


@lru_cache(maxsize=2000)
def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Any:
    """A compiled RE2 pattern. Raises InvalidPatternError."""
    if len(pattern) > MAX_LENGTH:
        raise InvalidPatternError(f"It has {len(pattern)} characters; {MAX_LENGTH} are allowed.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_BYTES
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as exc:
        raise InvalidPatternError(_sentence(exc)) from exc


def _sentence(exc: Exception) -> str:
    reason = exc.args[0] if exc.args else ""
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    if text.startswith("invalid perl operator"):
        return f"RE2 has no look-ahead, look-behind or back-references ({text[:100]})."
    return f"It is not a valid RE2 pattern: {text[:120] or 'unreadable'}."


def is_quoted(pattern: str) -> bool:
    """Whether it begins and ends with a quote: nearly always one of YAML too many."""
    return len(pattern) > 1 and pattern[0] == pattern[-1] and pattern[0] in "\"'"
