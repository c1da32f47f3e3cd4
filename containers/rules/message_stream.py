"""The engine's answers that come as JSON messages, one a line, while it works: pulls and loads. Pure.

Such an answer begins with HTTP status 200 whatever comes of it, so a failure stands in a message (``JSONMessage`` of
the Docker Engine, the same in API 1.41 to 1.51 and in podman's compatible answers).
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from containers.rules.masking import clean_text

# No honest message is longer; what an attacker sends is skipped to the end of its line.
LONGEST_LINE: Final = 64 * 1024
_LONGEST_TEXT: Final = 2000


class MessageReader:
    """Cuts a stream of bytes into its messages; lines that are too long or no JSON objects are left out."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        """The messages that these bytes complete."""
        found: list[Mapping[str, Any]] = []
        *whole, last = data.split(b"\n")
        for piece in whole:
            self._append(piece)
            if not self._is_skipping:
                found += _message(bytes(self._rest))
            self._rest.clear()
            self._is_skipping = False
        self._append(last)
        return found

    def end(self) -> list[Mapping[str, Any]]:
        """The message that no line break follows, if there is one."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [] if self._is_skipping else _message(rest)

    def _append(self, piece: bytes) -> None:
        if len(self._rest) + len(piece) > LONGEST_LINE:
            self._rest.clear()
            self._is_skipping = True
        if not self._is_skipping:
            self._rest += piece


def _message(line: bytes) -> list[Mapping[str, Any]]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [value] if isinstance(value, dict) else []


def message_error(message: Mapping[str, Any]) -> str:
    """Why the engine gave up, if this message says so; else empty."""
    detail = message.get("errorDetail")
    told = detail.get("message") if isinstance(detail, dict) else None
    for text in (told, message.get("error")):
        if isinstance(text, str) and text.strip():
            return clean_text(text.strip(), _LONGEST_TEXT)
    return ""


def message_text(message: Mapping[str, Any]) -> str:
    """What it says for people to read: a status or a line of output, without the line break."""
    for key in ("status", "stream"):
        text = message.get(key)
        if isinstance(text, str) and text.strip():
            return clean_text(text.strip(), _LONGEST_TEXT)
    return ""
