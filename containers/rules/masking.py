"""Keep secrets of containers out of what is stored in clear and shown: what a name gives away is masked."""

import re
from typing import Any, Final

MASK: Final = "••••••"
# A label or an argument may be 1 MB long; nobody reads that, and every row would carry it.
MAX_STRING: Final = 8192
MAX_DEPTH: Final = 24

_WORDS: Final = r"passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|access_?key|credential|auth\b|basicauth"
_NAME: Final = re.compile(rf"(?i)(?:{_WORDS}|pwd|\bpass\b|_pass\b)")
_ASSIGNMENT: Final = re.compile(rf"(?i)([\w.-]*(?:{_WORDS})[\w.-]*\s*[=:]\s*)(\S+)")
_FLAG: Final = re.compile(rf"(?i)--?[\w-]*(?:{_WORDS})[\w-]*")
_URL_PASSWORD: Final = re.compile(r"([a-z][a-z0-9+.-]{0,20}://[^/\s:@]{0,256}:)([^@/\s]{1,512})(@)")


def clean_text(text: str, limit: int = MAX_STRING) -> str:
    """Text that PostgreSQL can store: NUL and lone surrogates become U+FFFD; cut at ``limit`` characters."""
    text = text[: limit + 1].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[:limit] + "… (cut)"


def is_secret_name(name: str) -> bool:
    """Whether a label or variable of this name is likely to hold a secret."""
    return bool(_NAME.search(name))


def mask_text(text: str) -> str:
    """Mask values behind telling names (``--password=x``, ``TOKEN: x``) and passwords in URLs."""
    text = _URL_PASSWORD.sub(rf"\1{MASK}\3", clean_text(text))
    return _ASSIGNMENT.sub(rf"\1{MASK}", text)


def mask_variable(assignment: str) -> str:
    """``NAME=value`` with the value masked, whatever the name: environments are secret by default."""
    name, equals, _value = assignment.partition("=")
    return clean_text(name) + equals + (MASK if equals else "")


def masked(value: Any, depth: int = 0) -> Any:
    """A JSON value with secrets masked and strings bounded; deeper than 24 levels becomes a note.

    Strings under a telling key are masked whole; a list under ``Env`` keeps the names of its variables; an
    argument that follows a telling flag (``--token x``) is masked.
    """
    if depth > MAX_DEPTH:
        return "… (too deep)"
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key), 512): _masked_entry(str(key), item, depth) for key, item in value.items()}
    if isinstance(value, list):
        result = []
        follows_flag = False
        for item in value:
            if follows_flag and isinstance(item, str) and not item.startswith("-"):
                result.append(MASK)
                follows_flag = False
                continue
            result.append(masked(item, depth + 1))
            follows_flag = isinstance(item, str) and bool(_FLAG.fullmatch(item))
        return result
    return value


def _masked_entry(key: str, item: Any, depth: int) -> Any:
    if key == "Env" and isinstance(item, list):
        return [mask_variable(str(entry)) for entry in item]
    if isinstance(item, str) and item and is_secret_name(key):
        return MASK
    return masked(item, depth + 1)
