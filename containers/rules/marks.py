"""What happened to a container, as marks on the time axis of its charts (pure).

An Engine tells several events of one thing: a restart is kill, die, stop, start, restart. A mark is what a person
would say of them. Events: Docker Engine API, ``GET /events``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

# From harmless to bad: of marks that are drawn as one, the worst decides.
KINDS: Final = ("other", "start", "stop", "health", "restart", "update", "fail", "oom")
# A start so soon after an end is a restart, or with another image an update.
_TOGETHER_S: Final = 60.0
# An out-of-memory event and the end that it caused.
_CAUSED_S: Final = 10.0
_WELL_ENDED: Final = frozenset({"", "0", "130", "143"})
_NAMED: Final = 3
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of one container: Unix seconds, the Engine's action word, and its attributes."""

    time: float
    action: str
    container: str = ""
    name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to draw: Unix seconds, one of `KINDS`, and what to say of it."""

    time: float
    kind: str
    text: str


@dataclass(slots=True)
class _Story:
    """What is known of one container on the way through its events."""

    image: str = ""
    ended: int = -1
    ended_at: float = float("-inf")
    oom: int = -1
    oom_at: float = float("-inf")
    was_created: bool = False
    was_unhealthy: bool = False


def marks_of(happenings: Iterable[Happening], *, named: bool = False) -> list[Mark]:
    """The marks of events in the order of their time; ``named`` puts the container's name in front of each."""
    marks: list[Mark] = []
    stories: dict[str, _Story] = {}
    for happening in happenings:
        story = stories.setdefault(happening.container, _Story())
        before = len(marks)
        changed = _take(happening, story, marks)
        if named and happening.name:
            for place in {changed, *range(before, len(marks))} - {-1}:
                text = marks[place].text
                if not text.startswith(f"{happening.name}: "):
                    marks[place] = replace(marks[place], text=f"{happening.name}: {text}")
    return [replace(mark, text=mark.text[:_LONGEST_TEXT]) for mark in marks]


def _take(happening: Happening, story: _Story, marks: list[Mark]) -> int:
    """Add or change marks for one event; the place of the one that was changed, -1 for none."""
    word, _, detail = happening.action.partition(":")
    moment, attributes = happening.time, happening.attributes
    if word == "oom":
        story.oom, story.oom_at = len(marks), moment
        marks.append(Mark(moment, "oom", "Out of memory"))
    elif word == "die":
        return _end(happening, story, marks)
    elif word == "start":
        return _start(happening, story, marks)
    elif word == "create":
        story.was_created = True
    elif word == "health_status":
        _health(moment, (detail or attributes.get("health_status", "")).strip(), story, marks)
    elif word in ("pause", "unpause"):
        marks.append(Mark(moment, "other", "Paused" if word == "pause" else "Resumed"))
    elif word == "update":
        marks.append(Mark(moment, "other", "Limits changed"))
    return -1


def _end(happening: Happening, story: _Story, marks: list[Mark]) -> int:
    moment, code = happening.time, happening.attributes.get("exitCode", "")
    story.image = happening.attributes.get("image", story.image)
    story.ended_at = moment
    if moment - story.oom_at <= _CAUSED_S:
        story.ended = story.oom
        marks[story.oom] = replace(marks[story.oom], text=f"Killed, out of memory (exit code {code or '137'})")
        return story.oom
    story.ended = len(marks)
    with_code = f" (exit code {code})" if code else ""
    if code in _WELL_ENDED:
        marks.append(Mark(moment, "stop", f"Stopped{with_code}"))
    else:
        # 137 is also what a stop comes to whose time was over: bad enough to be seen.
        marks.append(Mark(moment, "fail", f"{'Killed' if code == '137' else 'Failed'}{with_code}"))
    return -1


def _start(happening: Happening, story: _Story, marks: list[Mark]) -> int:
    moment, image = happening.time, happening.attributes.get("image", "")
    soon = story.ended >= 0 and moment - story.ended_at <= _TOGETHER_S
    place, created, old_image = story.ended, story.was_created, story.image
    story.ended, story.was_created, story.was_unhealthy = -1, False, False
    story.image = image or story.image
    if image and old_image and image != old_image:
        mark = Mark(moment, "update", f"Updated: {old_image} → {image}")
    elif created and soon:
        mark = Mark(moment, "update", "Recreated")
    elif soon and marks[place].kind in ("fail", "oom"):
        marks[place] = replace(marks[place], text=f"{marks[place].text}, started again")
        return place
    elif soon:
        mark = Mark(moment, "restart", "Restarted")
    else:
        marks.append(Mark(moment, "start", "Started"))
        return -1
    if soon and marks[place].kind not in ("fail", "oom"):
        marks[place] = mark
        return place
    marks.append(mark)
    return -1


def _health(moment: float, status: str, story: _Story, marks: list[Mark]) -> None:
    if status == "unhealthy" and not story.was_unhealthy:
        story.was_unhealthy = True
        marks.append(Mark(moment, "health", "Unhealthy"))
    elif status == "healthy" and story.was_unhealthy:
        story.was_unhealthy = False
        marks.append(Mark(moment, "health", "Healthy again"))


def thinned(marks: Sequence[Mark], distance_s: float) -> list[Mark]:
    """The marks, with those that are nearer to each other than a distance drawn as one: the worst, with all texts."""
    groups: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda each: each.time):
        if groups and mark.time - groups[-1][0].time < distance_s:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [group[0] if len(group) == 1 else _joined(group) for group in groups]


def _joined(group: Sequence[Mark]) -> Mark:
    worst = max(group, key=lambda mark: KINDS.index(mark.kind))
    counts: dict[str, int] = {}
    for mark in sorted(group, key=lambda mark: -KINDS.index(mark.kind)):
        counts[mark.text] = counts.get(mark.text, 0) + 1
    texts = [text if count == 1 else f"{text} ({count} times)" for text, count in counts.items()]
    more = f"; {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return Mark(worst.time, worst.kind, ("; ".join(texts[:_NAMED]) + more)[: _NAMED * _LONGEST_TEXT])
