"""Acts on the images of a host: pull, tag, remove. Each converges when it is begun anew: it looks before it acts."""

from typing import Any, Final
from urllib.parse import quote

from containers.errors import OperationCancelled
from containers.image_sync import refresh_image
from containers.rules.image_facts import image_id, image_names
from containers.rules.image_refusals import pull_fix
from containers.rules.pull_progress import PullProgress
from containers.runs.run import Part, Run
from devices.connections import Engine
from devices.errors import EngineConflict, EngineError, EngineNotFound
from registries.providers.pulls import registry_auth_header
from registries.rules.references import ImageId, ImageReference, InvalidReferenceError, parse_reference
from registries.services import pull_credentials_for
from ssm.lib.errors import SsmError

# An engine asks the registry before it says the first word; a registry that is slow may take that long.
FIRST_WORD_S: Final = 300.0
# While it fetches or unpacks it tells how far it is; longer silence is the end of the connection or of the engine.
SILENCE_S: Final = 600.0
ACT_S: Final = 120.0
_NAMED: Final = 8


class PullRefusedError(SsmError):
    """The engine could not get the image."""

    code = "pull_refused"


class ImageGoneError(SsmError):
    """The image was removed before the act."""

    code = "image_gone"
    status = 409


class ImageInUseError(SsmError):
    """Containers use the image, or other images are built upon it."""

    code = "image_in_use"
    status = 409


class NameTakenError(SsmError):
    """Another image has the name, and nobody agreed that it loses it."""

    code = "image_name_taken"
    status = 409


def image_path(name: str) -> str:
    """The part of a path that names an image by its reference or id."""
    return quote(name, safe="/:@")


def inspect_image(engine: Engine, name: str) -> dict[str, Any] | None:
    """The engine's answer about an image; None when it has none of that id or name. Raises DeviceError."""
    try:
        answer = engine.get_json(f"/images/{image_path(name)}/json")
    except EngineNotFound:
        return None
    return answer if isinstance(answer, dict) else None


def parsed(text: str) -> ImageReference:
    """The reference in its normal form. Raises SsmError for what is none, and for an id, which no registry knows."""
    try:
        found = parse_reference(text)
    except InvalidReferenceError as exc:
        raise SsmError(str(exc), fix="Write it as host/path:tag, such as nginx:1.27.") from exc
    if isinstance(found, ImageId):
        raise SsmError(f"{text[:80]} is the id of an image, not a name.", fix="Write a name, such as nginx:1.27.")
    return found


# ---- pull --------------------------------------------------------------------------------------------------


def pull(run: Run) -> str:
    """Have the host fetch ``reference`` (for ``platform``, if given) with the credentials that are stored for it.

    Pulled anew by another worker it fetches only what is missing. Returns what changed.
    """
    reference = parsed(str(run.parameters["reference"]))
    name = str(reference)
    held = inspect_image(run.engine, name)
    if "held" not in run.journal:
        run.note(held=image_id(held.get("Id")) if held else "")
    if "pulled" not in run.journal:
        run.step(f"{run.device.name} asks {reference.registry} for {reference.familiar}")
        progress = fetch(run, reference, str(run.parameters.get("platform") or ""))
        run.note(pulled=progress.digest or "yes")
    image = refresh_image(run.device, run.engine, name)
    if image is None:
        raise PullRefusedError(
            f"{run.device.name} said that it has pulled {reference.familiar}, but does not have it.",
            fix="See the output above, and the engine's log on the host.",
        )
    before = str(run.journal.get("held") or "")
    if before == image.engine_id:
        outcome = f"it was up to date already ({image.short_id})"
    elif before:
        outcome = f"fetched {image.short_id}; the name stood for {before.removeprefix('sha256:')[:12]} before"
    else:
        outcome = f"fetched {image.short_id}"
    platform = str(run.parameters.get("platform") or "")
    if platform and image.platform and not image.platform.startswith(platform):
        # An image for one platform alone comes whatever was asked for.
        return f"{outcome}, for {image.platform}: there is none for {platform}"
    return outcome


def fetch(run: Run, reference: ImageReference, platform: str = "") -> PullProgress:
    """Pull on the run's host and show the layers meanwhile. Raises PullRefusedError, DeviceError, OperationCancelled.

    Credentials go with the request alone: they are in no row, no message and no output.
    """
    params = {
        "fromImage": f"{reference.registry}/{reference.repository}",
        "tag": reference.digest or reference.tag,
        "platform": platform or None,
    }
    credentials = pull_credentials_for(str(reference))
    headers = {"X-Registry-Auth": registry_auth_header(credentials)} if credentials else None
    if credentials:
        run.say(f"with the stored account of {reference.registry}")
    progress = PullProgress()
    try:
        answer = run.engine.stream(
            "/images/create",
            params,
            method="POST",
            headers=headers,
            read_timeout_s=SILENCE_S,
            head_timeout_s=FIRST_WORD_S,
        )
    except EngineError as exc:
        raise _refused(run, reference, exc.engine_message or exc.message) from exc
    try:
        with answer:
            for piece in answer:
                progress.feed(piece)
                show_progress(run, progress)
                run.check_cancelled()
    except OperationCancelled as exc:
        raise OperationCancelled(
            exc.message, fix=f"Called off. {run.device.name} gives up what was not whole."
        ) from exc
    progress.end()
    show_progress(run, progress)
    run.flush()
    if progress.error:
        raise _refused(run, reference, progress.error)
    return progress


def show_progress(run: Run, progress: PullProgress) -> None:
    """Show layers as parts, and keep what else was said."""
    for line in progress.take_lines():
        run.say(line)
    if progress.layers:
        run.show(
            [Part(id=layer.id, text=layer.text, current=layer.current, total=layer.total) for layer in progress.layers]
        )


def _refused(run: Run, reference: ImageReference, message: str) -> PullRefusedError:
    said = f"{message[:1].upper()}{message[1:]}".rstrip(".")
    return PullRefusedError(
        f"{run.device.name} could not pull {reference.familiar}: {said}.",
        fix=pull_fix(message, reference.registry),
        details={"engine_message": message},
    )


# ---- tag ---------------------------------------------------------------------------------------------------


def tag(run: Run) -> str:
    """Give the image (``engine_id``) the name ``reference``; ``moves`` agrees that another image loses it."""
    reference = parsed(str(run.parameters["reference"]))
    identity = run.operation.engine_id
    if inspect_image(run.engine, identity) is None:
        refresh_image(run.device, run.engine, identity)
        raise _gone(run)
    held = inspect_image(run.engine, str(reference))
    holder = image_id(held.get("Id")) if held else ""
    if holder == image_id(identity):
        refresh_image(run.device, run.engine, identity)
        return "nothing to do: it has that name already"
    if holder and not run.parameters.get("moves"):
        raise NameTakenError(
            f"On {run.device.name} another image ({holder.removeprefix('sha256:')[:12]}) is called"
            f" {reference.familiar}.",
            fix="Choose another name, or agree that the other image loses it.",
        )
    run.note(begun=True)
    params = {"repo": f"{reference.registry}/{reference.repository}", "tag": reference.tag}
    run.engine.post(f"/images/{image_path(identity)}/tag", params, timeout_s=ACT_S)
    refresh_image(run.device, run.engine, identity)
    if holder:
        return f"now called {reference.familiar}; {holder.removeprefix('sha256:')[:12]} was before"
    return f"now called {reference.familiar}"


def _gone(run: Run) -> ImageGoneError:
    return ImageGoneError(
        f"{run.operation.target_name} is not on {run.device.name} any more.", fix="Nothing is left to do."
    )


# ---- remove ------------------------------------------------------------------------------------------------


def remove(run: Run) -> str:
    """Take the names in ``names`` from the image, or remove it whole without any; ``force`` as the engine's.

    What is in use is refused before anything is taken away: engines take names first and refuse then.
    """
    identity = run.operation.engine_id
    answer = inspect_image(run.engine, identity)
    if answer is None:
        refresh_image(run.device, run.engine, identity)
        return "removed" if run.journal else "nothing to do: it was gone already"
    names = [str(name) for name in run.parameters.get("names") or ()]
    if names:
        outcome = _untag(run, answer, names)
    else:
        outcome = _remove_whole(run, answer, force=bool(run.parameters.get("force")))
    refresh_image(run.device, run.engine, identity)
    return outcome


def _untag(run: Run, answer: dict[str, Any], names: list[str]) -> str:
    found = image_names(answer)
    held = {*found.repo_tags, *found.repo_digests} if found else set()
    left = [name for name in names if name in held]
    if held and held <= set(left):
        # Without its last name it goes as a whole.
        return _remove_whole(run, answer, force=bool(run.parameters.get("force")))
    run.note(begun=True)
    for name in left:
        _delete(run, name, force=False)
    return "" if left else "nothing to do: it has that name no more"


def _remove_whole(run: Run, answer: dict[str, Any], *, force: bool) -> str:
    identity = run.operation.engine_id
    if "begun" not in run.journal:
        _refuse_in_use(run, answer, force=force)
        run.note(begun=True)
    found = image_names(answer)
    if force or found is None:
        _delete(run, identity, force=True)
        return "removed by force" if force else ""
    for name in [*found.repo_tags, *found.repo_digests]:
        _delete(run, name, force=False)
    if inspect_image(run.engine, identity) is not None:
        _delete(run, identity, force=False)
    return ""


def _delete(run: Run, name: str, *, force: bool) -> None:
    """One removal; what is gone already is as good. A refusal tells what stands in the way."""
    try:
        run.engine.delete(f"/images/{image_path(name)}", {"force": force}, timeout_s=ACT_S)
    except EngineNotFound:
        return
    except EngineConflict as exc:
        # Its names may be gone by now: the page shows it as it is.
        refresh_image(run.device, run.engine, run.operation.engine_id)
        raise ImageInUseError(exc.message, fix=_conflict_fix(exc.engine_message), details=exc.details) from exc
    run.say(f"removed {name}")


def _conflict_fix(message: str) -> str:
    if "dependent child images" in message:
        return "Other images are built upon it: remove those first."
    if "running container" in message:
        return "Stop and remove that container first: not even force removes what runs."
    return "Remove the containers that use it first, or remove it by force."


def _refuse_in_use(run: Run, answer: dict[str, Any], *, force: bool) -> None:
    """Raise ImageInUseError with the names of those that stand in the way."""
    identity = image_id(answer.get("Id"))
    users = containers_using(run.engine, identity)
    running = [name for name, state in users if state in ("running", "paused", "restarting")]
    where = f"on {run.device.name}"
    if running:
        raise ImageInUseError(
            f"{run.operation.target_name} {where} is what {_listed(running)} run{'s' if len(running) == 1 else ''}.",
            fix="Remove "
            + ("that container" if len(running) == 1 else "those containers")
            + " first: engines do not even by force remove the image of a running container.",
        )
    if users and not force:
        names = [name for name, _state in users]
        raise ImageInUseError(
            f"{run.operation.target_name} {where} is used by {_listed(names)}, stopped.",
            fix="Remove "
            + ("that container" if len(names) == 1 else "those containers")
            + " first, or remove the image by force: what was created from it stays, but cannot be created again.",
        )
    children = images_built_upon(run.engine, identity)
    if children:
        raise ImageInUseError(
            f"{_listed(children)} {where} {'is' if len(children) == 1 else 'are'} built upon"
            f" {run.operation.target_name}.",
            fix="Remove what is built upon it first.",
        )


def containers_using(engine: Engine, identity: str) -> list[tuple[str, str]]:
    """Name and state of each container of the host that was created from exactly this image. Raises DeviceError."""
    listed = engine.get_json("/containers/json", {"all": True})
    found = []
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and image_id(entry.get("ImageID")) == identity:
            names = entry.get("Names")
            name = names[0] if isinstance(names, list) and names else entry.get("Id")
            found.append((str(name).lstrip("/")[:100], str(entry.get("State"))))
    return sorted(found)


def images_built_upon(engine: Engine, identity: str) -> list[str]:
    """Names of the host's images whose parent this one is, as the classic builder makes them. Raises DeviceError."""
    listed = engine.get_json("/images/json", {"all": True})
    found = []
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and identity and image_id(entry.get("ParentId")) == identity:
            names = image_names(entry)
            tags = names.repo_tags if names else []
            found.append(tags[0] if tags else str(entry.get("Id", ""))[7:19])
    return sorted(found)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
