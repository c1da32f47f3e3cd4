"""The images that a host holds, to rows: names from one list, details of new ones alone.

The list is asked with each sweep; an event about an image brings that one up to date at once.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote

from django.db import transaction

from containers.models import Container, Image
from containers.rules.image_facts import ImageFacts, ImageNames, image_facts, image_id, image_names
from devices.connections import Engine
from devices.errors import DeviceError, EngineNotFound, NotDocker
from devices.models import Device, now
from registries.rules.references import InvalidReferenceError, parse_reference

logger = logging.getLogger(__name__)

INSPECTIONS_AT_ONCE: Final = 4
# New ones that one sweep looks at; a host with more is read to the end by the next ones.
MOST_NEW: Final = 500
CHANGING: Final = frozenset({"pull", "tag", "untag", "delete", "remove", "load", "import", "build", "commit", "prune"})
_DETAILS: Final = [
    "os",
    "architecture",
    "variant",
    "os_version",
    "size_bytes",
    "created_at",
    "labels",
    "manifest_digest",
]


def sweep_images(device: Device, engine: Engine) -> int:
    """Bring all image rows of a device in line with its host; how many were new. Raises DeviceError."""
    listed = engine.get_json("/images/json")
    if not isinstance(listed, list):
        # Not to be taken for an empty list: every row of the device would vanish.
        raise NotDocker(f"{engine.target.label}: the engine's list of images is no list.")
    found = [image_names(entry) for entry in listed if isinstance(entry, dict)]
    names = {item.engine_id: item for item in found if item is not None}
    # An image that only a container holds may be in no list any more (containerd's store).
    used = set(Container.objects.present().filter(device=device).values_list("image_id", flat=True))
    used = {identity for identity in map(image_id, used) if identity}
    known = set(Image.objects.filter(device=device).values_list("engine_id", flat=True))
    new = [identity for identity in [*names, *sorted(used - set(names))] if identity not in known][:MOST_NEW]
    details = _inspect_each(engine, new)
    with transaction.atomic(durable=True):
        rows = {row.engine_id: row for row in Image.objects.select_for_update().filter(device=device)}
        gone = [row.pk for row in rows.values() if row.engine_id not in names and row.engine_id not in used]
        Image.objects.filter(pk__in=gone).delete()
        lost = [ImageNames(identity, [], []) for identity in rows if identity not in names and identity in used]
        _write(device, rows, [*names.values(), *lost], details)
    return len(details)


def _inspect_each(engine: Engine, identities: Iterable[str]) -> dict[str, ImageFacts]:
    """What the host tells of these images; one that it refuses to tell of is left for the next sweep."""

    def look(identity: str) -> ImageFacts | None:
        try:
            return _inspect(engine, identity)
        except DeviceError as exc:
            if not exc.is_answer:
                raise
            logger.info("image not read: %s", exc, extra={"image": identity})
            return None

    wanted = list(identities)
    with ThreadPoolExecutor(INSPECTIONS_AT_ONCE, thread_name_prefix="images") as executor:
        answers = zip(wanted, executor.map(look, wanted), strict=True)
        return {identity: facts for identity, facts in answers if facts is not None}


def _inspect(engine: Engine, name: str) -> ImageFacts | None:
    """Facts of one image by its id or name; None when the host has no such image."""
    try:
        answer = engine.get_json(f"/images/{quote(name, safe='/:@')}/json")
    except EngineNotFound:
        return None
    if not isinstance(answer, dict):
        raise NotDocker(f"{engine.target.label}: the engine's answer about an image is no object.")
    return image_facts(answer)


def _write(device: Device, rows: dict[str, Image], names: Iterable[ImageNames], details: dict[str, ImageFacts]) -> None:
    """Make what is new, change what differs. Names that a known image lost with its entry in the list stay known."""
    moment = now()
    fresh: list[Image] = []
    changed: list[Image] = []
    for item in names:
        row = rows.get(item.engine_id)
        if row is None:
            continue
        digests = item.repo_digests or (row.repo_digests if not item.repo_tags else [])
        if (row.repo_tags, row.repo_digests) != (item.repo_tags, digests):
            row.repo_tags, row.repo_digests, row.changed_at, row.seen_at = item.repo_tags, digests, moment, moment
            changed.append(row)
    for identity, facts in details.items():
        row = rows.get(identity)
        if row is None:
            row = Image(device=device, engine_id=identity)
            fresh.append(row)
        else:
            changed.append(row)
        _copy(row, facts)
        row.changed_at = row.seen_at = moment
    Image.objects.bulk_create(fresh, ignore_conflicts=True)
    Image.objects.bulk_update(
        {row.pk: row for row in changed}.values(),
        ["repo_tags", "repo_digests", *_DETAILS, "changed_at", "seen_at"],
        batch_size=200,
    )


def _copy(row: Image, facts: ImageFacts) -> None:
    row.repo_tags, row.repo_digests = facts.names.repo_tags, facts.names.repo_digests
    for name in _DETAILS:
        setattr(row, name, getattr(facts, name))


def apply_image_event(device: Device, engine: Engine, action: str, subject: str) -> None:
    """Bring one image up to date after an event about it. Raises DeviceError.

    ``subject`` is what the engine calls it: an id, or a name after a pull. What was deleted goes, unless a container
    still runs it.
    """
    if action not in CHANGING or not _is_askable(subject):
        return
    facts = _inspect(engine, subject)
    with transaction.atomic(durable=True):
        if facts is None:
            _forget(device, subject)
        else:
            _take_names(device, facts)
            rows = {row.engine_id: row for row in Image.objects.filter(device=device, engine_id=facts.names.engine_id)}
            _write(device, rows, [], {facts.names.engine_id: facts})


def _is_askable(subject: str) -> bool:
    try:
        parse_reference(subject)
    except InvalidReferenceError:
        return False
    return True


def _forget(device: Device, subject: str) -> None:
    identity = image_id(subject)
    if not identity:
        return
    rows: Any = Image.objects.filter(device=device, engine_id=identity)
    if Container.objects.present().filter(device=device, image_id__endswith=identity.removeprefix("sha256:")).exists():
        rows.update(repo_tags=[], changed_at=now())
    else:
        rows.delete()


def _take_names(device: Device, facts: ImageFacts) -> None:
    """A name stands for one image: those that had the names of this one have lost them."""
    names = set(facts.names.repo_tags)
    others = Image.objects.filter(device=device, repo_tags__overlap=sorted(names))
    for row in others.exclude(engine_id=facts.names.engine_id):
        row.repo_tags = [name for name in row.repo_tags if name not in names]
        row.changed_at = now()
        row.save(update_fields=["repo_tags", "changed_at"])
