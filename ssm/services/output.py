"""Lines of many processes on one terminal, each with the name of its process in front; or each as a JSON object."""

import json
import os
import re
from datetime import UTC, datetime
from typing import TextIO

from ssm.lib.env import env_str

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95)
MESSAGE_NAME = "ssm"
# Longer lines are continued on the next one, so that no process can make us hold more than this.
LONGEST_LINE_BYTES = 8192
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Output:
    """Writes whole lines; colours only on a terminal and without NO_COLOR. `broken` once the reader left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, int] = {}
        self._as_json = env_str("SSM_LOG_FORMAT", "line").lower() == "json"
        self.broken = False

    def line(self, name: str, text: str) -> None:
        """One line of process `name`; control characters (container names reach our logs) become escapes."""
        if self._as_json:
            self._write(_as_object(name, text.rstrip("\r\n")) + "\n")
            return
        clean = CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text.rstrip("\r\n"))
        prefix = f"{name:<8} | "
        if self._coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self._write(f"{prefix}{clean}\n")

    def message(self, text: str) -> None:
        """One line of our own."""
        self.line(MESSAGE_NAME, text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, OSError):
            # A closed terminal must end SSM in order, not with a traceback.
            self.broken = True


class LineBuffer:
    """Cuts the bytes of one process into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete by now; a line over 8 KiB comes in pieces."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LONGEST_LINE_BYTES:
            lines.append(self._rest[:LONGEST_LINE_BYTES])
            self._rest = self._rest[LONGEST_LINE_BYTES:]
        return [piece.decode(errors="replace") for line in lines for piece in _pieces(line)]

    def end(self) -> list[str]:
        """The last line, when it came without a newline."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest else []


def _as_object(name: str, text: str) -> str:
    """A line that is an object already as it is; what others write, such as PostgreSQL, as one of ours."""
    if text.startswith("{") and text.endswith("}"):
        try:
            json.loads(text)
        except ValueError:
            pass
        else:
            return text
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = {"time": moment, "level": "INFO", "logger": "output", "message": text, "process": name}
    return json.dumps(told, separators=(",", ":"))


def _pieces(line: bytes) -> list[bytes]:
    """The line in parts of at most 8 KiB; an empty line is one empty part."""
    return [line[at : at + LONGEST_LINE_BYTES] for at in range(0, len(line), LONGEST_LINE_BYTES)] or [b""]
