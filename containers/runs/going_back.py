"""The way back of a replacement: the successor goes, the old container runs again under its name."""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from containers.errors import OperationCancelled
from containers.rules.replacement import look_of
from containers.runs import succession
from containers.runs.hands import Hands
from containers.runs.last_lines import last_lines
from containers.runs.replacement_state import ReplacementFailed, RollbackFailed, State
from containers.runs.run import Run
from devices.errors import DeviceError
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

# What the Engine needs beside the time that it gives the processes to end.
STOP_MARGIN_S: Final = 10
_ADOPTED_STOP_S: Final = 60


def go_back(run: Run, state: State, hands: Hands, cause: Exception) -> NoReturn:
    """Undo all of it, and raise what came of that. Goes on where an earlier attempt had ended.

    Raises ReplacementFailed or OperationCancelled when the old container is as it was, RollbackFailed when not, and
    a DeviceError that is no answer when the host was lost: then it is to be called again.
    """
    if not state["failure"]:
        if not isinstance(cause, SsmError):
            logger.error("replacement failed unexpectedly", exc_info=cause, extra={"operation": str(run.operation.pk)})
        state.note(failure=_told(cause))
    _Return(run, state, hands).take()


def _told(cause: Exception) -> dict[str, str]:
    if isinstance(cause, SsmError):
        return {"code": cause.code, "message": cause.message, "fix": cause.fix}
    return {"code": "error", "message": f"SSM failed at it ({type(cause).__name__}): see its log.", "fix": ""}


class _Return:
    """One attempt at the way back. Each step looks before it acts."""

    def __init__(self, run: Run, state: State, hands: Hands) -> None:
        self.run = run
        self.state = state
        self.hands = hands

    def take(self) -> NoReturn:
        """All steps, each even if one before it was refused; then the verdict."""
        self.run.step("going back to the old container")
        problems = []
        for step in (self._drop_successor, self._await_stop, self._name_old, self._start_old, self._show):
            try:
                self.hands.reach(step)
            except DeviceError as exc:
                if not exc.is_answer:
                    raise
                self.run.say(f"  {exc.message}")
                problems.append(exc.message)
        self._raise_verdict(problems)

    def _raise_verdict(self, problems: list[str]) -> NoReturn:
        state, failure, name = self.state, self.state["failure"], self.state["old_name"]
        old = self.hands.look(state["old"])
        if old is None:
            raise RollbackFailed(
                f"{failure['message']} {name} itself was removed from {self.run.device.name} by somebody meanwhile.",
                fix="Its successor was left as it is: see the list of containers.",
            )
        # One that ends by itself at once did so before as well.
        is_up = old.is_up or not state["starts"] or not state["touched"] or old.started_at > state["restarted_from"]
        if old.name != name or not is_up:
            raise RollbackFailed(
                f"{failure['message']} The old container could not be brought back as {name}. {' '.join(problems)}",
                fix=f"It exists on {self.run.device.name} as {old.name}: look at its state there, and start it.",
            )
        back = f"{name} runs again as it was." if state["starts"] else f"{name} is as it was."
        if problems:
            back += f" What was begun could not be tidied up: {problems[0]}"
        if failure["code"] == OperationCancelled.code:
            raise OperationCancelled(failure["message"], fix=f"Cancelled; {back}")
        raise ReplacementFailed(f"{failure['message']} {back}", fix=failure["fix"], details={"cause": failure["code"]})

    def _drop_successor(self) -> None:
        """Take the successor away after its last lines were kept; one that was adopted goes back to its old place."""
        state = self.state
        found = self.hands.inspect(state["successor"] or state["passing"])
        if found is None:
            return
        look = look_of(found)
        if state["starting"] and not state["told"]:
            self._tell_last_lines(found)
            state.note(told=True)
        if self.hands.look(state["old"]) is None:
            return  # nothing would be left
        if not state["is_adopted"]:
            # With the volumes that the new image brought along.
            self.hands.remove(look.engine_id, with_volumes=True)
            return
        if look.is_up:
            self.hands.stop(look.engine_id, _ADOPTED_STOP_S)
        self.hands.rename(look.engine_id, state["passing"])
        self.hands.set_policy(look.engine_id, {"Name": "no", "MaximumRetryCount": 0})

    def _await_stop(self) -> None:
        """Wait for the end of a stop that a lost worker had asked for: the Engine may still be at it."""
        if not self.state["stopping"] or self.state["stopped"]:
            return
        over = datetime.fromisoformat(self.state["stopping"]) + timedelta(seconds=self.state["stop_s"] + STOP_MARGIN_S)
        while datetime.now(UTC) < over:
            look = self.hands.look(self.state["old"])
            if look is None or not look.is_up:
                break
            time.sleep(0.5)
        self.state.note(stopped=True)

    def _name_old(self) -> None:
        if self.hands.look(self.state["old"]) is None:
            return
        succession.hand_over(self.run.operation, self.state["old"])
        self.hands.rename(self.state["old"], self.state["old_name"])
        if self.state["touched"] and self.state["policy"]["Name"] != "no":
            self.hands.set_policy(self.state["old"], self.state["policy"])

    def _start_old(self) -> None:
        look = self.hands.look(self.state["old"])
        if look is None or look.is_up or not self.state["starts"] or not self.state["touched"]:
            return
        self.run.step("starting the old container again")
        if self.state["restarted_from"] is None:
            self.state.note(restarted_from=look.started_at)
        self.hands.start(look.engine_id)

    def _show(self) -> None:
        for engine_id in filter(None, (self.state["successor"], self.state["old"])):
            succession.show(self.run.operation, self.run.engine, engine_id)

    def _tell_last_lines(self, inspect: Mapping[str, Any]) -> None:
        """Keep what the successor printed last, as the reason is often there."""
        try:
            lines = last_lines(self.run.engine, inspect)
        except DeviceError as exc:
            if not exc.is_answer:
                raise
            lines = [f"(not readable: {exc.message})"]
        self.run.say("Last lines of the new container:")
        for line in lines or ["(it printed nothing)"]:
            self.run.say(f"  {line}")
