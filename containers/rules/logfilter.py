"""Which lines of a log are wanted: text or RE2 patterns to find and to leave out, and the stream (pure).

Patterns run in RE2, whose time is linear in the line, so that neither a pattern nor a line can hold up anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import re2

LONGEST_QUERY: Final = 300
_YES: Final = ("1", "true", "on")
Test = Callable[[str], bool]


class LineFilterError(ValueError):
    """A filter that cannot be used; ``field`` is the parameter, the text says why."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


@dataclass(frozen=True, slots=True)
class LineFilter:
    """``stream`` is stdout, stderr or empty for both; ``keeps`` judges a line's text, None keeps all."""

    stream: str = ""
    keeps: Test | None = None

    def takes(self, mark: bytes, text: bytes) -> bool:
        """Whether a record with this mark (see logframes) and text passes."""
        if self.stream and mark.lower() != (b"o" if self.stream == "stdout" else b"e"):
            return False
        return self.keeps is None or self.keeps(text.decode("utf-8", "replace"))


def read_filter(query: Mapping[str, str]) -> LineFilter:
    """A filter from ``q``, ``exclude``, ``pattern`` (both are RE2), ``case`` (it counts) and ``stream``.

    ``q`` with "!" in front leaves lines out too. Raises LineFilterError.
    """
    stream = query.get("stream", "")
    if stream not in ("", "stdout", "stderr"):
        raise LineFilterError("stream", "give stdout or stderr, or leave it out for both.")
    is_pattern, has_case = query.get("pattern", "") in _YES, query.get("case", "") in _YES
    wanted, unwanted = query.get("q", ""), query.get("exclude", "")
    tests: list[Test] = []
    if wanted.startswith("!") and len(wanted) > 1:
        tests.append(_negated(_test("q", wanted[1:], is_pattern=is_pattern, has_case=has_case)))
    elif wanted:
        tests.append(_test("q", wanted, is_pattern=is_pattern, has_case=has_case))
    if unwanted:
        tests.append(_negated(_test("exclude", unwanted, is_pattern=is_pattern, has_case=has_case)))
    if not tests:
        return LineFilter(stream)
    if len(tests) == 1:
        return LineFilter(stream, tests[0])
    first, second = tests
    return LineFilter(stream, lambda line: first(line) and second(line))


def _negated(test: Test) -> Test:
    return lambda line: not test(line)


def _test(field: str, text: str, *, is_pattern: bool, has_case: bool) -> Test:
    if len(text) > LONGEST_QUERY:
        raise LineFilterError(field, f"at most {LONGEST_QUERY} characters.")
    if not is_pattern:
        if has_case:
            return lambda line: text in line
        needle = text.lower()
        return lambda line: needle in line.lower()
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = has_case
    options.max_mem = 4 << 20
    try:
        pattern = re2.compile(text, options=options)
    except re2.error as exc:
        reason = exc.args[0] if exc.args else ""
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise LineFilterError(field, f"not a regular expression: {said[:200]}.") from exc
    return lambda line: pattern.search(line) is not None
