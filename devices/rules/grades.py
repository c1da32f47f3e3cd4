"""How much the way to an engine allows: abilities, how each is asked about without harm, and grades (pure).

A socket proxy or a plug-in of the engine may let some requests through and refuse others. Every question names an
object that cannot exist or leaves out what the engine needs, so that an engine that gets it answers with an error of
its own, and nothing ever happens; whoever stands in front refuses by a status of `REFUSING`.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# 501 is what servers say to a method they do not have.
REFUSING: Final = frozenset({401, 403, 405, 501})


class Grade(enum.StrEnum):
    """What a device is for."""

    NOTHING = "nothing"
    WATCH = "watch"
    OPERATE = "operate"
    EVERYTHING = "everything"

    @property
    def label(self) -> str:
        """In words."""
        return {
            Grade.NOTHING: "less than watch only",
            Grade.WATCH: "watch only",
            Grade.OPERATE: "operate",
            Grade.EVERYTHING: "everything",
        }[self]


@dataclass(frozen=True, slots=True)
class Question:
    """One harmless request; ``{name}`` in the path stands for a name that no object has."""

    method: str
    path: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class Ability:
    """Something that SSM does, the lowest grade that has it, and the requests that it takes."""

    key: str
    label: str
    grade: Grade
    questions: tuple[Question, ...]


def _get(path: str, **parameters: Any) -> Question:
    return Question("GET", path, parameters)


ABILITIES: Final[tuple[Ability, ...]] = (
    Ability("list", "List containers and see what they are", Grade.WATCH, (
        _get("/containers/json", limit=1),
        _get("/containers/{name}/json"),
        _get("/info"),
    )),
    Ability("events", "Follow events, so that changes show at once", Grade.WATCH, (_get("/events", until="1"),)),
    Ability("logs", "Read and search logs", Grade.WATCH, (_get("/containers/{name}/logs", stdout=1, tail=1),)),
    Ability("statistics", "Statistics and processes of containers", Grade.WATCH, (
        _get("/containers/{name}/stats", stream=0),
        _get("/containers/{name}/top"),
    )),
    Ability("images", "See images; check for updates", Grade.WATCH, (
        _get("/images/json"),
        _get("/images/{name}/json"),
    )),
    Ability("volumes", "See volumes and networks", Grade.WATCH, (_get("/volumes"), _get("/networks"))),
    Ability("start", "Start, stop and restart containers", Grade.OPERATE, tuple(
        Question("POST", f"/containers/{{name}}/{act}") for act in ("start", "stop", "restart")
    )),
    Ability("pause", "Pause, continue and kill containers", Grade.OPERATE, tuple(
        Question("POST", f"/containers/{{name}}/{act}") for act in ("pause", "unpause", "kill")
    )),
    Ability("remove", "Remove containers", Grade.EVERYTHING, (Question("DELETE", "/containers/{name}"),)),
    # An empty body: an engine wants an image's name at least.
    Ability("create", "Create, recreate and update containers", Grade.EVERYTHING, (
        Question("POST", "/containers/create", body={}),
    )),
    # A name that no image can have, refused before any registry is asked.
    Ability("pull", "Pull images", Grade.EVERYTHING, (
        Question("POST", "/images/create", {"fromImage": "SSM-ASKS-ONLY", "tag": "1"}),
    )),
    Ability("exec", "Terminals and commands in containers", Grade.EVERYTHING, (
        Question("POST", "/containers/{name}/exec", body={"Cmd": ["true"]}),
    )),
    Ability("files", "Files of containers; backups of volumes", Grade.EVERYTHING, (
        Question("GET", "/containers/{name}/archive", {"path": "/"}),
    )),
    Ability("change", "Remove and change images, volumes and networks", Grade.EVERYTHING, (
        Question("DELETE", "/images/{name}"),
        Question("DELETE", "/volumes/{name}"),
        Question("DELETE", "/networks/{name}"),
    )),
)  # fmt: skip
_ORDER: Final = (Grade.WATCH, Grade.OPERATE, Grade.EVERYTHING)


def is_refusal(status: int) -> bool:
    """Whether an answer's status came from somebody who lets the request not through."""
    return status in REFUSING


def grade_of(abilities: Iterable[str]) -> Grade:
    """The highest grade of which every ability, and every one of the lower grades, is there."""
    had = set(abilities)
    reached = Grade.NOTHING
    for grade in _ORDER:
        if not {ability.key for ability in ABILITIES if ability.grade is grade} <= had:
            break
        reached = grade
    return reached


def abilities_up_to(grade: Grade) -> tuple[Ability, ...]:
    """What the grade unlocks, the lower ones included."""
    if grade is Grade.NOTHING:
        return ()
    return tuple(ability for ability in ABILITIES if _ORDER.index(ability.grade) <= _ORDER.index(grade))
