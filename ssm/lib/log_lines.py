"""Log records that stay what they are: one line each, whatever strangers wrote into names, paths and messages."""

import logging
import re
from typing import Final

from ssm.lib.log_context import context_of
from ssm.lib.log_secrets import without_secrets

# C0 and C1 controls, line and paragraph separators, and what turns the direction of text around.
_HARMFUL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LONGEST: Final = 16_384
# Begins no record: those begin with the level's name.
_INDENT: Final = "    "


def one_line(text: str, limit: int = _LONGEST) -> str:
    r"""The text without line breaks and terminal controls (shown as ``\x1b``, ``\u202e``); cut at the limit."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return _HARMFUL.sub(_escaped, cut)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


class LineFormatter(logging.Formatter):
    """One line for each record; lines of a traceback follow indented, so that none of them looks like a record."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record without its traceback, and behind it the ids of what it was about."""
        ids = " ".join(f"{name}={value}" for name, value in context_of(record).items())
        line = without_secrets(super().formatMessage(record))
        return one_line(f"{line} [{ids}]" if ids else line)

    def formatException(self, ei: "logging._SysExcInfoType") -> str:
        """The traceback; the texts of exceptions may be anybody's."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        """The stack."""
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    return "\n".join(_INDENT + one_line(line) for line in without_secrets(text).split("\n"))
