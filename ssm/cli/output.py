"""What commands print: tables for people, JSON for programs; everything else goes to standard error."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from ssm.cli.text import cut, plain, width

GOOD: Final = "32"
BAD: Final = "31"
WARN: Final = "33"
QUIET: Final = "2"
BOLD: Final = "1"
COLOURS: Final = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
_STATES: Final = {
    **dict.fromkeys(("running", "healthy", "online", "succeeded", "good", "ok", "up to date"), GOOD),
    **dict.fromkeys(("unhealthy", "dead", "unreachable", "failed", "lost", "damaged", "error"), BAD),
    **dict.fromkeys(("restarting", "paused", "starting", "queued", "connecting", "cancelled", "unknown"), WARN),
    **dict.fromkeys(("exited", "created", "disabled"), QUIET),
}
# Pages of tables wrap where they must; below this nothing can be read any more.
_NARROWEST: Final = 8


@dataclass(frozen=True, slots=True)
class Output:
    """Where to print, in which form."""

    as_json: bool
    colours: bool
    out: TextIO
    err: TextIO

    @classmethod
    def of(cls, *, as_json: bool, colour: str) -> "Output":
        """As the options say; ``auto``: colours only at a terminal, and never with NO_COLOR."""
        wishes = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()
        return cls(as_json, colour == "always" or (colour == "auto" and wishes), sys.stdout, sys.stderr)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it, rather than a program."""
        return self.out.isatty()

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, if there are any."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colours and text and colour else text

    def state(self, word: object) -> str:
        """A state in its colour."""
        text = plain(word, 2000)
        return self.paint(text, _STATES.get(text.split(" (")[0], ""))

    def line(self, text: str) -> None:
        """A line of what was asked for. It is printed as it is: clean what comes from elsewhere."""
        self.out.write(f"{text}\n")

    def flush(self) -> None:
        """Have it seen now."""
        self.out.flush()

    def say(self, text: str) -> None:
        """A line about what happens, to standard error."""
        self.err.write(f"{text}\n")
        self.err.flush()

    def json(self, value: Any) -> None:
        """A value for programs: indented at a terminal; escaped beyond ASCII, so nothing in it acts on one."""
        self.line(json.dumps(value, indent=2 if self.is_terminal else None, ensure_ascii=True))

    def object_line(self, value: Any) -> None:
        """One object of a stream."""
        self.line(json.dumps(value, ensure_ascii=True, separators=(",", ":")))
        self.flush()

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str]], *, flexible: int = 0) -> None:
        """Columns below their titles. At a terminal too narrow for it, the column `flexible` gives way.

        Cells are cleaned here; a cell may be a state, which is painted.
        """
        cells = [[plain(cell, 500) for cell in row] for row in rows]
        widths = [max(map(width, column)) for column in zip(titles, *cells, strict=True)]
        if self.is_terminal:
            surplus = sum(widths) + 2 * (len(widths) - 1) - shutil.get_terminal_size((120, 24)).columns
            widths[flexible] = max(_NARROWEST, widths[flexible] - max(0, surplus))
        self.line(self.paint(_row(titles, widths), BOLD))
        for row in cells:
            short = [
                cut(cell, most) if place == flexible else cell
                for place, (cell, most) in enumerate(zip(row, widths, strict=True))
            ]
            painted = [self.state(cell) if cell.split(" (")[0] in _STATES else cell for cell in short]
            padding = [" " * max(0, most - width(cell)) for cell, most in zip(short, widths, strict=True)]
            self.line("  ".join(f"{cell}{gap}" for cell, gap in zip(painted, padding, strict=True)).rstrip())

    def pairs(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Names and values below each other; those without a value are left out."""
        shown = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
        longest = max((width(name) for name, _value in shown), default=0)
        for name, value in shown:
            told = ", ".join(plain(one) for one in value) if isinstance(value, list) else plain(value)
            self.line(f"{self.paint(name, QUIET)}{' ' * (longest - width(name) + 2)}{self.state(told)}")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{most}}" for cell, most in zip(cells, widths, strict=True)).rstrip()


def size(count: object) -> str:
    """Bytes as people say them; empty where they are not known."""
    if not isinstance(count, int | float):
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def percent(value: object) -> str:
    """A share; empty where it is not known."""
    return f"{value:.1f} %" if isinstance(value, int | float) else ""


def moment(text: object) -> datetime | None:
    """A time that SSM tells."""
    try:
        told = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def age(text: object) -> str:
    """How long ago; empty where it is not known."""
    then = moment(text)
    return span((datetime.now(UTC) - then).total_seconds()) if then else ""


def span(seconds: float) -> str:
    """A length of time in its largest unit or two: 45s, 12m, 3h 20m, 9d."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        hours, minutes = whole // 3600, whole % 3600 // 60
        return f"{hours}h {minutes}m" if hours < 10 and minutes else f"{hours}h"
    return f"{whole // 86_400}d"


def local(text: object) -> str:
    """A time as the clock on the wall has it."""
    then = moment(text)
    return then.astimezone().strftime("%Y-%m-%d %H:%M:%S") if then else plain(text, 40)


def name_of(row: Mapping[str, Any]) -> str:
    """``device/name`` of a row that is on a device."""
    device = row.get("device") or {}
    return f"{device.get('name', '')}/{row.get('name', '')}"
