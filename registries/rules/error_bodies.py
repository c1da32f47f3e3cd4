"""What a registry says in the body of an error (pure; OCI distribution specification, "Error Codes")."""

import json
import re
from dataclasses import dataclass

from registries.rules.texts import clean_text

_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{0,300})</title>", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class RegistryMessage:
    """``code`` as in the specification (empty when there is none) and one clean line for people."""

    code: str = ""
    text: str = ""


def parse_error(raw: bytes) -> RegistryMessage:
    """The first error of a body in any of the forms that registries and what stands before them send."""
    raw = raw[:65_536]
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return _from_text(raw)
    if not isinstance(body, dict):
        return RegistryMessage(text=clean_text(body) if isinstance(body, str) else "")
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else body
    if not isinstance(first, dict):
        return RegistryMessage(text=clean_text(first) if isinstance(first, str) else "")
    code = first.get("code") or body.get("__type") or ""
    code = str(code).rpartition("#")[2] if isinstance(code, str) else ""
    text = ""
    for name in ("message", "Message", "details", "error_description", "error", "detail"):
        if isinstance(value := first.get(name), str) and value:
            text = clean_text(value)
            break
    return RegistryMessage(code if _CODE.fullmatch(code) else "", text)


def _from_text(raw: bytes) -> RegistryMessage:
    if raw.lstrip()[:1] == b"<":
        title = _TITLE.search(raw)
        return RegistryMessage(text=clean_text(title[1]) if title else "")
    return RegistryMessage(text=clean_text(raw))
