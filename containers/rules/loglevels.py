"""How grave a log line is, told from what common loggers write (pure; for counting, so cheap).

Looked for near the beginning of the line: a JSON or logfmt field named level, lvl or severity, else the first word
that names a level. Numbers are those of pino and bunyan (10 to 60).
"""

import re
from typing import Final

LEVELS: Final = ("error", "warning", "info", "debug", "other")
_LOOKED_AT: Final = 400
# Colours stand right before the word that they are for.
_COLOUR: Final = re.compile(rb"\x1b\[[0-9;:]{0,40}m")
_FIELD: Final = re.compile(
    rb"(?i)[\"']?\b(?:level|lvl|severity|log\.level|loglevel)[\"']?\s{0,3}[=:]\s{0,3}[\"']?([a-z]{3,12}|[1-6]0)\b"
)
_WORD: Final = re.compile(
    rb"(?<![A-Za-z0-9_/.-])(?:(EMERG(?:ENCY)?|ALERT|CRIT(?:ICAL)?|FATAL|PANIC|ERROR|ERR|SEVERE|Error|error|fatal|panic|err)"
    rb"|(WARN(?:ING)?|Warning|Warn|warn(?:ing)?)|(INFO(?:RMATION)?|NOTICE|Info|info|notice|LOG)"
    rb"|(DEBUG|TRACE|VERBOSE|FINE(?:R|ST)?|Debug|Trace|debug|trace))(?![A-Za-z0-9_-])"
)
# glog and klog: "E1124 10:42:03.123456".
_GLOG: Final = re.compile(rb"([EWIFD])[01][0-9][0-3][0-9] [0-2][0-9]:[0-5][0-9]:")
_OF_LETTER: Final = {b"E": 0, b"F": 0, b"W": 1, b"I": 2, b"D": 3}
_OF_WORD: Final = {
    **dict.fromkeys((b"emerg", b"emergency", b"alert", b"crit", b"critical", b"fatal", b"panic", b"error", b"err"), 0),
    **dict.fromkeys((b"severe", b"60", b"50"), 0),
    **dict.fromkeys((b"warn", b"warning", b"40"), 1),
    **dict.fromkeys((b"info", b"information", b"informational", b"notice", b"log", b"30"), 2),
    **dict.fromkeys((b"debug", b"trace", b"verbose", b"fine", b"finer", b"finest", b"20", b"10"), 3),
}
OTHER: Final = 4


def level_of(text: bytes) -> int:
    """The index in LEVELS of a line's level; OTHER when it names none."""
    head = text[:_LOOKED_AT]
    if b"\x1b" in head:
        head = _COLOUR.sub(b"", head)
    glog = _GLOG.match(head)
    if glog:
        return _OF_LETTER[glog[1]]
    field = _FIELD.search(head)
    if field:
        return _OF_WORD.get(field[1].lower(), OTHER)
    word = _WORD.search(head)
    return (word.lastindex or 5) - 1 if word else OTHER
