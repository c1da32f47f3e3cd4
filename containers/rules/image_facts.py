"""From the Engine's answers to facts about an image. Every value is attacker-controlled: typed, cut, cleaned. Pure.

Shapes are those of the Docker Engine API 1.41 to 1.51 (ImageInspect, ImageSummary) and of podman's compatible answers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from containers.rules.image_layers import diff_ids
from containers.rules.inspection import time_from_ns, time_ns
from containers.rules.masking import MASK, clean_text, is_secret_name, mask_text, masked, scalar_text

_ID: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.ASCII)
_DIGEST: Final = re.compile(r"sha(?:256|384|512):[0-9a-f]{64,128}", re.ASCII)
_MAX_NAMES: Final = 200
_MAX_LABELS: Final = 200
_MAX_VARIABLES: Final = 200
_NONE: Final = "<none>"
# What of an image's configuration a person may want to know before starting a container of it.
_SHOWN: Final = {
    "Entrypoint": "entrypoint",
    "Cmd": "command",
    "WorkingDir": "working_dir",
    "User": "user",
    "ExposedPorts": "ports",
    "Volumes": "volumes",
    "StopSignal": "stop_signal",
}


@dataclass(frozen=True, slots=True)
class ImageNames:
    """What a list tells of an image: its names and digests, which change without a new image."""

    engine_id: str
    repo_tags: list[str]
    repo_digests: list[str]


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """All that an image's row holds."""

    names: ImageNames
    os: str
    architecture: str
    variant: str
    os_version: str
    size_bytes: int | None
    created_at: datetime | None
    labels: dict[str, str]
    manifest_digest: str
    # Keys: entrypoint, command, ports, volumes (lists of texts); working_dir, user, stop_signal, health_check (texts);
    # variables (pairs of texts, telling ones masked). Those without a value are left out.
    config: dict[str, Any]
    # Of the layers' contents, the lowest first.
    diff_ids: list[str]


def image_id(value: Any) -> str:
    """An image's id in its long form ``sha256:…``; empty for what is none."""
    match = _ID.fullmatch(value) if isinstance(value, str) else None
    return f"sha256:{match[1]}" if match else ""


def image_names(entry: Mapping[str, Any]) -> ImageNames | None:
    """Names from an entry of ``GET /images/json`` or from an inspect answer; None without an id."""
    identity = image_id(entry.get("Id"))
    if not identity:
        return None
    return ImageNames(identity, _names(entry.get("RepoTags"), 512), _names(entry.get("RepoDigests"), 640))


def _names(value: Any, limit: int) -> list[str]:
    """Names in the engine's order; ``<none>`` of older engines stands for no name."""
    if not isinstance(value, list):
        return []
    texts = [text for text in value[:_MAX_NAMES] if isinstance(text, str) and 0 < len(text) <= limit]
    return [clean_text(text, limit) for text in texts if _NONE not in text]


def image_facts(answer: Mapping[str, Any]) -> ImageFacts | None:
    """Facts from ``GET /images/{id}/json``; None without an id. Never raises on odd values: they become empty ones."""
    names = image_names(answer)
    if names is None:
        return None
    config = answer.get("Config")
    config = config if isinstance(config, dict) else {}
    labels = config.get("Labels")
    labels = labels if isinstance(labels, dict) else {}
    size = answer.get("Size")
    descriptor = answer.get("Descriptor")
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else ""
    return ImageFacts(
        names=names,
        os=_word(answer.get("Os")),
        architecture=_word(answer.get("Architecture")),
        variant=_word(answer.get("Variant")),
        os_version=_word(answer.get("OsVersion")),
        size_bytes=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63 else None,
        created_at=_created(answer.get("Created")),
        labels=masked(
            {
                clean_text(str(key), 512): clean_text(scalar_text(value), 1024)
                for key, value in list(labels.items())[:_MAX_LABELS]
            }
        ),
        manifest_digest=digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else "",
        config=_config(config),
        diff_ids=diff_ids(answer),
    )


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of an image's configuration that are shown, bounded, with what looks like a secret masked."""
    found: dict[str, Any] = {}
    for key, name in _SHOWN.items():
        value = config.get(key)
        if isinstance(value, str) and value:
            found[name] = mask_text(value[:500])
        elif isinstance(value, dict | list) and value:
            # Ports and volumes are the keys of an object; a command is a list.
            words = masked([clean_text(str(item), 500) for item in list(value)[:100]])
            found[name] = sorted(words) if isinstance(value, dict) else words
    check = config.get("Healthcheck")
    test = check.get("Test") if isinstance(check, dict) else None
    if isinstance(test, list) and test:
        found["health_check"] = mask_text(" ".join(str(word) for word in test[:50])[:1000])
    variables = config.get("Env")
    if isinstance(variables, list) and variables:
        pairs = (scalar_text(entry).partition("=") for entry in variables[:_MAX_VARIABLES])
        found["variables"] = [
            [clean_text(name, 200), MASK if is_secret_name(name) else mask_text(value[:1000])]
            for name, _equals, value in pairs
        ]
    return found


def _word(value: Any) -> str:
    return clean_text(value[:40], 40) if isinstance(value, str) else ""


def _created(value: Any) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC) if 0 < value < 2**33 else None
    return time_from_ns(time_ns(value))
