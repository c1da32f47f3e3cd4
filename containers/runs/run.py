"""What a long act works with: its row, its engine, and ways to note, to tell and to be called off."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from containers import operations
from containers.errors import OperationCancelled
from containers.models import Operation
from devices.connections import Engine, pool
from devices.models import Device
from devices.services import connection_target

# Of the kept output; beyond it the oldest lines go.
OUTPUT_LIMIT: Final = 64 * 1024
# Parts and output are written and pushed this often at most.
SHOWN_EVERY_S: Final = 0.5
CANCEL_SEEN_AFTER_S: Final = 1.0
MOST_PARTS: Final = 200


class Part(TypedDict):
    """Progress of one part, such as a layer: ``current`` of ``total`` bytes (``total`` 0: not known)."""

    id: str
    text: str
    current: int
    total: int


class Run:
    """One attempt at a long act. Not thread-safe.

    All that writes raises OperationTakenOver when another worker has the operation now: let it pass.
    """

    def __init__(self, operation: Operation, device: Device, *, is_resumed: bool) -> None:
        self.operation = operation
        self.device = device
        # A worker before us had begun: look at the host before anything is done.
        self.is_resumed = is_resumed
        self._output = operation.output
        self._shown_at = 0.0
        self._waiting: dict[str, Any] = {}
        self._looked_at = 0.0

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was asked for, without secrets."""
        parameters: dict[str, Any] = self.operation.parameters
        return parameters

    @property
    def sealed(self) -> dict[str, Any]:
        """What is kept encrypted. Raises UndecryptableSecretError."""
        text = self.operation.sealed
        return json.loads(text) if text else {}

    @property
    def journal(self) -> Mapping[str, Any]:
        """What this or an earlier attempt has noted."""
        journal: dict[str, Any] = self.operation.journal
        return journal

    @property
    def engine(self) -> Engine:
        """A warm engine of the device. Raises DeviceError. Asked for anew each time, as connections end."""
        return self.engine_of(self.device)

    @staticmethod
    def engine_of(device: Device) -> Engine:
        """A warm engine of some other device. Raises DeviceError."""
        return pool.engine(connection_target(device))

    def note(self, **entries: Any) -> None:
        """Keep entries (JSON) in the journal, durably, before the step they announce or after what must not repeat."""
        operations.note(self.operation, journal={**self.operation.journal, **entries})

    def seal(self, **entries: Any) -> None:
        """Keep entries (JSON) encrypted, durably."""
        operations.note(self.operation, sealed=json.dumps({**self.sealed, **entries}))

    def step(self, text: str) -> None:
        """Show what is done now; it stands in the kept output too."""
        if self.operation.progress == text[:255]:
            return
        self._keep(text)
        self._write(progress=text[:255], output=self._output)

    def say(self, text: str) -> None:
        """Add lines to the kept output."""
        self._keep(text)
        self._later(output=self._output)

    def show(self, parts: Sequence[Part]) -> None:
        """Show how far each part is; what comes within half a second of the last is shown with the next."""
        self._later(parts=list(parts)[:MOST_PARTS])

    def flush(self) -> None:
        """Write what still waits to be shown."""
        if self._waiting:
            self._write()

    def check_cancelled(self) -> None:
        """Raise OperationCancelled when somebody called it off; looks every second at most."""
        moment = time.monotonic()
        if moment - self._looked_at < CANCEL_SEEN_AFTER_S:
            return
        self._looked_at = moment
        if operations.wants_cancel(self.operation):
            raise OperationCancelled("It was called off.")

    def _keep(self, text: str) -> None:
        kept = f"{self._output}{text.rstrip()}\n"
        if len(kept) > OUTPUT_LIMIT:
            kept = kept[-OUTPUT_LIMIT:]
            kept = kept[kept.find("\n") + 1 :]
        # PostgreSQL's text holds no NUL.
        self._output = kept.replace("\x00", "\ufffd")

    def _later(self, **columns: Any) -> None:
        self._waiting |= columns
        if time.monotonic() - self._shown_at >= SHOWN_EVERY_S:
            self._write()

    def _write(self, **columns: Any) -> None:
        waiting, self._waiting = {**self._waiting, **columns}, {}
        self._shown_at = time.monotonic()
        operations.note(self.operation, **waiting)
