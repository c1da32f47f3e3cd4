"""Labels that steer SSM, and those of compose. Names are case-sensitive, values are trimmed, empty means absent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
