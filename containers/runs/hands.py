"""Single requests about containers that a replacement is made of; each may be repeated."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from containers.rules.replacement import Look, look_of
from containers.runs.run import Run
from devices.errors import DeviceError, EngineConflict, EngineError, EngineNotFound

# A connection that comes back within this time is no failure.
LINK_PATIENCE_S: Final = 45.0
_REMOVAL_PATIENCE_S: Final = 30.0


class Hands:
    """Requests to the engine of one run. All raise DeviceError."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def reach(self, step: Callable[[], None]) -> None:
        """Do a step, and do it again after a short loss of the connection. Raises what it raises."""
        deadline = time.monotonic() + LINK_PATIENCE_S
        while True:
            try:
                step()
                return
            except DeviceError as exc:
                if exc.is_answer or time.monotonic() > deadline:
                    raise
                self.run.say(f"{exc.message} Trying again.")
                time.sleep(1)

    def inspect(self, engine_id: str) -> Mapping[str, Any] | None:
        """The Engine's answer about a container by its id or name; None when there is none."""
        if not engine_id:
            return None
        try:
            answer = self.run.engine.get_json(f"/containers/{engine_id}/json")
        except EngineNotFound:
            return None
        return answer if isinstance(answer, dict) else None

    def image(self, reference: str) -> Mapping[str, Any]:
        """The Engine's answer about an image by its id or name; empty when there is none."""
        try:
            answer = self.run.engine.get_json(f"/images/{reference}/json")
        except EngineNotFound:
            return {}
        return answer if isinstance(answer, dict) else {}

    def look(self, engine_id: str) -> Look | None:
        """One look at a container; None when there is none."""
        found = self.inspect(engine_id)
        return look_of(found) if found is not None else None

    def start(self, engine_id: str) -> None:
        """Start it; nothing happens to one that runs."""
        self.run.engine.post(f"/containers/{engine_id}/start", timeout_s=120)

    def stop(self, engine_id: str, patience_s: int) -> None:
        """Stop it, with the time that it was made with; nothing happens to one that does not run."""
        self.run.engine.post(f"/containers/{engine_id}/stop", timeout_s=patience_s + 60)

    def rename(self, engine_id: str, name: str) -> None:
        """Give it a name, unless it has it."""
        look = self.look(engine_id)
        if look is not None and look.name != name:
            self.run.engine.post(f"/containers/{engine_id}/rename", {"name": name}, timeout_s=60)

    def set_policy(self, engine_id: str, policy: Mapping[str, Any]) -> None:
        """Give it a restart policy; an engine that cannot is let be."""
        try:
            self.run.engine.post(f"/containers/{engine_id}/update", body={"RestartPolicy": policy}, timeout_s=60)
        except EngineError as exc:
            # Podman 4 cannot change it; it does not start containers by itself either when its service restarts.
            self.run.say(f"The restart policy was left as it is: {exc.message}")

    def remove(self, engine_id: str, *, with_volumes: bool) -> None:
        """Remove it, running or not, if it is there; with the volumes that nobody gave a name (moby, mounts.go)."""
        query = {"force": "1", "v": "1" if with_volumes else "0"}
        try:
            self.run.engine.delete(f"/containers/{engine_id}", query, timeout_s=120)
        except EngineNotFound:
            return
        except EngineConflict:  # the removal that a lost worker asked for is under way
            deadline = time.monotonic() + _REMOVAL_PATIENCE_S
            while self.look(engine_id) is not None:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
