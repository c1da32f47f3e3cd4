"""Update a container to another image, go back to what it was before, and give up what was kept for that."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from containers.models import Replacement
from containers.rules.replacement import Watch, foreign_platform
from containers.rules.specification import InvalidSpecificationError, Specification, specification_of
from containers.rules.update_targets import with_image
from containers.runs import succession
from containers.runs.hands import Hands
from containers.runs.images import fetch, inspect_image, parsed
from containers.runs.replacing import Adopted, replace
from containers.runs.run import Run
from ssm.lib.errors import SsmError


class UpdateRefused(SsmError):
    """The update cannot be made; nothing was done to the container."""

    code = "update_refused"
    status = 409


class NoWayBack(SsmError):
    """What the container was before is not to be had any more; nothing was done."""

    code = "no_way_back"
    status = 409


class StillInUse(SsmError):
    """A kept container runs, so it is not removed."""

    code = "still_in_use"
    status = 409


def _keep_for(parameters: Mapping[str, Any]) -> timedelta | None:
    seconds = parameters.get("keep_old_s")
    return timedelta(seconds=seconds) if isinstance(seconds, int) and seconds > 0 else None


# ---- update


def update(run: Run) -> str:
    """Pull ``reference`` and put a container of it in the place of the operation's, under ``watch``.

    ``keep_old_s`` keeps the old one for that long. Errors as replacing.replace, and of the pull.
    """
    reference = str(run.parameters["reference"])
    if "image_id" not in run.journal:
        image_id = _pull(run, reference)
        if not image_id:
            return "nothing to do: it runs that image already"
        run.note(image_id=image_id)
    return replace(
        run,
        run.operation.engine_id,
        Specification.from_json(run.sealed["wanted"]),
        watch=Watch.from_json(run.parameters.get("watch")),
        keep_old_for=_keep_for(run.parameters),
        expected_image=run.journal["image_id"],
    ).sentence


def _pull(run: Run, reference: str) -> str:
    """Have the image on the host, and the configuration of its container kept; its id, empty if it runs already."""
    hands = Hands(run)
    inspect = hands.inspect(run.operation.engine_id)
    if inspect is None:
        raise UpdateRefused(
            f"{run.operation.target_name} does not exist on {run.device.name} any more.", fix="Nothing is left to do."
        )
    wanted = parsed(reference)
    # So that a host that is lost meanwhile is asked again, instead of the pull being given up.
    run.note(pulling=reference)
    run.step(f"{run.device.name} pulls {wanted.familiar}")
    fetch(run, wanted)
    image = inspect_image(run.engine, str(wanted)) or inspect_image(run.engine, reference)
    if image is None:
        raise UpdateRefused(f"{run.device.name} does not have {wanted.familiar} after it was pulled.", fix="Try again.")
    image_id, old_id = str(image.get("Id", "")), str(inspect.get("Image", ""))
    old_image = hands.image(old_id)
    is_same = image_id.removeprefix("sha256:") == old_id.removeprefix("sha256:")
    if is_same and (inspect.get("Config") or {}).get("Image") == reference:
        return ""
    if foreign := foreign_platform(old_image, image, run.engine.version):
        raise UpdateRefused(
            f"{wanted.familiar} is built for {foreign}, which {run.device.name} does not run: the container was not "
            "touched.",
            fix="Choose a tag that is built for the host, or ask the publisher for one.",
        )
    run.seal(wanted=with_image(specification_of(inspect, old_image), reference, image_id).as_json())
    return image_id


# ---- the way back


def roll_back(run: Run) -> str:
    """Put back what the operation's container replaced: the kept container, or one made anew of its configuration."""
    replacement = Replacement.objects.filter(pk=run.parameters["replacement"], device=run.device).first()
    if replacement is None:
        raise NoWayBack("SSM does not know any more what it was before.", fix="Create it from its image.")
    specification = _specification(replacement)
    if "way" not in run.journal:
        is_kept = replacement.is_kept and Hands(run).inspect(replacement.old_engine_id) is not None
        image = "" if is_kept else _old_image(run, replacement)
        run.note(way="kept" if is_kept else "anew", reference=image)
    adopted = None
    if run.journal["way"] == "kept":
        adopted = Adopted(replacement.old_engine_id, replacement.restart_policy)
    else:
        specification = specification.with_image(run.journal["reference"])
    outcome = replace(
        run,
        run.operation.engine_id,
        specification,
        watch=Watch.from_json(run.parameters.get("watch")),
        keep_old_for=_keep_for(run.parameters),
        adopted=adopted,
    )
    succession.mark_restored(replacement)
    notes = [] if adopted else ["made anew, as the old container was removed: what was written inside it is lost"]
    return "; ".join([*notes, *outcome.notes])


def _specification(replacement: Replacement) -> Specification:
    try:
        return Specification.from_json(replacement.specification_json)
    except InvalidSpecificationError as exc:
        raise NoWayBack("Its former configuration is not known.", fix="Create it from its image.") from exc


def _old_image(run: Run, replacement: Replacement) -> str:
    """A reference of the old image, which is on the host afterwards. Its own name if that still stands for it."""
    old_id = replacement.old_image_id.removeprefix("sha256:")
    for reference in (replacement.old_image, *_pinned(replacement), replacement.old_image_id):
        found = inspect_image(run.engine, reference) if reference else None
        if found is not None and str(found.get("Id", "")).removeprefix("sha256:") == old_id:
            return reference
    for reference in _pinned(replacement):
        run.note(pulling=reference)
        run.step(f"{run.device.name} pulls {reference}")
        fetch(run, parsed(reference))
        if inspect_image(run.engine, reference) is not None:
            return reference
    raise NoWayBack(
        f"The image {replacement.old_image} that it ran before is not on {run.device.name} any more, and no digest is "
        "known by which it could be pulled.",
        fix="Update it to a tag that has it, or load the image from elsewhere.",
    )


def _pinned(replacement: Replacement) -> list[str]:
    """The old reference with the digests that its image was known by."""
    name = replacement.old_image.partition("@")[0]
    digests = [str(entry).partition("@")[2] for entry in replacement.old_digests]
    return [f"{name}@{digest}" for digest in digests if digest and not name.startswith("sha256:")]


# ---- what was kept


def discard(run: Run) -> str:
    """Remove the container that was kept; its volumes stay."""
    replacement = Replacement.objects.filter(pk=run.parameters["replacement"], device=run.device).first()
    if replacement is None:
        return "nothing to do: it is not known any more"
    hands = Hands(run)
    look = hands.look(replacement.old_engine_id)
    if look is not None and (look.is_up or look.name != replacement.kept_name):
        succession.keep_on(replacement)
        raise StillInUse(
            f"{look.name} on {run.device.name} was kept as {replacement.kept_name}, but somebody has "
            f"{'started' if look.is_up else 'renamed'} it since: it was not removed.",
            fix="Remove it on its own page if nobody needs it.",
        )
    run.note(discarding=replacement.old_engine_id)
    hands.remove(replacement.old_engine_id, with_volumes=False)
    succession.mark_removed(replacement)
    succession.show(run.operation, run.engine, replacement.old_engine_id)
    return "" if look is not None else "nothing to do: it was gone already"
