"""How far a pull is, layer by layer, from what the engine says meanwhile. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from containers.rules.message_stream import MessageReader, message_error, message_text

MOST_LAYERS: Final = 200
MOST_LINES: Final = 500
_LAYER: Final = re.compile(r"[0-9a-f]{12,64}", re.ASCII)
_DIGEST: Final = re.compile(r"Digest: (sha(?:256|384|512):[0-9a-f]{64,128})", re.ASCII)
# The engine's words, and ours; what is not in here ("Retrying in 5 seconds") is shown as it is.
_WORDS: Final = {
    "Pulling fs layer": "waiting",
    "Waiting": "waiting",
    "Downloading": "downloading",
    "Verifying Checksum": "checking",
    "Download complete": "downloaded",
    "Extracting": "extracting",
    "Pull complete": "done",
    "Already exists": "here already",
}
_READY: Final = frozenset({"done", "here already"})


@dataclass(slots=True)
class LayerProgress:
    """One layer: what is done with it, and bytes (``total`` 0: not known)."""

    id: str
    text: str = "waiting"
    current: int = 0
    total: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether nothing is left to do."""
        return self.text in _READY


class PullProgress:
    """What the messages of one pull said so far.

    ``error`` is the engine's sentence when it gave up, ``digest`` the manifest's, ``was_current`` whether nothing had
    to be fetched, ``is_complete`` whether it said that it is through.
    """

    def __init__(self) -> None:
        self._reader = MessageReader()
        self._layers: dict[str, LayerProgress] = {}
        self._lines: list[str] = []
        self._said = 0
        self.error = ""
        self.digest = ""
        self.was_current = False
        self.is_complete = False

    @property
    def layers(self) -> list[LayerProgress]:
        """The layers in the order they were named."""
        return list(self._layers.values())

    @property
    def summary(self) -> str:
        """In one line: ``3 of 7 layers ready``."""
        if not self._layers:
            return ""
        ready = sum(layer.is_ready for layer in self._layers.values())
        return f"{ready} of {len(self._layers)} layer{'s' if len(self._layers) != 1 else ''} ready"

    def feed(self, data: bytes) -> None:
        """Take a piece of the answer."""
        for message in self._reader.feed(data):
            self._take(message)

    def end(self) -> None:
        """Take what is left when the answer has ended."""
        for message in self._reader.end():
            self._take(message)

    def take_lines(self) -> list[str]:
        """What it said since the last call, but for the layers; bounded over the whole pull."""
        lines, self._lines = self._lines, []
        return lines

    def _take(self, message: Mapping[str, Any]) -> None:
        if error := message_error(message):
            self.error = self.error or error
            return
        text = message_text(message)
        identity = message.get("id")
        if isinstance(identity, str) and _LAYER.fullmatch(identity) and not text.startswith("Pulling from "):
            self._take_layer(identity[:12], text, message.get("progressDetail"))
        elif text:
            self._say(text)

    def _say(self, text: str) -> None:
        if found := _DIGEST.fullmatch(text):
            self.digest = found[1]
        if text.startswith("Status: "):
            self.is_complete = True
            self.was_current = text.startswith("Status: Image is up to date")
        if self._said < MOST_LINES:
            self._said += 1
            self._lines.append(text)

    def _take_layer(self, identity: str, text: str, detail: Any) -> None:
        layer = self._layers.get(identity)
        if layer is None:
            if len(self._layers) >= MOST_LAYERS:
                return
            layer = self._layers[identity] = LayerProgress(identity)
        layer.text = _WORDS.get(text, text[:60].lower() or layer.text)
        current, total = _bytes(detail)
        if total:
            layer.total = total
        if layer.is_ready or layer.text in ("checking", "downloaded"):
            layer.current = layer.total
        elif current or layer.text == "extracting":
            layer.current = min(current, layer.total) if layer.total else current


def _bytes(detail: Any) -> tuple[int, int]:
    """Bytes done and in all; the extraction of containerd's store counts seconds instead, which tell nothing."""
    if not isinstance(detail, dict) or detail.get("units"):
        return 0, 0
    values = [detail.get(key) for key in ("current", "total")]
    current, total = (
        value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**60 else 0
        for value in values
    )
    return current, total
