"""The manifest of a backup: what it is of, when and how it was made, and what proves that it is whole. Pure.

It lies beside the archive in the store as ``<archive>.json`` and is written last: an archive without one is the rest
of an interrupted backup.
"""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from containers.rules.masking import clean_text

FORMAT: Final = "ssm-volume-backup/1"
# The directory in the archive that is the volume's root.
ROOT: Final = "ssm-volume"
_MOST: Final = 4 * 1024 * 1024
_HEX: Final = re.compile(r"[0-9a-f]{64}")
CONSISTENCIES: Final = {
    "running": "while its containers ran",
    "paused": "while its containers were paused",
    "stopped": "while its containers were stopped",
}


class ManifestError(ValueError):
    """What should be a manifest is none; the text says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All facts of one backup. ``size_bytes`` and ``sha256`` are those of the stored file, ``contents`` of its tar."""

    id: str
    device: str
    volume: str
    driver: str
    created_at: datetime
    finished_at: datetime
    consistency: str
    size_bytes: int
    sha256: str
    contents: dict[str, Any]
    engine: str = ""
    origin: str = "backup"
    # Where all names in the archive lie; empty for an archive that was uploaded as it is.
    root: str = ROOT
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    # Containers that used the volume: {"name", "state", "during"}.
    containers: list[dict[str, str]] = field(default_factory=list)

    def as_text(self) -> str:
        """JSON, as it is stored."""
        values = asdict(self)
        for name in ("created_at", "finished_at"):
            values[name] = getattr(self, name).isoformat()
        return json.dumps({"format": FORMAT, "compression": "zstd", **values}, indent=2, sort_keys=True) + "\n"


def read_manifest(text: str | bytes) -> Manifest:
    """A manifest from its JSON. Raises ManifestError."""
    if len(text) > _MOST:
        raise ManifestError("It is larger than any manifest.")
    try:
        values = json.loads(text)
    except ValueError as exc:
        raise ManifestError("It is not JSON.") from exc
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ManifestError(f"It is not a manifest of the format {FORMAT}.")
    known = {entry.name for entry in fields(Manifest)}
    values = {key: value for key, value in values.items() if key in known}
    try:
        for name in ("created_at", "finished_at"):
            values[name] = datetime.fromisoformat(values[name])
            if values[name].tzinfo is None:
                raise ManifestError("Its times have no zone.")
        manifest = Manifest(**values)
    except (TypeError, ValueError, KeyError) as exc:
        raise ManifestError("Facts are missing in it, or are of the wrong kind.") from exc
    texts = (manifest.id, manifest.device, manifest.volume, manifest.driver, manifest.root, manifest.engine)
    if not all(isinstance(value, str) and value == clean_text(value, 1024) for value in texts):
        raise ManifestError("A text in it cannot be used.")
    if not isinstance(manifest.sha256, str) or not _HEX.fullmatch(manifest.sha256):
        raise ManifestError("Its checksum is none.")
    numbers = isinstance(manifest.size_bytes, int) and manifest.size_bytes >= 0
    shapes = [(manifest.contents, dict), (manifest.labels, dict), (manifest.options, dict), (manifest.containers, list)]
    if not numbers or not all(isinstance(value, kind) for value, kind in shapes):
        raise ManifestError("Facts in it are of the wrong kind.")
    if manifest.consistency not in (*CONSISTENCIES, ""):
        raise ManifestError("It names a kind of consistency that is not known.")
    return manifest
