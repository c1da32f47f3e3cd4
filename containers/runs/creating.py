"""Make a container so that there is exactly one of it or none, whatever is cut on the way; make one anew with changes.

A new container has a passing name, which tells whose it is, until it is whole: an attempt after a crash finds by it
what the one before had made. Then it is renamed and started. A refusal at any step removes it again.
"""

import time
from typing import Any, Final
from urllib.parse import quote

from django.db import IntegrityError, transaction

from containers import operations, sync
from containers.errors import OperationCancelled
from containers.models import Container
from containers.rules.changing import EMPTY, apply_changes
from containers.rules.creation_refusals import creation_fix
from containers.rules.masking import clean_text
from containers.rules.replacement import Watch, look_of
from containers.rules.specification import Specification, create_body, specification_of
from containers.runs.hands import Hands
from containers.runs.images import fetch, inspect_image, parsed
from containers.runs.last_lines import last_lines
from containers.runs.replacing import replace
from containers.runs.run import Run
from devices.errors import DeviceError, EngineConflict, EngineError
from devices.models import Device
from ssm.lib.errors import SsmError

# A program that ends that soon after its start is told of: most often its command or its settings are wrong.
SETTLED_AFTER_S: Final = 1.5
_LOOK_EVERY_S: Final = 0.25
_MOST_NAME: Final = 200


class CreationRefused(SsmError):
    """The engine refused; nothing is left of the container."""

    code = "creation_refused"
    status = 409


class SourceGone(SsmError):
    """The container that was to be duplicated or recreated does not exist any more."""

    code = "source_gone"
    status = 409


def create(run: Run) -> str:
    """Make the container of the sealed ``changes``, from nothing or (parameter ``source``) from another container.

    Parameters: ``starts`` whether to start it, ``pulls`` whether to pull the image even if the host has it.
    """
    work = _Creation(run)
    if failed := run.journal.get("failed"):
        work.undo(CreationRefused(failed["message"], fix=failed["fix"]))
    try:
        return work.go_on()
    except OperationCancelled as exc:
        work.undo(exc)
    except DeviceError as exc:
        if not exc.is_answer:
            raise
        work.undo(_refused(run, exc))
    except CreationRefused as exc:
        work.undo(exc)
    raise AssertionError("undo raises")


def recreate(run: Run) -> str:
    """Replace the container by one with the sealed ``changes``; the old one runs again if that fails."""
    specification = _kept(run)
    if specification is None:
        base = _base(run, run.device, run.operation.engine_id, is_successor=True)
        specification = apply_changes(base, run.sealed["changes"])
        _have_image(run, specification)
        run.seal(specification=specification.as_json())
    return replace(
        run,
        run.operation.engine_id,
        specification,
        watch=Watch.from_json(run.parameters.get("watch")),
        keep_old_for=None,
    ).sentence


class _Creation:
    """The steps of one attempt."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.hands = Hands(run)

    def go_on(self) -> str:
        """All steps; those that an earlier attempt has done are found done."""
        run = self.run
        specification = self._specification()
        _have_image(run, specification)
        run.check_cancelled()
        name = specification.name
        if "passing" not in run.journal:
            self._check_is_free(name)
            run.note(passing=f"{name[:_MOST_NAME]}-new-{run.operation.pk.hex[:12]}", name=name)
        engine_id = self._make(specification)
        self._connect(specification, engine_id)
        run.check_cancelled()
        self._name(engine_id, name)
        ended = self._start(engine_id) if run.parameters.get("starts", True) else ""
        self._show(engine_id)
        return ended

    def undo(self, cause: SsmError) -> None:
        """Remove what was made, then raise why."""
        run = self.run
        if not isinstance(cause, OperationCancelled):
            # First: whoever comes after a crash must not go on with it.
            run.note(failed={"message": cause.message, "fix": cause.fix})
        found = self._found()
        if found is not None:
            run.step("removing what was made of it")
            self.hands.remove(found["Id"], with_volumes=True)
            sync.refresh(run.device, run.engine, found["Id"])
        if isinstance(cause, OperationCancelled):
            raise OperationCancelled(cause.message, fix="Called off: nothing is left of the container.")
        raise cause

    def _specification(self) -> Specification:
        run = self.run
        kept = _kept(run)
        if kept is not None:
            return kept
        base, source = EMPTY, run.parameters.get("source")
        if source:
            device = Device.objects.filter(pk=source["device"]).first()
            if device is None:
                raise SourceGone("The device of the container that was to be duplicated was removed from SSM.")
            base = _base(run, device, source["engine_id"], is_successor=False)
        specification = apply_changes(base, run.sealed["changes"])
        run.seal(specification=specification.as_json())
        return specification

    def _check_is_free(self, name: str) -> None:
        holder = self.hands.look(name)
        # An id's beginning finds a container too.
        if holder is not None and holder.name == name:
            raise CreationRefused(
                f"Another container on {self.run.device.name} is called {name}.",
                fix="Choose another name, or remove the container that has it.",
            )

    def _found(self) -> dict[str, Any] | None:
        """What an attempt has made, by its id or its passing name."""
        journal = self.run.journal
        found = self.hands.inspect(journal.get("made") or journal.get("passing") or "")
        return dict(found) if found is not None else None

    def _make(self, specification: Specification) -> str:
        run = self.run
        found = self._found()
        if found is None and "made" in run.journal:
            raise CreationRefused(
                f"The new container was removed from {run.device.name} by somebody meanwhile.", fix="Try again."
            )
        if found is None:
            run.step("creating the container")
            engine = run.engine
            body, _later = create_body(specification, engine.api_version)
            try:
                _status, answer = engine.post(
                    "/containers/create", {"name": run.journal["passing"]}, body, timeout_s=120
                )
            except EngineConflict:  # the request of a lost worker was still on its way
                found = self._found()
                if found is None:
                    raise
            else:
                for warning in (answer.get("Warnings") if isinstance(answer, dict) else None) or ():
                    run.say(f"The engine warns: {clean_text(str(warning), 300)}")
                found = self._found()
        if found is None:
            raise CreationRefused("The engine does not show the container that it has just created.", fix="Try again.")
        engine_id = str(found["Id"])
        if "made" not in run.journal:
            run.note(made=engine_id)
        return engine_id

    def _connect(self, specification: Specification, engine_id: str) -> None:
        """Put it on its further networks: engines before API 1.44 take one in the create call."""
        _body, later = create_body(specification, self.run.engine.api_version)
        there = ((self._found() or {}).get("NetworkSettings") or {}).get("Networks") or {} if later else {}
        for network, endpoint in later:
            if network not in there:
                self.run.step(f"connecting it to the network {network}")
                body = {"Container": engine_id, "EndpointConfig": dict(endpoint)}
                self.run.engine.post(f"/networks/{quote(network, safe='')}/connect", body=body, timeout_s=60)

    def _name(self, engine_id: str, name: str) -> None:
        try:
            self.hands.rename(engine_id, name)
        except EngineConflict as exc:
            raise CreationRefused(
                f"Another container on {self.run.device.name} was given the name {name} meanwhile.",
                fix="Choose another name, or remove the container that has it.",
            ) from exc

    def _start(self, engine_id: str) -> str:
        """Start it, once; how it ended if it did so at once."""
        run = self.run
        found = self._found()
        if found is not None and look_of(found).started_at == "" and not look_of(found).is_up:
            run.step("starting it")
            self.hands.start(engine_id)
        run.note(started=True)
        deadline = time.monotonic() + SETTLED_AFTER_S
        while time.monotonic() < deadline:
            found = self._found()
            state = (found or {}).get("State") or {}
            if state.get("Status") == "exited" and found is not None:
                self._tell_last_lines(found)
                code = state.get("ExitCode")
                return (
                    "it has run and ended well" if code == 0 else f"it ended at once with code {code}: see its output"
                )
            time.sleep(_LOOK_EVERY_S)
        return ""

    def _tell_last_lines(self, found: dict[str, Any]) -> None:
        try:
            lines = last_lines(self.run.engine, found)
        except DeviceError:
            return
        for line in lines:
            self.run.say(f"  {line}")

    def _show(self, engine_id: str) -> None:
        """Bring its row into being, and tie the operation to it."""
        run = self.run
        sync.refresh(run.device, run.engine, engine_id)
        row = Container.objects.filter(device=run.device, engine_id=engine_id).first()
        if row is None:
            return
        try:
            with transaction.atomic():
                operations.note(run.operation, container=row, engine_id=engine_id)
        except IntegrityError:  # somebody has begun another act on it already
            run.operation.container = None


def _kept(run: Run) -> Specification | None:
    """What an earlier attempt had worked out: the container that it was taken from may be gone by now."""
    kept = run.sealed.get("specification")
    return Specification.from_json(kept) if kept else None


def _base(run: Run, device: Device, engine_id: str, *, is_successor: bool) -> Specification:
    """The specification of an existing container; a mere copy of it does not share its anonymous volumes."""
    engine = run.engine_of(device)
    found = engine.get_json(f"/containers/{engine_id}/json") if engine_id else None
    if not isinstance(found, dict):
        raise SourceGone(f"{run.operation.target_name} does not exist on {device.name} any more.")
    image = inspect_image(engine, str(found.get("Image", ""))) or {}
    return specification_of(found, image, keeps_anonymous_volumes=is_successor)


def _have_image(run: Run, specification: Specification) -> None:
    """Pull the image if the host lacks it, or if its newest is wanted. Raises PullRefusedError, OperationCancelled."""
    if "pulled" in run.journal:
        return
    reference = specification.image
    if not run.parameters.get("pulls") and inspect_image(run.engine, reference) is not None:
        return
    wanted = parsed(reference)
    run.note(pulling=True)
    run.step(f"{run.device.name} asks {wanted.registry} for {wanted.familiar}")
    fetch(run, wanted)
    run.note(pulled=True)


def _refused(run: Run, error: DeviceError) -> SsmError:
    said = error.engine_message if isinstance(error, EngineError) else ""
    message = clean_text(said or error.message, 2000)
    return CreationRefused(
        f"{run.device.name} refused it: {message}".rstrip(".") + ".", fix=creation_fix(message) or error.fix
    )
