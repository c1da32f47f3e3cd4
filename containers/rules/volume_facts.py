"""From the Engine's answers to facts about a volume, and from a form's texts to a volume to create. Pure.

Shapes are those of the Docker Engine API 1.41 to 1.51 (Volume, VolumeCreateOptions) and of podman's compatible answers.
Every value of an answer is attacker-controlled: typed, cut, cleaned; options may hold passwords of file servers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from containers.rules.inspection import time_from_ns, time_ns
from containers.rules.masking import MASK, clean_text, is_secret_name, mask_text, masked, scalar_text
from containers.rules.parameters import ParameterError

MOST_NAME: Final = 255
_MOST_LABELS: Final = 200
# moby/moby volume/local: RestrictedNamePattern, at least two characters.
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
_DRIVER: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]{0,127}")
_ANONYMOUS: Final = re.compile(r"[0-9a-f]{64}")
ANONYMOUS_LABEL: Final = "com.docker.volume.anonymous"
# Of the mount options of the local driver: o=addr=10.0.0.1,username=me,password=…
_MOUNT_SECRET: Final = re.compile(r"(?i)\b(pass(?:word|wd)?\d?|cred(?:entials)?|secret|key)=([^,\s]*)")


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """All that a volume's row holds; ``options`` with their secrets masked."""

    name: str
    driver: str
    scope: str
    mountpoint: str
    created_at: datetime | None
    labels: dict[str, str]
    options: dict[str, str]
    is_anonymous: bool


def volume_facts(answer: Any) -> VolumeFacts | None:
    """Facts from an entry of ``GET /volumes`` or an inspect answer; None without a usable name. Never raises."""
    if not isinstance(answer, dict):
        return None
    name = answer.get("Name")
    if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or clean_text(name) != name:
        return None
    labels = _texts(answer.get("Labels"))
    return VolumeFacts(
        name=name,
        driver=_word(answer.get("Driver"), 128),
        scope=_word(answer.get("Scope"), 20),
        mountpoint=_word(answer.get("Mountpoint"), 1024),
        created_at=time_from_ns(time_ns(answer.get("CreatedAt"))),
        labels=masked(labels),
        options=masked_options(_texts(answer.get("Options"))),
        is_anonymous=ANONYMOUS_LABEL in labels or bool(_ANONYMOUS.fullmatch(name)),
    )


def volume_sizes(answer: Any) -> dict[str, int]:
    """Bytes by name from ``GET /system/df``; volumes whose driver tells no size (-1) are left out."""
    listed = answer.get("Volumes") if isinstance(answer, dict) else None
    if not isinstance(listed, list) and isinstance(answer, dict) and isinstance(answer.get("VolumeUsage"), dict):
        listed = answer["VolumeUsage"].get("Items")
    sizes: dict[str, int] = {}
    for entry in listed if isinstance(listed, list) else []:
        usage = entry.get("UsageData") if isinstance(entry, dict) else None
        size = usage.get("Size") if isinstance(usage, dict) else None
        if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63:
            sizes[str(entry.get("Name", ""))] = size
    return sizes


def masked_options(options: Mapping[str, str]) -> dict[str, str]:
    """Driver options that may be stored in clear and shown."""
    return {key: MASK if is_secret_name(key) else _masked_option(value) for key, value in options.items()}


def _masked_option(value: str) -> str:
    """Only the secret among the mount options is masked: what stands behind it tells how a share is mounted."""
    shown, count = _MOUNT_SECRET.subn(rf"\1={MASK}", value)
    return shown if count else mask_text(value)


def _texts(value: Any) -> dict[str, str]:
    entries = list(value.items())[:_MOST_LABELS] if isinstance(value, dict) else []
    return {clean_text(str(key), 512): clean_text(scalar_text(item), 1024) for key, item in entries}


def _word(value: Any, limit: int) -> str:
    return clean_text(value[:limit], limit) if isinstance(value, str) else ""


# ---- what a person wants


@dataclass(frozen=True, slots=True)
class NewVolume:
    """A volume to create, as the Engine takes it."""

    name: str
    driver: str
    options: dict[str, str]
    labels: dict[str, str]

    def body(self) -> dict[str, Any]:
        """The body of ``POST /volumes/create``."""
        return {"Name": self.name, "Driver": self.driver, "DriverOpts": self.options, "Labels": self.labels}


def read_volume_name(text: str, field: str = "name") -> str:
    """A volume's name as the Engine allows it for its own driver. Raises ParameterError."""
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise ParameterError(
            field,
            "A name has 2 to 255 letters, digits, dots, hyphens or underscores and begins with a letter or digit.",
        )
    return name


def read_driver(text: str) -> str:
    """A volume driver's name; empty stands for the Engine's own. Raises ParameterError."""
    driver = text.strip() or "local"
    if not _DRIVER.fullmatch(driver):
        raise ParameterError("driver", "A driver's name has letters, digits, dots, colons, slashes and hyphens.")
    return driver


def read_pairs(text: str, field: str) -> dict[str, str]:
    """Lines ``key=value`` as a mapping; empty lines are left out. Raises ParameterError."""
    pairs: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line:
            continue
        key, equals, value = line.partition("=")
        if not equals and field == "options":
            raise ParameterError(field, f"Line {number} has no “=”: write key=value, for example type=nfs.")
        key = key.strip()
        if not key or len(key) > 512 or len(value) > 4096:
            raise ParameterError(field, f"Line {number} has no usable key before “=”.")
        if key in pairs:
            raise ParameterError(field, f"“{key[:40]}” is given twice.")
        pairs[key] = value.strip()
    if len(pairs) > _MOST_LABELS:
        raise ParameterError(field, f"At most {_MOST_LABELS} lines.")
    return pairs
