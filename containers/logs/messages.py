"""What goes over a log socket.

Server to browser: text messages are JSON, one of the types below. Lines come in binary messages: one JSON line
(`LinesHead`), then ``count`` records as `containers.rules.logframes` describes them.
"""

import json
from typing import Any, Literal, NotRequired, TypedDict

from ssm.lib.errors import SsmError


class StateMessage(TypedDict):
    """How the log's source stands. ``live`` follows; ``offline`` tries again at ``retry_at`` (Unix seconds)."""

    type: Literal["state"]
    state: Literal["connecting", "live", "stopped", "offline", "unreadable", "removed"]
    message: str
    fix: str
    retry_at: NotRequired[float]


class OpenedMessage(TypedDict):
    """Answer to `OpenCommand`. The next record sent has number ``first``; numbers are valid within one ``epoch``.

    ``continued`` is True when ``first`` follows exactly on what the browser said it holds.
    """

    type: Literal["opened"]
    epoch: str
    first: int
    continued: bool
    acknowledge_bytes: int


class MarkerMessage(TypedDict):
    """Something that happened between two lines.

    ``gap``: the connection was lost at ``lost_at`` and is back since ``at``; ``complete`` False when the Engine's log
    no longer reached back to the last line seen. Times are RFC 3339 text.
    """

    type: Literal["marker"]
    kind: Literal["gap", "started", "stopped", "recreated", "removed"]
    text: str
    at: NotRequired[str]
    lost_at: NotRequired[str]
    complete: NotRequired[bool]


class SkippedMessage(TypedDict):
    """``count`` records from number ``first`` on were not sent, because the viewer was slower than the log."""

    type: Literal["skipped"]
    first: int
    count: int


class LinesHead(TypedDict):
    """First line of a binary message. Numbers rise by one per record and epoch; those of a page are below 0.

    ``at_start`` is given with an ``older`` page: True when nothing precedes it.
    """

    type: Literal["lines", "older"]
    first: int
    count: int
    at_start: NotRequired[bool]


class ErrorMessage(TypedDict):
    """A command that could not be carried out; the stream goes on."""

    type: Literal["error"]
    of: str
    message: str
    fix: str


ServerMessage = StateMessage | OpenedMessage | MarkerMessage | SkippedMessage | ErrorMessage


class OpenCommand(TypedDict):
    """First message of the browser. ``tail``: lines wanted at once, "all" from the log's beginning.

    After a lost socket ``epoch`` and ``next`` name the record after the last one held.
    """

    type: Literal["open"]
    tail: NotRequired[int | Literal["all"]]
    epoch: NotRequired[str]
    next: NotRequired[int]


class AcknowledgeCommand(TypedDict):
    """``bytes``: all bytes of binary messages taken in since the socket opened."""

    type: Literal["ack"]
    bytes: int


class OlderCommand(TypedDict):
    """Asks for lines before the oldest one held.

    ``before`` is its number; ``edge`` tells the first few held lines, each as timestamp, space, and up to 60
    characters of its text, as far as they are plain ASCII.
    """

    type: Literal["older"]
    before: int
    edge: list[str]
    count: int


class RetryCommand(TypedDict):
    """Asks to try an unreachable host at once."""

    type: Literal["retry"]


ClientCommand = OpenCommand | AcknowledgeCommand | OlderCommand | RetryCommand


def encode_text(message: ServerMessage) -> str:
    """The text of a JSON message."""
    return json.dumps(message, separators=(",", ":"))


def encode_lines(head: LinesHead, *records: bytes) -> bytes:
    """A binary message."""
    return b"".join((json.dumps(head, separators=(",", ":")).encode(), b"\n", *records))


def error_message(command: str, error: SsmError) -> ErrorMessage:
    """The message for a command that failed."""
    return {"type": "error", "of": command, "message": error.message, "fix": error.fix}


def decode_command(text: str) -> dict[str, Any] | None:
    """A command's fields, None if the text is no command. Fields are not checked yet."""
    try:
        command = json.loads(text)
    except ValueError:
        return None
    return command if isinstance(command, dict) and isinstance(command.get("type"), str) else None
