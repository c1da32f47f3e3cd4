"""Keep secrets of containers out of what is stored in clear and shown: what a name gives away is masked.

Every pattern here runs in linear time: labels and arguments come from whoever started the container.
"""

import math
import re
from typing import Any, Final

MASK: Final = "••••••"
# A label or an argument may be 1 MB long; nobody reads that, and every row would carry it.
MAX_STRING: Final = 8192
MAX_DEPTH: Final = 24
# No honest inspect answer has that many values; a page that shows them would not open.
MAX_ITEMS: Final = 5000
MAX_NAME: Final = 512

# What PostgreSQL cannot hold in text or JSON: NUL, and halves of a pair that JSON can escape but UTF-8 cannot hold.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_WORDS: Final = (
    r"passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|credential|"
    r"auth(?:orization)?(?![a-z])|basicauth"
)
_NAME: Final = re.compile(rf"(?i)(?:{_WORDS}|pwd|\bpass\b|_pass\b)")
_TELLING: Final = re.compile(rf"(?i)(?:{_WORDS})")
# Possessive quantifiers, and only at the beginning of a word: without them a long word costs its length squared.
_ASSIGNMENT: Final = re.compile(r"(?<![\w.-])([\w.-]++)[\"']?\s*+[=:]\s*+")
_VALUE: Final = re.compile(r"(?:(?:bearer|basic|token)\s++)?(?:\"[^\"]{0,1000}+\"|'[^']{0,1000}+'|\S++)", re.IGNORECASE)
_FLAG: Final = re.compile(r"--?[\w-]{1,200}")
_URL_PASSWORD: Final = re.compile(r"(?i)([a-z][a-z0-9+.-]{0,20}://[^/\s:@]{0,256}:)([^@/\s]{1,512})(@)")


def clean_text(text: str, limit: int = MAX_STRING) -> str:
    """Text that PostgreSQL can store: NUL and lone surrogates become U+FFFD; cut at ``limit`` characters."""
    text = _UNSTORABLE.sub("\ufffd", text[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "… (cut)"


def scalar_text(value: Any) -> str:
    """Text of a JSON string, number or boolean, not cleaned yet; empty for null, lists and objects."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else ""


def is_secret_name(name: str) -> bool:
    """Whether a label or variable of this name is likely to hold a secret."""
    return bool(_NAME.search(name[:MAX_NAME]))


def mask_text(text: str) -> str:
    """Mask values behind telling names (``--password=x``, ``TOKEN: x``) and passwords in URLs."""
    text = _URL_PASSWORD.sub(rf"\1{MASK}\3", clean_text(text))
    parts = []
    done = 0
    for assignment in _ASSIGNMENT.finditer(text):
        if assignment.start() < done or not _TELLING.search(assignment[1]):
            continue
        value = _VALUE.match(text, assignment.end())
        if value is not None:
            parts += [text[done : assignment.end()], MASK]
            done = value.end()
    return "".join([*parts, text[done:]])


def mask_variable(assignment: str) -> str:
    """``NAME=value`` with the value masked, whatever the name: environments are secret by default."""
    name, equals, _value = assignment.partition("=")
    return clean_text(name) + equals + (MASK if equals else "")


def masked(value: Any, depth: int = 0) -> Any:
    """A JSON value with secrets masked, strings and lists bounded; deeper than 24 levels becomes a note.

    Whatever stands under a telling key is masked; a list under ``Env`` keeps the names of its variables; an
    argument that follows a telling flag (``--token x``) is masked. Numbers that JSON does not know (NaN) become text.
    """
    if depth > MAX_DEPTH:
        return "… (too deep)"
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        entries = list(value.items())[:MAX_ITEMS]
        return {clean_text(str(key), MAX_NAME): _masked_entry(str(key), item, depth) for key, item in entries}
    if isinstance(value, list):
        return _masked_list(value[:MAX_ITEMS], depth)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _masked_list(values: list[Any], depth: int) -> list[Any]:
    result = []
    follows_flag = False
    for item in values:
        if follows_flag and isinstance(item, str) and not item.startswith("-"):
            result.append(MASK)
            follows_flag = False
            continue
        result.append(masked(item, depth + 1))
        follows_flag = isinstance(item, str) and bool(_FLAG.fullmatch(item)) and bool(_TELLING.search(item))
    return result


def _masked_entry(key: str, item: Any, depth: int) -> Any:
    if key == "Env" and isinstance(item, list):
        return [mask_variable(scalar_text(entry)) for entry in item[:MAX_ITEMS]]
    if is_secret_name(key):
        return _masked_whole(item, depth)
    return masked(item, depth + 1)


def _masked_whole(item: Any, depth: int) -> Any:
    """The value under a telling key: its shape stays, every text and number in it goes."""
    if isinstance(item, dict | list) and item and depth <= MAX_DEPTH:
        if isinstance(item, list):
            return [_masked_whole(entry, depth + 1) for entry in item[:MAX_ITEMS]]
        entries = list(item.items())[:MAX_ITEMS]
        return {clean_text(str(key), MAX_NAME): _masked_whole(entry, depth + 1) for key, entry in entries}
    return item if item is None or isinstance(item, bool) or item in ("", [], {}) else MASK
