"""Texts of strangers at a terminal: names, log lines and errors cannot move its cursor, or hide what stands there."""

import re
import unicodedata
from typing import Final

# C0 and C1 controls, line and paragraph separators, what turns the direction of text, what cannot be seen.
_HARMFUL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]{0,40}m")
_RESET: Final = "\x1b[0m"
_WIDE: Final = frozenset("WF")


def plain(text: object, limit: int = 4000) -> str:
    r"""The text on one line, with what a terminal would act on shown as ``\x1b`` or ``\u202e``."""
    told = str(text)
    return _HARMFUL.sub(_shown, told if len(told) <= limit else told[:limit] + "…")


def plain_lines(text: object) -> str:
    """The same with its line breaks: for texts of several lines, where each line is told as the program's."""
    return "\n".join(plain(line) for line in str(text).split("\n"))


def log_text(text: str, *, colours: bool) -> str:
    """A line of a log: tabs stay; its colours too where they are wished, and end with the line."""
    if not colours:
        return _without_escapes(_COLOUR.sub("", text))
    pieces, end = [], 0
    for match in _COLOUR.finditer(text):
        pieces += [_without_escapes(text[end : match.start()]), match[0]]
        end = match.end()
    pieces.append(_without_escapes(text[end:]))
    return "".join(pieces) + (_RESET if end else "")


def width(text: str) -> int:
    """Columns that the text takes at a terminal."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in _WIDE else 1
        for letter in text
    )


def cut(text: str, most: int) -> str:
    """The text in at most so many columns, the last one an ellipsis where something is missing."""
    if width(text) <= most:
        return text
    kept, taken = [], 0
    for letter in text:
        taken += width(letter)
        if taken > most - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def _without_escapes(text: str) -> str:
    return "\t".join(_HARMFUL.sub(_shown, piece) for piece in text.split("\t"))


def _shown(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
