"""Copy an image from one host to another through SSM: for hosts that no registry can be reached from.

The source's archive (``docker save``) flows piece by piece into the target's load, so memory stays the same however
large the image is: the target takes the next piece when it has room, and only then is the next one read.
"""

from collections.abc import Iterator
from typing import Any, Final

from containers.errors import OperationCancelled
from containers.image_sync import refresh_image
from containers.rules.image_facts import image_id, image_names
from containers.rules.image_layers import diff_ids
from containers.rules.image_refusals import load_fix
from containers.rules.pull_progress import PullProgress
from containers.runs.images import ACT_S, image_path, inspect_image, parsed
from containers.runs.run import Part, Run
from devices.errors import DeviceError, EngineError
from devices.models import Device
from ssm.lib.errors import SsmError
from ssm.templatetags.ui import size

# An engine gathers the whole archive on its disk before the first byte of it comes.
FIRST_BYTE_S: Final = 1800.0
SILENCE_S: Final = 300.0
# What arrived whole is unpacked by the target before it says so.
UNPACKING_S: Final = 1800.0
_ARCHIVE: Final = "archive"


class SourceLostError(SsmError):
    """The host that the image was to come from cannot be reached, or has it no more."""

    code = "copy_source_lost"
    status = 409


class LoadRefusedError(SsmError):
    """The target did not take the archive."""

    code = "load_refused"


def copy(run: Run) -> str:
    """Bring the image (``engine_id``) with the names in ``names`` from the device ``source`` to the run's own.

    What the target has already is only named. Begun anew by another worker it is sent again from the start: a load
    that was cut left nothing behind.
    """
    source = _source(run)
    identity = run.operation.engine_id
    try:
        answer = inspect_image(run.engine_of(source), identity)
    except DeviceError as exc:
        raise SourceLostError(exc.message, fix=exc.fix) from exc
    if answer is None:
        raise SourceLostError(
            f"{source.name} has {run.operation.target_name} no more.", fix="Copy it from another host."
        )
    found = image_names(answer)
    held = [name for name in found.repo_tags if name in (run.parameters.get("names") or ())] if found else []
    there = _same_image(run, identity, answer)
    sent = 0
    if there is None:
        run.note(begun=True)
        sent, loaded = _send(run, source, held[0] if held else identity, int(answer.get("Size") or 0))
        there = _same_image(run, held[0] if held else loaded or identity, answer)
        if there is None:
            raise LoadRefusedError(
                f"{run.device.name} took the archive, but what it holds now is not the image of {source.name}.",
                fix="Try again; see the output above and the engine's log on the host.",
            )
    _give_names(run, there, held)
    refresh_image(run.device, run.engine, there)
    for name in held:
        refresh_image(run.device, run.engine, name)
    return f"{size(sent)} came from {source.name}" if sent else "nothing to send: it was there already"


def _source(run: Run) -> Device:
    """The device that has the image. Raises SourceLostError when it is gone from SSM."""
    rows = Device.objects.select_related("credential").prefetch_related("host_keys")
    source = rows.filter(pk=run.parameters["source"]).first()
    if source is None:
        raise SourceLostError("The device that the image was to come from is gone.", fix="Copy it from another host.")
    return source


def _same_image(run: Run, name: str, wanted: dict[str, Any]) -> str | None:
    """The id of the target's image of that name or id, if it is the wanted one: of the same layers and platform.

    Ids are not compared: containerd's store has others than the classic one.
    """
    answer = inspect_image(run.engine, name)
    if answer is None or not diff_ids(wanted) or diff_ids(answer) != diff_ids(wanted):
        return None
    same = all(answer.get(key) == wanted.get(key) for key in ("Architecture", "Os"))
    return image_id(answer.get("Id")) if same else None


def _send(run: Run, source: Device, name: str, expected: int) -> tuple[int, str]:
    """Stream the archive of the source into the target; bytes sent, and the id that the target tells of it."""
    run.step(f"{source.name} packs {run.operation.target_name}")
    pieces = _Pieces(run, source, name, expected)
    progress = PullProgress()
    loaded = ""
    try:
        answer = run.engine.upload("POST", "/images/load", {"quiet": False}, pieces, read_timeout_s=UNPACKING_S)
        with answer:
            run.step(f"{run.device.name} unpacks it")
            for piece in answer:
                progress.feed(piece)
                loaded = _told_id(run, progress) or loaded
                run.check_cancelled()
        progress.end()
        loaded = _told_id(run, progress) or loaded
    except EngineError as exc:
        if exc.message.startswith(pieces.refusal or "\0"):
            raise SourceLostError(exc.message, fix=exc.fix) from exc
        raise _refused(run, exc.engine_message or exc.message) from exc
    except OperationCancelled as exc:
        raise OperationCancelled(
            exc.message, fix=f"Called off after {size(pieces.sent)}; {run.device.name} keeps nothing of it."
        ) from exc
    if progress.error:
        raise _refused(run, progress.error)
    return pieces.sent, loaded


def _told_id(run: Run, progress: PullProgress) -> str:
    """The id in "Loaded image ID: sha256:…", as it is told of an image without a name."""
    found = ""
    for line in progress.take_lines():
        run.say(line)
        before, _colon, rest = line.partition("Loaded image ID: ")
        found = image_id(rest.strip()) if not before else found
    return found


def _refused(run: Run, message: str) -> LoadRefusedError:
    said = f"{message[:1].upper()}{message[1:]}".rstrip(".")
    return LoadRefusedError(f"{run.device.name} did not take the image: {said}.", fix=load_fix(message))


class _Pieces:
    """The source's archive, read as it is asked for; shows how far it is, and ends when it is called off."""

    def __init__(self, run: Run, source: Device, name: str, expected: int) -> None:
        self._run = run
        self._source = source
        self._name = name
        self._expected = expected
        self.sent = 0
        # What the source's engine said when it refused, to tell its words from the target's.
        self.refusal = ""

    def __iter__(self) -> Iterator[bytes]:
        try:
            stream = self._run.engine_of(self._source).stream(
                f"/images/{image_path(self._name)}/get", read_timeout_s=SILENCE_S, head_timeout_s=FIRST_BYTE_S
            )
        except EngineError as exc:
            self.refusal = exc.message
            raise
        with stream:
            self._run.step(f"{self._source.name} sends {self._run.operation.target_name}")
            for piece in stream:
                self._run.check_cancelled()
                self.sent += len(piece)
                total = max(self._expected, self.sent)
                self._run.show([Part(id=_ARCHIVE, text=f"from {self._source.name}", current=self.sent, total=total)])
                yield piece
        self._run.show([Part(id=_ARCHIVE, text="sent", current=self.sent, total=self.sent)])
        self._run.flush()


def _give_names(run: Run, identity: str, names: list[str]) -> None:
    """Give the image on the target all the names that it is to have there."""
    answer = inspect_image(run.engine, identity)
    found = image_names(answer) if answer else None
    for name in names:
        if found and name in found.repo_tags:
            continue
        reference = parsed(name)
        params = {"repo": f"{reference.registry}/{reference.repository}", "tag": reference.tag}
        run.engine.post(f"/images/{image_path(identity)}/tag", params, timeout_s=ACT_S)
