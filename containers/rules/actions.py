"""What a person may do to a container in a given state, in which words, and how hard it is asked back (pure)."""

from dataclasses import dataclass
from typing import Final

SIMPLE: Final = "yes"


@dataclass(frozen=True, slots=True)
class Action:
    """One button. ``question`` is empty where nothing is asked back; ``typed`` demands the container's name."""

    kind: str
    label: str
    icon: str
    question: str = ""
    warning: str = ""
    is_harmful: bool = False
    is_typed: bool = False


_ALL: Final = {
    action.kind: action
    for action in (
        Action("start", "Start", "play"),
        Action(
            "stop",
            "Stop",
            "square",
            "Stop {name}?",
            "What runs in it on {device} ends; it is asked to, and killed if it takes longer than its stop time-out.",
        ),
        Action(
            "restart",
            "Restart",
            "rotate-cw",
            "Restart {name}?",
            "It is not available on {device} until it is up again.",
        ),
        Action("pause", "Pause", "pause"),
        Action("unpause", "Resume", "play"),
        Action(
            "kill",
            "Kill",
            "zap",
            "Kill {name}?",
            "Its processes on {device} get the signal. SIGKILL ends them at once: what they have not written is lost.",
            is_harmful=True,
        ),
        Action(
            "remove",
            "Remove",
            "trash-2",
            "Remove {name} from {device}?",
            "Everything written inside the container is lost; named volumes stay.",
            is_harmful=True,
            is_typed=True,
        ),
    )
}
# The first is the quick one, the rest go into the menu.
_BY_STATE: Final = {
    "created": ("start", "remove"),
    "running": ("stop", "restart", "pause", "kill", "remove"),
    "paused": ("unpause", "stop", "kill", "remove"),
    "restarting": ("stop", "restart", "kill", "remove"),
    "exited": ("start", "restart", "remove"),
    "dead": ("remove",),
    "removing": (),
}


BULK_ACTIONS: Final = tuple(_ALL.values())


def actions_for(state: str) -> tuple[Action, ...]:
    """The actions that make sense in a state, the most likely one first."""
    return tuple(_ALL[kind] for kind in _BY_STATE.get(state, ()))


def find_action(kind: str) -> Action | None:
    """The action of that kind; None when there is none."""
    return _ALL.get(kind)


@dataclass(frozen=True, slots=True)
class BulkQuestion:
    """What is asked before an act on several containers; ``phrase`` must be typed unless it is empty."""

    title: str
    warning: str
    phrase: str


# What happens to each, and what is lost.
_BULK_WARNINGS: Final = {
    "stop": "What runs in them ends; each is asked to, and killed if it takes longer than its stop time-out.",
    "restart": "None of them is available until it is up again.",
    "pause": "What runs in them stands still until they are resumed.",
    "kill": "Their processes get the signal. SIGKILL ends them at once: what they have not written is lost.",
    "remove": "Everything written inside the containers is lost; named volumes stay.",
}


def bulk_question(action: Action, containers: int, devices: int) -> BulkQuestion | None:
    """What to ask before an act on several containers; None where nothing is at stake.

    Harm grows with the number of hosts: on more than one, the act has to be typed ("stop 12").
    """
    warning = _BULK_WARNINGS.get(action.kind, "")
    if not warning or (action.kind == "pause" and devices == 1):
        return None
    is_typed = action.is_typed or devices > 1
    count = f"{containers} container{'s' if containers != 1 else ''}"
    where = f" on {devices} devices" if devices > 1 else ""
    return BulkQuestion(
        title=f"{action.label} {count}{where}?",
        warning=warning,
        phrase=f"{action.kind} {containers}" if is_typed else "",
    )


def is_confirmed(action: Action, name: str, confirmation: str) -> bool:
    """Whether the person was asked as hard as the harm demands: not at all, yes, or the container's name typed."""
    if not action.question:
        return True
    return confirmation == (name if action.is_typed else SIMPLE)
