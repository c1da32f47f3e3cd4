"""Log records as JSON: one object a line, for what collects the logs of many processes."""

import json
import logging
import os
import threading
from datetime import UTC, datetime
from typing import Any, Final

from ssm.lib.log_context import NAMES, context_of
from ssm.lib.log_secrets import HIDDEN, names_secret, without_secrets
from ssm.lib.process import process_kind

# Of a line in bytes: what carries logs (`manage.py up`, Docker's drivers) cuts longer ones, and half an object is none.
LONGEST_LINE: Final = 8_000
_LONGEST: Final = 6_000
_LONGEST_EXTRA: Final = 1_000
_MOST_EXTRAS: Final = 20
# What every record has; all else was given as `extra`.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"} | set(NAMES)
# Names of our own fields, which no extra may take the place of.
_OURS: Final = frozenset({"time", "level", "logger", "message", "process", "pid", "thread", "exception"})


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, process, pid, the ids of what it was about, extras.

    Everything beyond ASCII and every control is escaped, so no text can begin a line or move a cursor.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _bounded(record.getMessage(), _LONGEST),
            "process": process_kind(),
            "pid": os.getpid(),
            **context_of(record),
        }
        extras = [item for item in vars(record).items() if item[0] not in _USUAL and not item[0].startswith("_")]
        for name, value in extras[:_MOST_EXTRAS]:
            told[f"extra_{name}" if name in _OURS else name] = HIDDEN if names_secret(name) else _plain(value)
        if record.exc_info and record.exc_info[0] is not None:
            told["exception"] = _ending(self.formatException(record.exc_info))
        elif record.exc_text:
            told["exception"] = _ending(record.exc_text)
        if record.stack_info:
            told["stack"] = _ending(record.stack_info)
        return _fitting(told)


def _fitting(told: dict[str, Any]) -> str:
    """The object as a line within its bound: the longest texts in it give way, tracebacks from their beginning."""
    while len(line := json.dumps(told, ensure_ascii=True, separators=(",", ":"))) > LONGEST_LINE:
        name = max(told, key=lambda name: len(json.dumps(told[name])))
        text = told[name] if isinstance(told[name], str) else json.dumps(told[name])
        half = len(text) // 2
        told[name] = f"…{text[-half:]}" if name in ("exception", "stack") else f"{text[:half]}…"
    return line


def _ending(text: str) -> str:
    """The last part of a traceback, which tells most."""
    clean = without_secrets(text)
    return clean if len(clean) <= _LONGEST else f"…{clean[-_LONGEST:]}"


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON knows neither infinity nor NaN
    if isinstance(value, list | tuple | set | frozenset):
        return [_bounded(str(entry), _LONGEST_EXTRA) for entry in list(value)[:_MOST_EXTRAS]]
    return _bounded(str(value), _LONGEST_EXTRA)


def _bounded(text: str, limit: int) -> str:
    # Before the cut, which would hide half of what shows a secret for one; no text of ours is longer than that.
    clean = without_secrets(text[: 8 * _LONGEST])
    return clean if len(clean) <= limit else clean[:limit] + "…"


def take_over() -> None:
    """Have warnings, and what ends a thread, told as records too: with JSON no other lines should be there."""
    logging.captureWarnings(True)
    threading.excepthook = _told_of_thread


def _told_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread else "a thread"
    made = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger("ssm.threads").error("%s ended by an error", name, exc_info=made)
