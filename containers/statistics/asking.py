"""Ask one engine for the figures of many containers: several at a time on its one connection, and bounded in time."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from containers.rules.statistics import Reading, parse_reading
from devices.connections import Engine
from devices.errors import DeviceError, EngineConflict, EngineNotFound, EngineTimeout

# One container whose figures hang (a dead mount, a frozen group) must not take the time of all the others.
CALL_S: Final = 8.0
# The Engine answers at once from what the kernel counts, in place of measuring for a second. API 1.41 and newer,
# which all engines have that SSM connects to.
ONE_SHOT: Final = {"stream": "false", "one-shot": "true"}


@dataclass(slots=True)
class Answers:
    """What came of a round: readings by engine id, why others have none, and those that were not reached in time."""

    readings: dict[str, Reading] = field(default_factory=dict)
    failed: dict[str, DeviceError] = field(default_factory=dict)
    unreached: list[str] = field(default_factory=list)


def ask(engine: Engine, engine_ids: Sequence[str], *, at_once: int, budget_s: float) -> Answers:
    """Readings of these containers, in their order, ``at_once`` at a time, for ``budget_s`` seconds at most.

    A container that is gone or does not run is left out silently. One that does not answer is named in ``failed``;
    when nothing at all answers the rest is not asked. Raises DeviceError when the connection breaks before anything
    was read.
    """
    round_ = _Round(engine, engine_ids, time.monotonic() + budget_s)
    workers = min(at_once, len(engine_ids))
    if workers > 1:
        with ThreadPoolExecutor(workers, thread_name_prefix="statistics") as executor:
            for future in [executor.submit(round_.work) for _ in range(workers)]:
                future.result()
    else:
        round_.work()
    answers = round_.answers
    answers.unreached = list(round_.waiting)
    if round_.broken is not None and not answers.readings:
        raise round_.broken
    return answers


class _Round:
    """The containers that wait, and what came of the others. Worked off by several threads."""

    def __init__(self, engine: Engine, engine_ids: Sequence[str], deadline: float) -> None:
        self.waiting = deque(engine_ids)
        self.answers = Answers()
        self.broken: DeviceError | None = None
        self._engine = engine
        self._deadline = deadline
        self._lock = threading.Lock()

    def work(self) -> None:
        """Ask for one after the other while there is time and hope."""
        while True:
            left_s = self._deadline - time.monotonic()
            with self._lock:
                if left_s <= 0 or self.broken is not None or self._is_hung() or not self.waiting:
                    return
                engine_id = self.waiting.popleft()
            self._ask_one(engine_id, min(CALL_S, left_s))

    def _ask_one(self, engine_id: str, timeout_s: float) -> None:
        try:
            reading = parse_reading(
                self._engine.get_json(f"/containers/{engine_id}/stats", ONE_SHOT, timeout_s=timeout_s)
            )
        except (EngineNotFound, EngineConflict):
            return  # gone, or stopped: the inventory will know in a moment
        except DeviceError as exc:
            with self._lock:
                if exc.is_answer or isinstance(exc, EngineTimeout):
                    self.answers.failed[engine_id] = exc
                else:
                    self.broken = exc
                    self.answers.failed[engine_id] = exc
            return
        if not reading.is_empty:
            with self._lock:
                self.answers.readings[engine_id] = reading

    def _is_hung(self) -> bool:
        """Several did not answer and none did: the engine hangs, not a container."""
        hung = [error for error in self.answers.failed.values() if isinstance(error, EngineTimeout)]
        return not self.answers.readings and len(hung) >= 2
