"""Replace a container by a successor so that whatever fails, the old one runs again under its name.

The way forward: create the successor beside the old one under a passing name, connect its networks, stop the old one,
exchange names, start, watch. Then comes the point of no return (``committed`` in the journal): before it every failure,
and every worker that was lost once the old one had been touched, leads all the way back (runs.going_back); after it the
way leads on. Each step looks before it acts, so that it may be repeated, and what must not be repeated is noted before
it is done. docs/operations.md tells what follows a crash at each point.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from django.db import Error as DatabaseError

from containers.errors import OperationTakenOver
from containers.rules.masking import clean_text
from containers.rules.probes import probe_places
from containers.rules.replacement import (
    Watch,
    dependents,
    kept_name,
    look_of,
    passing_name,
    refusal,
    restart_policy,
    stop_timeout_s,
)
from containers.rules.specification import Specification, create_body, differences, specification_of
from containers.runs import succession
from containers.runs.going_back import go_back
from containers.runs.hands import Hands
from containers.runs.replacement_state import Interrupted, ReplacementFailed, ReplacementRefused, State
from containers.runs.run import Run
from containers.runs.watching import watch_successor
from devices.errors import DeviceError, EngineConflict, PortForbidden, PortSilent

logger = logging.getLogger(__name__)

# A replacement whose worker was lost is not begun late, even if nothing had been touched.
STILL_WANTED: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``kept_name`` is empty when the old container was removed."""

    successor_id: str
    kept_name: str
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For the operation's row."""
        return "; ".join(self.notes)


@dataclass(frozen=True, slots=True)
class Adopted:
    """A successor that exists already, stopped: a predecessor that was kept. ``policy`` is its own restart policy."""

    engine_id: str
    policy: Mapping[str, Any]


def replace(
    run: Run,
    container_engine_id: str,
    specification: Specification,
    *,
    watch: Watch,
    keep_old_for: timedelta | None,
    adopted: Adopted | None = None,
    expected_image: str = "",
) -> Outcome:
    """Replace a container by one of that specification, or by one that is ``adopted``.

    ``keep_old_for`` None removes the old one at once, else it stays, stopped, under another name, until a tick discards
    it. ``expected_image`` is the id of the image that the successor must turn out to run. After a crash it is called
    again with the same arguments. Raises ReplacementRefused (nothing was done), ReplacementFailed and
    OperationCancelled (all was undone), RollbackFailed (a person has to look); a DeviceError that is no answer leaves
    the rest to the next attempt.
    """
    work = _Replacement(run, specification, watch, expected_image)
    if not work.state.is_planned:
        work.plan(container_engine_id, keep_old_for, adopted)
    if not work.state["committed"]:
        try:
            work.go_on()
        except (OperationTakenOver, DatabaseError):
            raise
        except Exception as exc:
            if isinstance(exc, DeviceError) and not exc.is_answer:
                raise
            go_back(run, work.state, work.hands, exc)
    return work.finish()


class _Replacement:
    """The way forward of one replacement."""

    def __init__(self, run: Run, specification: Specification, watch: Watch, expected_image: str) -> None:
        self.run = run
        self.state = State(run)
        self.hands = Hands(run)
        self.specification = specification
        self.watch = watch
        self.expected_image = expected_image

    # ---- the plan

    def plan(self, engine_id: str, keep_old_for: timedelta | None, adopted: Adopted | None) -> None:
        """Look at the container, keep all that it takes to make it anew, and write down what will be done."""
        run, device = self.run, self.run.device
        inspect = self.hands.inspect(engine_id)
        if inspect is None:
            raise ReplacementRefused(
                f"{run.operation.target_name} does not exist on {device.name} any more.",
                fix="Look for its successor in the list of containers.",
            )
        look = look_of(inspect)
        if refused := refusal(inspect):
            raise ReplacementRefused(f"{look.name} was not touched: {refused[0]}.", fix=refused[1])
        name = self.specification.name or look.name
        holder = self.hands.look(name) if name != look.name else None
        if holder is not None and holder.name == name:
            raise ReplacementRefused(
                f"{look.name} was not touched: another container on {device.name} is called {name}.",
                fix="Choose another name.",
            )
        self._check_probe(inspect)
        successor = self.hands.look(adopted.engine_id) if adopted else None
        if adopted and successor is None:
            raise ReplacementRefused(f"The container that was kept does not exist on {device.name} any more.")
        image_id = str(inspect.get("Image", ""))
        image = self.hands.image(image_id)
        run.seal(replaced=specification_of(inspect, image).as_json())
        moment = datetime.now(UTC)
        digests = image.get("RepoDigests")
        self.state.note(
            old=look.engine_id,
            old_name=look.name,
            name=name,
            passing=successor.name if successor else passing_name(look.name, str(run.operation.pk)),
            kept=kept_name(look.name, moment),
            keep_until=(moment + keep_old_for).isoformat() if keep_old_for is not None else "",
            starts=look.is_up,
            policy=restart_policy(inspect),
            stop_s=stop_timeout_s(inspect),
            is_adopted=adopted is not None,
            successor=successor.engine_id if successor else "",
            successor_policy=dict(adopted.policy) if adopted else {},
            old_image=clean_text(str((inspect.get("Config") or {}).get("Image", "")), 512),
            old_image_id=image_id[:80],
            old_digests=[clean_text(str(digest), 400) for digest in digests[:5]] if isinstance(digests, list) else [],
            shared_by=dependents(run.engine.get_json("/containers/json", {"all": "1"}), look.engine_id, look.name)[:20],
        )

    def _check_probe(self, inspect: Mapping[str, Any]) -> None:
        """Refuse a probe that the host does not let be asked, before anything is touched for it."""
        probe = self.watch.probe
        if probe is None:
            return
        address, port = next(iter(probe_places(inspect, probe.port)), ("127.0.0.1", probe.port))
        try:
            self.run.engine.ask_port(address, port)
        except PortForbidden as exc:
            raise ReplacementRefused(f"Nothing was touched. {exc.message}", fix=exc.fix) from exc
        except PortSilent:
            return  # what it will be like with the new one is seen then

    # ---- forward

    def go_on(self) -> None:
        """The whole way to the commitment. Raises what stopped it, Interrupted where the way leads back."""
        self._check_is_wanted()
        for step in (self._create, self._connect, self._compare):
            self.hands.reach(step)
            self.run.check_cancelled()
        self.state.note(touched=True)
        for step in (self._quieten, self._stop_old, self._exchange_names, self._start):
            self.hands.reach(step)
            self.run.check_cancelled()
        if self.state["starts"]:
            watch_successor(self.run, self.state["successor"], self.watch, self.hands.reach)
        self.state.note(committed=datetime.now(UTC).isoformat())

    def _check_is_wanted(self) -> None:
        if self.state["failure"]:
            raise Interrupted("It had failed before.")
        if not self.run.is_resumed:
            return
        if self.state["touched"]:
            raise Interrupted("SSM, or its connection to the host, broke off while the containers were exchanged.")
        if datetime.now(UTC) - self.run.operation.created_at > STILL_WANTED:
            raise Interrupted(f"It was interrupted, and {self.run.device.name} came back too late to go on with it.")

    def _create(self) -> None:
        """Make the successor, unless an attempt before us had: its passing name is nobody else's."""
        if self.state["successor"]:
            return
        self.run.step("creating the new container")
        name = self.state["passing"]
        found = self.hands.inspect(name)
        if found is None:
            engine = self.run.engine
            body, _later = create_body(self.specification, engine.api_version)
            try:
                _status, answer = engine.post("/containers/create", {"name": name}, body, timeout_s=120)
            except EngineConflict:  # the request of a lost worker was still on its way
                if self.hands.inspect(name) is None:
                    raise
            else:
                warnings = answer.get("Warnings") if isinstance(answer, dict) else None
                for warning in warnings[:10] if isinstance(warnings, list) else []:
                    self.run.say(f"The engine warns: {clean_text(str(warning), 300)}")
            found = self.hands.inspect(name)
        if found is None:
            raise ReplacementFailed("The engine does not show the container that it has just created.")
        self.state.note(successor=look_of(found).engine_id)

    def _connect(self) -> None:
        """Put the successor on its further networks: engines before API 1.44 take one in the create call."""
        if self.state["is_adopted"]:
            return
        _body, later = create_body(self.specification, self.run.engine.api_version)
        if not later:
            return
        there = (self._successor().get("NetworkSettings") or {}).get("Networks") or {}
        for network, endpoint in later:
            if network not in there:
                self.run.step(f"connecting it to the network {network}")
                body = {"Container": self.state["successor"], "EndpointConfig": dict(endpoint)}
                self.run.engine.post(f"/networks/{network}/connect", body=body, timeout_s=60)

    def _compare(self) -> None:
        """Check that it is made of the image that is meant, and tell what it does not share with the old one."""
        inspect, old = self._successor(), self.hands.inspect(self.state["old"])
        made_of = str(inspect.get("Image", ""))
        if self.expected_image and made_of.removeprefix("sha256:") != self.expected_image.removeprefix("sha256:"):
            raise ReplacementFailed(
                "The image's name was given to another image meanwhile.", fix="Try again: the new one is taken then."
            )
        if old is None:
            raise ReplacementFailed(f"{self.state['old_name']} was removed by somebody meanwhile.")
        if not self.state["is_adopted"] and not self.state["new_image_id"]:
            for sentence in differences(old, inspect)[:40]:
                self.run.say(f"  {sentence}")
        written = str((inspect.get("Config") or {}).get("Image", ""))
        self.state.note(new_image=clean_text(written, 512), new_image_id=made_of[:80])

    def _quieten(self) -> None:
        """Keep an engine that restarts from starting the old one beside its successor."""
        if self.state["policy"]["Name"] != "no":
            self.hands.set_policy(self.state["old"], {"Name": "no", "MaximumRetryCount": 0})
        if self.state["successor_policy"]:
            self.hands.set_policy(self.state["successor"], self.state["successor_policy"])

    def _stop_old(self) -> None:
        look = self.hands.look(self.state["old"])
        if look is None:
            raise ReplacementFailed(f"{self.state['old_name']} was removed by somebody meanwhile.")
        if look.is_up:
            self.run.step("stopping the old container")
            # Before the request: the Engine goes on with it even if nobody waits for its answer any more.
            self.state.note(stopping=datetime.now(UTC).isoformat())
            self.hands.stop(look.engine_id, self.state["stop_s"])
        if self.state["stopping"] and not self.state["stopped"]:
            self.state.note(stopped=True)

    def _exchange_names(self) -> None:
        self.run.step("exchanging names")
        succession.hand_over(self.run.operation, self.state["successor"])
        self.hands.rename(self.state["old"], self.state["kept"])
        self.hands.rename(self.state["successor"], self.state["name"])

    def _start(self) -> None:
        """Start it once: one that has ended by itself meanwhile is not started again."""
        if not self.state["starts"]:
            return
        look = look_of(self._successor())
        if not self.state["starting"]:
            self.run.step("starting the new container")
            self.state.note(starting=True, started_before=look.started_at)
        if not look.is_up and look.started_at == self.state["started_before"]:
            self.hands.start(look.engine_id)

    def _show(self, engine_id: str) -> None:
        succession.show(self.run.operation, self.run.engine, engine_id)

    def _successor(self) -> Mapping[str, Any]:
        found = self.hands.inspect(self.state["successor"])
        if found is None:
            raise ReplacementFailed("The new container was removed by somebody meanwhile.")
        return found

    # ---- after the commitment

    def finish(self) -> Outcome:
        """Remove the old container or leave it stopped, remember it, and show both as they are."""
        state, notes = self.state, []
        succession.hand_over(self.run.operation, state["successor"])
        kept = state["kept"] if state["keep_until"] else ""
        if not kept:
            self.run.step("removing the old container")
            try:
                self.hands.reach(lambda: self.hands.remove(state["old"], with_volumes=False))
            except DeviceError as exc:
                if not exc.is_answer:
                    raise
                # The new one is well, so this is no reason to fail: the next tick tries again.
                kept = state["kept"]
                state.note(keep_until=datetime.now(UTC).isoformat())
                notes.append(f"the old one could not be removed yet ({exc.message})")
        succession.remember(self.run.operation, state.entries, self.run.sealed.get("replaced", {}))
        for engine_id in (state["old"], state["successor"]):
            self.hands.reach(partial(self._show, engine_id))
        succession.judge_updates(self.run.operation, state["old"])
        if kept and not notes:
            notes.append(f"the old one is kept as {kept}")
        if state["shared_by"]:
            notes.append(f"{', '.join(state['shared_by'][:5])} used its network: recreate them too")
        return Outcome(state["successor"], kept, tuple(notes))
