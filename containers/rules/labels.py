"""Labels that steer SSM, and those of compose. Names are case-sensitive, values are trimmed, empty means absent.

A bad value never switches anything off silently: it gives a warning, which is shown on the container.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypedDict

from containers.rules.links import LinkFacts, link_from_template
from containers.rules.patterns import InvalidPatternError, compile_pattern, is_quoted
from containers.rules.transforms import Transform

DEFAULT_ICON: Final = "mdi:docker"
_ICON_SETS: Final = frozenset({"mdi", "si", "fab", "far", "fas", "hl", "sh", "simple-icons"})
_ICON: Final = re.compile(r"(?P<set>simple-icons|[a-z]{2,3})[:-](?P<name>[a-z0-9][a-z0-9-]{0,80})")
MAX_DISPLAY_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Display:
    """How a container wants to be shown: ``name`` is empty without the label, ``icon`` is ``set:name``."""

    name: str
    icon: str


@dataclass(frozen=True, slots=True)
class Compose:
    """Project and service that compose wrote; empty outside compose."""

    project: str
    service: str


class LabelWarning(TypedDict):
    """What is wrong with a label, for the people who wrote it. ``value`` is cut."""

    label: str
    value: str
    text: str


@dataclass(frozen=True, slots=True)
class UpdateLabels:
    """What labels say about updates: ``watch`` and ``watch_digest`` are None without a label, texts are empty."""

    watch: bool | None
    watch_digest: bool | None
    include: str
    exclude: str
    transform: str
    link_template: str


def update_labels(labels: Mapping[str, str]) -> UpdateLabels:
    """Read the labels about updates. A truth value that is neither true nor false counts as false."""
    return UpdateLabels(
        watch=_truth(labels, "wud.watch"),
        watch_digest=_truth(labels, "wud.watch.digest"),
        include=_value(labels, "wud.tag.include"),
        exclude=_value(labels, "wud.tag.exclude"),
        transform=_value(labels, "wud.tag.transform"),
        link_template=_value(labels, "wud.link.template"),
    )


def _value(labels: Mapping[str, str], name: str) -> str:
    return labels.get(name, "").strip()


def _truth(labels: Mapping[str, str], name: str) -> bool | None:
    value = _value(labels, name)
    return value.lower() == "true" if value else None


def label_warnings(labels: Mapping[str, str]) -> list[LabelWarning]:
    """All that is wrong with the labels that SSM reads; empty for nearly every container."""
    problems: list[tuple[str, str]] = []
    for name in ("wud.watch", "wud.watch.digest"):
        if _value(labels, name).lower() not in ("", "true", "false"):
            problems.append((name, "It must be true or false; it counts as false."))
    for name in ("wud.tag.include", "wud.tag.exclude"):
        problems += [(name, text) for text in _pattern_problems(_value(labels, name))]
    if problem := Transform(_value(labels, "wud.tag.transform")).problem:
        problems.append(("wud.tag.transform", f"Tags are compared as they are. {problem}"))
    link = link_from_template(_value(labels, "wud.link.template"), LinkFacts("1.2.3", "1.2.3", "name", "repository"))
    if link.warning:
        problems.append(("wud.link.template", f"No link is shown. {link.warning}"))
    icon = _value(labels, "wud.display.icon")
    if icon and not _is_known_icon(icon):
        sets = ", ".join(sorted(_ICON_SETS))
        problems.append(("wud.display.icon", f"The usual icon is shown. It must be set:name, the set one of {sets}."))
    if len(_value(labels, "wud.display.name")) > MAX_DISPLAY_NAME:
        problems.append(("wud.display.name", f"It is cut after {MAX_DISPLAY_NAME} characters."))
    return [LabelWarning(label=name, value=_value(labels, name)[:200], text=text) for name, text in problems]


def _pattern_problems(pattern: str) -> list[str]:
    if not pattern:
        return []
    try:
        compile_pattern(pattern)
    except InvalidPatternError as exc:
        return [f"No update is looked for until it is put right. {exc}"]
    if is_quoted(pattern):
        return ["It begins and ends with a quote, which is part of the pattern: in YAML there is one pair too many."]
    return []


def _is_known_icon(icon: str) -> bool:
    # An emoji is allowed by the labels' definition; here it is shown as the usual icon.
    if all(unicodedata.category(char) in ("So", "Sk", "Cf", "Mn") for char in icon):
        return True
    match = _ICON.fullmatch(icon.lower())
    return match is not None and match["set"] in _ICON_SETS


def display(labels: Mapping[str, str]) -> Display:
    """Read ``wud.display.name`` and ``wud.display.icon``; an icon of an unknown set becomes the default one."""
    match = _ICON.fullmatch(labels.get("wud.display.icon", "").strip().lower())
    icon = f"{match['set']}:{match['name']}" if match and match["set"] in _ICON_SETS else DEFAULT_ICON
    return Display(name=labels.get("wud.display.name", "").strip()[:MAX_DISPLAY_NAME], icon=icon)


def compose(labels: Mapping[str, str]) -> Compose:
    """Read ``com.docker.compose.project`` and ``.service``."""
    return Compose(
        project=labels.get("com.docker.compose.project", "").strip()[:255],
        service=labels.get("com.docker.compose.service", "").strip()[:255],
    )
