"""What an event of an Engine says to people: one sentence, an icon, how much it matters.

Words and attributes as the Engine API tells them (``GET /events``); exit codes as shells and the kernel use them
(128 and the number of the signal that ended the process).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol


class Severity(IntEnum):
    """How much an event matters."""

    INFO = 0
    GOOD = 1
    WARNING = 2
    BAD = 3


class Told(Protocol):
    """An event: as it was decoded, or as its row holds it."""

    @property
    def kind(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """An event in words. ``text`` goes on after the name of what it is about: "web" + "was killed (exit code 137)"."""

    text: str
    icon: str
    severity: Severity


# Classes of actions, as the Events page filters them: the words that belong to each.
CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "started": ("start", "restart", "unpause"),
    "ended": ("die", "stop", "kill", "oom", "pause"),
    "health": ("health_status",),
    "made": ("create", "pull", "import", "load", "build", "commit", "tag", "mount", "push", "save"),
    "removed": ("destroy", "remove", "delete", "untag", "prune", "unmount"),
    "changed": ("rename", "update", "reload", "connect", "disconnect", "attach", "detach", "copy", "archive-path"),
}
_SIGNALS: Final = {
    1: "hung up",
    2: "interrupted",
    3: "quit",
    4: "illegal instruction",
    5: "trapped",
    6: "aborted",
    7: "bus error",
    8: "arithmetic error",
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    14: "alarm",
    15: "terminated",
    24: "CPU time over",
    25: "file too large",
    31: "forbidden system call",
}
_NAMES: Final = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 6: "SIGABRT", 9: "SIGKILL", 10: "SIGUSR1", 12: "SIGUSR2"} | {
    15: "SIGTERM",
    17: "SIGCHLD",
    18: "SIGCONT",
    19: "SIGSTOP",
    28: "SIGWINCH",
}
# What a program ends by that was asked to end.
_WELL: Final = frozenset([0, 130, 143])
_OWN_CODES: Final = {
    125: "the Engine could not run it",
    126: "its command cannot be executed",
    127: "its command was not found",
}

_CONTAINER: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("was created", "plus"),
    "start": ("started", "play"),
    "stop": ("was stopped", "square"),
    "restart": ("was restarted", "rotate-cw"),
    "pause": ("was paused", "circle-pause"),
    "unpause": ("goes on", "play"),
    "destroy": ("was removed", "trash-2"),
    "update": ("got other limits", "sliders-horizontal"),
    "attach": ("was attached to", "square-terminal"),
    "detach": ("was detached from", "square-terminal"),
    "commit": ("was saved as an image", "layers"),
    "copy": ("had files copied", "copy"),
    "archive-path": ("had files read", "download"),
    "extract-to-dir": ("had files written", "download"),
    "export": ("was exported", "download"),
    "mount": ("had its files mounted", "hard-drive"),
    "unmount": ("had its files unmounted", "hard-drive"),
    "prune": ("stopped containers were pruned", "trash-2"),
}
_OTHERS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("image", "pull"): ("was pulled", "download"),
    ("image", "push"): ("was pushed", "arrow-up"),
    ("image", "tag"): ("got a tag", "layers"),
    ("image", "untag"): ("lost a tag", "layers"),
    ("image", "delete"): ("was deleted", "trash-2"),
    ("image", "remove"): ("was deleted", "trash-2"),
    ("image", "import"): ("was imported", "download"),
    ("image", "load"): ("was loaded", "download"),
    ("image", "loadfromarchive"): ("was loaded", "download"),
    ("image", "save"): ("was saved", "download"),
    ("image", "build"): ("was built", "package"),
    ("image", "prune"): ("unused images were pruned", "trash-2"),
    ("volume", "create"): ("was created", "plus"),
    ("volume", "mount"): ("was mounted", "hard-drive"),
    ("volume", "unmount"): ("was unmounted", "hard-drive"),
    ("volume", "destroy"): ("was removed", "trash-2"),
    ("volume", "prune"): ("unused volumes were pruned", "trash-2"),
    ("network", "create"): ("was created", "plus"),
    ("network", "destroy"): ("was removed", "trash-2"),
    ("network", "remove"): ("was removed", "trash-2"),
    ("network", "prune"): ("unused networks were pruned", "trash-2"),
    ("daemon", "reload"): ("read its configuration anew", "refresh-cw"),
    ("builder", "prune"): ("build cache was pruned", "trash-2"),
    ("plugin", "enable"): ("was enabled", "play"),
    ("plugin", "disable"): ("was disabled", "square"),
}
_KIND_ICONS: Final = {"image": "layers", "volume": "database", "network": "network", "daemon": "server"}


def exit_meaning(code: int) -> str:
    """What an exit code says, in a few words; empty where it says no more than its number."""
    if code in _OWN_CODES:
        return _OWN_CODES[code]
    return _SIGNALS.get(code - 128, "") if 128 < code < 160 else ""


def describe(event: Told) -> Sentence:
    """The sentence of an event. Unknown ones get their own word."""
    word, _colon, detail = (part.strip() for part in event.action.partition(":"))
    if event.kind == "container":
        if word == "die":
            return _died(event.attributes.get("exitCode", ""))
        if word == "kill":
            return Sentence(f"got the signal {_signal_name(event.attributes.get('signal', ''))}", "zap", Severity.INFO)
        if word == "oom":
            return Sentence("ran out of memory", "circle-alert", Severity.BAD)
        if word == "rename":
            old = event.attributes.get("oldName", "").lstrip("/")
            return Sentence(f"was renamed, it was {old}" if old else "was renamed", "pencil", Severity.INFO)
        if word == "health_status":
            return _health(detail or event.attributes.get("health_status", ""))
        text, icon = _CONTAINER.get(word, (_plain(event.action), "circle"))
        return Sentence(text, icon, Severity.GOOD if word in ("start", "unpause") else Severity.INFO)
    if event.kind == "network" and word in ("connect", "disconnect"):
        other = event.attributes.get("container", "")[:12]
        verb = "was connected to" if word == "connect" else "was disconnected from"
        return Sentence(f"{verb} container {other}" if other else f"{verb} a container", "network", Severity.INFO)
    text, icon = _OTHERS.get((event.kind, word), (_plain(event.action), _KIND_ICONS.get(event.kind, "circle")))
    return Sentence(text, icon, Severity.INFO)


def _died(text: str) -> Sentence:
    code = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if code is None:
        return Sentence("ended", "square", Severity.INFO)
    if code == 0:
        return Sentence("ended (exit code 0)", "square", Severity.INFO)
    meaning = exit_meaning(code)
    shown = f"exit code {code}: {meaning}" if meaning else f"exit code {code}"
    if code in _WELL:
        return Sentence(f"ended as it was asked to ({shown})", "square", Severity.INFO)
    return Sentence(f"failed ({shown})", "circle-x", Severity.BAD)


def _health(status: str) -> Sentence:
    if status == "healthy":
        return Sentence("is healthy", "heart-pulse", Severity.GOOD)
    if status == "unhealthy":
        return Sentence("is unhealthy", "heart-pulse", Severity.BAD)
    return Sentence(
        f"had its health checked: {status}" if status else "had its health checked", "heart-pulse", Severity.INFO
    )


def _signal_name(text: str) -> str:
    if text.isascii() and text.isdigit() and len(text) < 4:
        return _NAMES.get(int(text), text)
    return text or "to end"


def _plain(action: str) -> str:
    return action.replace("_", " ")
