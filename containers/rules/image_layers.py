"""Layers of an image: how it was built, what it shares with others, what its removal would free. Pure.

An engine tells the layers in two answers that do not refer to each other: the digests of their contents (RootFS.Layers
of ImageInspect, the lowest first), and the history with sizes (ImageHistory, the latest first), in which steps that
made no layer have the size 0. Layers are the same for an engine when all that is below them is the same too: that is
its chain id (OCI image specification, "Layer ChainID").
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self, TypedDict

from containers.rules.masking import clean_text, mask_text

_MOST_STEPS: Final = 300
_LONGEST_STEP: Final = 2000
_DIGEST: Final = re.compile(r"[a-z0-9]{1,20}:[0-9a-f]{32,128}", re.ASCII)
_SHELL: Final = re.compile(r"(?:\|\d+ .*? )?/bin/(?:ba|a)?sh -e?c (?P<nop>#\(nop\) )?\s*", re.DOTALL)
_KEYWORD: Final = re.compile(r"(?P<word>[A-Z]{2,12})\s+(?P<text>.*)", re.DOTALL)
_BUILDKIT: Final = re.compile(r"\s*# buildkit\s*\Z")
# Steps that make a layer even where it holds nothing.
_MAKING: Final = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})


class HistoryStep(TypedDict):
    """One step of how an image was built, as it is stored; ``created`` is ISO text, empty when unknown."""

    created_by: str
    created: str
    size_bytes: int
    comment: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the beginning of its chain id (16 hex digits, enough to tell one host's apart) and its size."""

    chain: str
    size_bytes: int

    def as_json(self) -> list[Any]:
        """As a row keeps it."""
        return [self.chain, self.size_bytes]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> Self:
        """From what a row keeps."""
        return cls(str(value[0]), int(value[1]))


@dataclass(frozen=True, slots=True)
class Instruction:
    """A step in the words of a Dockerfile: ``RUN``, ``apt-get update``; no keyword where none can be told."""

    keyword: str
    text: str


def history_steps(answer: Any) -> list[HistoryStep]:
    """Steps from ``GET /images/{id}/history``, the latest first; what looks like a secret is masked. Never raises."""
    entries = [entry for entry in answer if isinstance(entry, dict)] if isinstance(answer, list) else []
    return [
        HistoryStep(
            created_by=mask_text(_text(entry.get("CreatedBy"), _LONGEST_STEP)),
            created=_iso(entry.get("Created")),
            size_bytes=_size(entry.get("Size")),
            comment=_text(entry.get("Comment"), 200),
        )
        for entry in entries[:_MOST_STEPS]
    ]


def instruction(created_by: str) -> Instruction:
    """What a step did, without the shell and the marks that builders put around it."""
    text = _BUILDKIT.sub("", created_by).strip()
    keyword = ""
    if match := _KEYWORD.fullmatch(text):
        keyword, text = match["word"], match["text"].strip()
    shell = _SHELL.match(text)
    if shell is not None:
        text = text[shell.end() :].strip()
        keyword = keyword or ("" if shell["nop"] else "RUN")
        if not keyword and (match := _KEYWORD.fullmatch(text)):
            keyword, text = match["word"], match["text"].strip()
    return Instruction(keyword, text)


def diff_ids(answer: Mapping[str, Any]) -> list[str]:
    """Digests of the layers' contents from an inspect answer, the lowest first; empty when they are not told."""
    root = answer.get("RootFS")
    found = root.get("Layers") if isinstance(root, dict) else None
    if not isinstance(found, list) or len(found) > _MOST_STEPS:
        return []
    return found if all(isinstance(item, str) and _DIGEST.fullmatch(item) for item in found) else []


def layers(contents: Sequence[str], history: Sequence[HistoryStep]) -> list[Layer] | None:
    """The layers with their sizes, the lowest first; None where the two answers do not fit together."""
    steps = [step for step in reversed(history) if step["size_bytes"] > 0]
    missing = len(contents) - len(steps)
    if missing > 0:
        # Empty layers: of the steps that may have made one, the lowest.
        empty = [
            step
            for step in reversed(history)
            if step["size_bytes"] == 0 and instruction(step["created_by"]).keyword in _MAKING
        ]
        chosen = {id(step) for step in [*steps, *empty[:missing]]}
        steps = [step for step in reversed(history) if id(step) in chosen]
    if len(steps) != len(contents):
        return None
    found: list[Layer] = []
    chain = ""
    for content, step in zip(contents, steps, strict=True):
        chain = hashlib.sha256(f"{chain} {content}".encode()).hexdigest()
        found.append(Layer(chain[:16], step["size_bytes"]))
    return found


def shared_sizes(images: Mapping[str, Sequence[Layer] | None]) -> dict[str, int | None]:
    """Bytes of each image that at least one other image of the same host holds too; None for one of unknown layers.

    The rule is the engine's own (``SharedSize`` of ImageSummary), from the same layers.
    """
    counts = Counter(layer.chain for found in images.values() for layer in found or ())
    return {
        key: None if found is None else sum(layer.size_bytes for layer in found if counts[layer.chain] > 1)
        for key, found in images.items()
    }


def freed_bytes(removed: Iterable[Sequence[Layer]], kept: Iterable[Sequence[Layer]]) -> int:
    """What the removal of some images frees: their layers that none of the kept ones holds, each counted once."""
    held = {layer.chain for found in kept for layer in found}
    gone = {layer.chain: layer.size_bytes for found in removed for layer in found if layer.chain not in held}
    return sum(gone.values())


def _text(value: Any, limit: int) -> str:
    return clean_text(value, limit) if isinstance(value, str) else ""


def _size(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**60 else 0


def _iso(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**33:
        return ""
    return datetime.fromtimestamp(value, UTC).isoformat()
