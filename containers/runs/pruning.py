"""Remove the unused images of a host that somebody saw in a preview: those and no others."""

from contextlib import suppress
from datetime import UTC, datetime

from containers.image_sync import refresh_image, sweep_images
from containers.models import Image
from containers.rules.image_facts import image_id, image_names
from containers.rules.pruning import StoredImage, freed
from containers.runs.images import ACT_S, containers_using, image_path, inspect_image
from containers.runs.run import Run
from devices.errors import EngineConflict, EngineError, EngineNotFound
from ssm.templatetags.ui import size


def stored_images(images: "list[Image]") -> list[StoredImage]:
    """Rows (``container_count`` annotated) as the rules take them."""
    return [
        StoredImage(
            key=str(row.engine_id),
            tags=tuple(row.repo_tags),
            size_bytes=row.size_bytes or 0,
            created_at=row.created_at,
            is_used=bool(getattr(row, "container_count", 0)),
            layers=row.layer_list,
        )
        for row in images
    ]


def prune(run: Run) -> str:
    """Remove each of ``items`` ({"id", "names"}) that is still unused and has no name that the preview did not show.

    Never the engine's own prune, which would take what came meanwhile too. Returns how many, and what that freed.
    """
    items = [item for item in run.parameters.get("items") or () if isinstance(item, dict)]
    wanted = {image_id(item.get("id")): item for item in items}
    before = stored_images(list(Image.objects.filter(device=run.device).only(*_COLUMNS)))
    run.note(begun_at=run.journal.get("begun_at") or datetime.now(UTC).isoformat())
    gone: set[str] = set()
    skipped = 0
    for place, (identity, item) in enumerate(wanted.items(), start=1):
        run.check_cancelled()
        run.step(f"{place} of {len(wanted)}")
        reason = _remove(run, identity, [str(name) for name in item.get("names") or ()])
        if reason:
            skipped += 1
            run.say(f"left {identity[:19]}: {reason}")
        else:
            gone.add(identity)
    sweep_images(run.device, run.engine)
    removed = [image for image in before if image.key in gone]
    room = freed(removed, [image for image in before if image.key not in gone])
    text = f"{len(gone)} removed, {'' if room.is_exact else 'at most '}{size(room.size_bytes)} freed"
    return f"{text}; {skipped} left, see the output" if skipped else text


_COLUMNS = ("engine_id", "repo_tags", "size_bytes", "created_at", "layers")


def _remove(run: Run, identity: str, shown: list[str]) -> str:
    """Remove one; why it was left, empty if it is gone."""
    answer = inspect_image(run.engine, identity) if identity else None
    if answer is None:
        return ""
    found = image_names(answer)
    names: list[str] = [*found.repo_tags, *found.repo_digests] if found else []
    if found and not set(found.repo_tags) <= set(shown):
        return "it was given another name meanwhile"
    if users := containers_using(run.engine, identity):
        return f"{users[0][0]} uses it"
    try:
        for name in names:
            _delete(run, name)
        if inspect_image(run.engine, identity) is not None:
            _delete(run, identity)
    except EngineConflict as exc:
        refresh_image(run.device, run.engine, identity)
        return exc.engine_message or exc.message
    except EngineError as exc:
        return exc.engine_message or exc.message
    run.say(f"removed {names[0] if names else identity[:19]}")
    return ""


def _delete(run: Run, name: str) -> None:
    with suppress(EngineNotFound):
        run.engine.delete(f"/images/{image_path(name)}", timeout_s=ACT_S)
