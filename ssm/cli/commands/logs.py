"""`ssm logs`."""

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import click

from ssm.cli import names
from ssm.cli.client import Client
from ssm.cli.errors import CommandFailed, Unreachable
from ssm.cli.output import BAD, COLOURS, QUIET, WARN, Output, name_of
from ssm.cli.session import Session, command, completing
from ssm.cli.text import log_text, plain

_MOST_AT_ONCE: Final = 32
_HELD: Final = 1000
_LONGEST_PAUSE_S: Final = 15.0
# After a lost connection to SSM: enough of the last lines to find where it was.
_ASKED_AGAIN: Final = 10_000
_KEPT: Final = 2_000
# They tell that all is well, which the lines do as well.
_QUIET_EVENTS: Final = frozenset({"live", "connecting", "history", "waiting", "started"})
_GRAVE_EVENTS: Final = frozenset({"error", "gap", "skipped", "unreadable"})


@dataclass(frozen=True, slots=True)
class _Look:
    """How lines are shown."""

    times: bool
    raw: bool


def add_to(cli: click.Group) -> None:
    """Add the command."""

    @command(cli)
    @click.argument("chosen", metavar="CONTAINER...", nargs=-1, required=True, shell_complete=completing("container"))
    @click.option("-f", "--follow", is_flag=True, help="Stay, and show what comes, until Ctrl-C.")
    @click.option("-n", "--tail", type=click.IntRange(0, 1_000_000), help="Only the last lines; 100 with --follow.")
    @click.option("--since", default="", help="A time, or a span back from now such as 15m.")
    @click.option("--until", default="", help="A time, or a span back from now.")
    @click.option("-g", "--grep", default="", help="Only lines that hold this.")
    @click.option("-v", "--exclude", default="", help="Only lines that do not hold this.")
    @click.option("-E", "--regex", is_flag=True, help="--grep and --exclude are patterns (RE2).")
    @click.option("--case", is_flag=True, help="Upper and lower case count.")
    @click.option("--stream", type=click.Choice(["stdout", "stderr"]), default=None, help="Only of this one.")
    @click.option("-t", "--timestamps", is_flag=True, help="With the time of each line.")
    @click.option("--raw", is_flag=True, help="As the container wrote it, with all that a terminal acts on.")
    def logs(
        session: Session,
        chosen: tuple[str, ...],
        *,
        follow: bool,
        tail: int | None,
        since: str,
        until: str,
        grep: str,
        exclude: str,
        regex: bool,
        case: bool,
        stream: str | None,
        timestamps: bool,
        raw: bool,
    ) -> None:
        """Show the logs of containers; several with the name in front of each line.

        A connection that is lost is taken up again; what cannot be had any more is told on standard error.
        """
        if follow and (since or until):
            raise click.UsageError("--follow begins with the last lines (--tail), not at a time.")
        found = names.some(session.client, names.CONTAINER, chosen)
        query = {
            "q": grep,
            "exclude": exclude,
            "pattern": regex,
            "case": case,
            "stream": stream,
            "since": since,
            "until": until,
            "tail": tail,
        }
        printer = _Printer(session.output, found, _Look(times=timestamps, raw=raw))
        if not follow:
            for row in found:
                for line in session.client.lines(f"/containers/{row['id']}/logs", query):
                    printer.show(row, line)
            session.output.flush()
            if printer.is_incomplete:
                raise CommandFailed("The log is not whole.")
            return
        if len(found) > _MOST_AT_ONCE:
            raise CommandFailed(
                f"{len(found)} containers are too many to follow at once: {_MOST_AT_ONCE} may be.",
                fix="The page Logs follows more of them.",
            )
        _follow(session, found, query, printer)


def _follow(session: Session, found: list[dict[str, Any]], query: dict[str, Any], printer: "_Printer") -> None:
    """One thread for each container; lines are printed as they come, by one of them at a time."""
    told: queue.Queue[tuple[dict[str, Any], dict[str, Any] | CommandFailed | None]] = queue.Queue(_HELD)

    def read(row: dict[str, Any]) -> None:
        try:
            for line in _resumed(session.client, f"/containers/{row['id']}/logs", query):
                told.put((row, line))
            told.put((row, None))
        except CommandFailed as exc:
            told.put((row, exc))

    for row in found:
        threading.Thread(target=read, args=(row,), daemon=True).start()
    left = len(found)
    while left:
        row, line = told.get()
        if isinstance(line, CommandFailed):
            raise line
        if line is None:
            left -= 1
            continue
        printer.show(row, line)
        if told.empty():
            session.output.flush()


def _resumed(
    client: Client, path: str, query: dict[str, Any], sleep: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any]]:
    """A followed log over lost connections to SSM: nothing twice, and it is told where something may be missing."""
    place = _Place()
    asked = {**query, "follow": True}
    pause = 1.0
    while True:
        try:
            for line in client.lines(path, asked):
                pause = 1.0
                if place.may_be_missing(line):
                    yield {"event": "gap", "text": "Lines may be missing here: more came than are asked for again."}
                if place.is_new(line):
                    yield line
            return
        except Unreachable as exc:
            if not place.last and pause > 1.0:
                raise
            yield {"event": "connection", "text": f"{exc.message} Trying again in {pause:.0f} s."}
            sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            place.resume()
            asked = {**query, "follow": True, "tail": _ASKED_AGAIN} if place.last else asked


class _Place:
    """How far a log was shown: the latest time, and the last lines, as engines mix the streams by moments."""

    def __init__(self) -> None:
        self.last = ""
        self._shown: deque[tuple[str, str, int]] = deque(maxlen=_KEPT)
        self._to_pass: Counter[tuple[str, str, int]] = Counter()
        self._oldest = ""
        self._cut_at = ""
        self._is_first = False

    def resume(self) -> None:
        """The lines begin anew, somewhere before the place."""
        self._to_pass = Counter(self._shown)
        self._oldest = min((stamp for stamp, *_ in self._shown), default="")
        self._cut_at = self.last
        self._is_first = bool(self.last)

    def may_be_missing(self, line: dict[str, Any]) -> bool:
        """Whether the first line after the cut is a later one than the last that was shown."""
        stamp = str(line.get("time") or "")
        if not stamp or not self._is_first:
            return False
        self._is_first = False
        return stamp > self._cut_at

    def is_new(self, line: dict[str, Any]) -> bool:
        """Whether the line was not shown yet; notes it as shown."""
        stamp = str(line.get("time") or "")
        if not stamp:
            return True
        key = (stamp, str(line.get("stream") or ""), hash(line.get("text")))
        if stamp <= self._cut_at:
            if stamp < self._oldest:
                return False
            if self._to_pass[key] > 0:
                self._to_pass[key] -= 1
                return False
        self.last = max(self.last, stamp)
        self._shown.append(key)
        return True


class _Printer:
    """Lines of one or more logs, cleaned of what a terminal would act on."""

    def __init__(self, output: Output, found: list[dict[str, Any]], look: _Look) -> None:
        self._output = output
        self._look = look
        self.is_incomplete = False
        names_of = {row["id"]: plain(name_of(row), 80) for row in found}
        longest = max(map(len, names_of.values()), default=0) if len(found) > 1 else 0
        self._prefixes = {
            key: output.paint(f"{name:<{longest}} | ", COLOURS[place % len(COLOURS)]) if longest else ""
            for place, (key, name) in enumerate(names_of.items())
        }

    def show(self, row: dict[str, Any], line: dict[str, Any]) -> None:
        """Print a line of the container's log, or what happened between lines."""
        if self._output.as_json:
            self._output.object_line({"device": row["device"]["name"], "container": row["name"], **line})
        elif line.get("event"):
            self._tell(row, line)
        else:
            time_of = f"{self._output.paint(plain(line.get('time', ''), 40), QUIET)} " if self._look.times else ""
            text = str(line.get("text", ""))
            shown = text if self._look.raw else log_text(text, colours=self._output.colours)
            self._output.line(f"{self._prefixes[row['id']]}{time_of}{shown}")
        self.is_incomplete |= line.get("event") == "error"

    def _tell(self, row: dict[str, Any], line: dict[str, Any]) -> None:
        kind = str(line["event"])
        if kind in _QUIET_EVENTS or not line.get("text"):
            return
        self._output.flush()
        colour = BAD if kind in _GRAVE_EVENTS else WARN
        self._output.say(f"{self._prefixes[row['id']]}{self._output.paint('-- ' + plain(line['text'], 500), colour)}")
