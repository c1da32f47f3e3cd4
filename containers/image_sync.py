"""The images that a host holds, to rows: names from one list, details of new ones alone.

The list is asked with each sweep; an event about an image brings that one up to date at once. Layers never change, and
are read once: of an image that is told by an event at once, of the many that a first sweep finds in the next ones.
"""

import logging
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from django.db import transaction
from django.db.models import QuerySet

from containers.models import Container, Image
from containers.push import publish
from containers.rules.image_facts import ImageFacts, ImageNames, image_facts, image_id, image_names
from containers.rules.image_layers import HistoryStep, history_steps, layers, shared_sizes
from devices.connections import Engine
from devices.errors import DeviceError, EngineNotFound, NotDocker
from devices.models import Device, now
from registries.rules.references import InvalidReferenceError, parse_reference

logger = logging.getLogger(__name__)

INSPECTIONS_AT_ONCE: Final = 4
# New ones that one sweep looks at; a host with more is read to the end by the next ones.
MOST_NEW: Final = 500
# What a sweep that has nothing else to look at spends on layers that were not read yet.
LAYERS_FOR_S: Final = 10.0
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
    "config",
]
_NAMES: Final = ["repo_tags", "repo_digests", "name", "changed_at", "seen_at"]
_LAYERS: Final = ["history", "layers"]


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
        rows = {row.engine_id: row for row in _locked(device)}
        gone = [row.pk for row in rows.values() if row.engine_id not in names and row.engine_id not in used]
        Image.objects.filter(pk__in=gone).delete()
        publish("image", device.pk, gone, what="vanished")
        lost = [ImageNames(identity, [], []) for identity in rows if identity not in names and identity in used]
        _write(device, rows, [*names.values(), *lost], details)
        if gone or details:
            _settle_shared(device)
    if not new:
        read_layers(device, engine)
    return len(details)


def read_layers(device: Device, engine: Engine, *, patience_s: float = LAYERS_FOR_S) -> int:
    """Read the layers of images that were not read yet, as many as the time allows; how many. Raises DeviceError."""
    deadline = time.monotonic() + patience_s
    unread = Image.objects.filter(device=device, history__isnull=True).order_by("-seen_at", "pk")
    read = 0
    for row in unread.only("engine_id")[:MOST_NEW]:
        if time.monotonic() > deadline:
            break
        read += 1
        _read_layers_of(engine, row)
    if read:
        with transaction.atomic(durable=True):
            _settle_shared(device)
    return read


def _read_layers_of(engine: Engine, row: Image) -> None:
    """Read configuration and layers of one image; what the engine refuses to tell is not asked for again."""
    try:
        facts, steps = _inspect(engine, row.engine_id), _history(engine, row.engine_id)
    except DeviceError as exc:
        if not exc.is_answer:
            raise
        logger.info("layers not read: %s", exc, extra={"image": row.engine_id})
        facts, steps = None, []
    found = layers(facts.diff_ids, steps) if facts is not None else None
    columns: dict[str, Any] = {"history": steps, "layers": [layer.as_json() for layer in found or ()]}
    if facts is not None:
        columns["config"] = facts.config
    Image.objects.filter(pk=row.pk).update(**columns)


def _history(engine: Engine, name: str) -> list[HistoryStep]:
    """Steps of how an image was built; none when the host has it no more. Raises DeviceError."""
    try:
        return history_steps(engine.get_json(f"/images/{quote(name, safe='/:@')}/history"))
    except EngineNotFound:
        return []


def _settle_shared(device: Device) -> None:
    """Write what each image shares with others of the device, where that changed. Inside a transaction; three queries.

    Nothing is known of any of them until all were read: what the unread ones share would be missing in the sums.
    """
    rows = list(Image.objects.filter(device=device).only("engine_id", "layers", "shared_bytes"))
    shared = shared_sizes({row.engine_id: row.layer_list for row in rows})
    if Image.objects.filter(device=device, history__isnull=True).exists():
        shared = dict.fromkeys(shared)
    changed = [row for row in rows if row.shared_bytes != shared[row.engine_id]]
    for row in changed:
        row.shared_bytes = shared[row.engine_id]
    Image.objects.bulk_update(changed, ["shared_bytes"], batch_size=500)
    publish("image", device.pk, [row.pk for row in changed])


def _locked(device: Device) -> QuerySet[Image]:
    """The device's images for a change, without what is large."""
    return Image.objects.select_for_update().filter(device=device).defer(*_LAYERS, "config")


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
    renamed: dict[uuid.UUID, Image] = {}
    detailed: dict[uuid.UUID, Image] = {}
    for item in names:
        row = rows.get(item.engine_id)
        if row is None:
            continue
        digests = item.repo_digests or (row.repo_digests if not item.repo_tags else [])
        if (row.repo_tags, row.repo_digests) != (item.repo_tags, digests):
            _name(row, item.repo_tags, digests, moment)
            renamed[row.pk] = row
    for identity, facts in details.items():
        row = rows.get(identity)
        if row is None:
            row = Image(device=device, engine_id=identity)
            fresh.append(row)
        else:
            detailed[row.pk] = row
        _name(row, facts.names.repo_tags, facts.names.repo_digests, moment)
        for column in _DETAILS:
            setattr(row, column, getattr(facts, column))
    Image.objects.bulk_create(fresh, ignore_conflicts=True)
    Image.objects.bulk_update(renamed.values(), _NAMES, batch_size=200)
    Image.objects.bulk_update(detailed.values(), [*_NAMES, *_DETAILS], batch_size=200)
    publish("image", device.pk, [*renamed, *detailed])
    publish("image", device.pk, [row.pk for row in fresh], what="appeared")


def _name(row: Image, tags: list[str], digests: list[str], moment: datetime) -> None:
    row.repo_tags, row.repo_digests = tags, digests
    row.name = next(iter([*tags, *digests]), "")
    row.changed_at = row.seen_at = moment


def apply_image_event(device: Device, engine: Engine, action: str, subject: str) -> None:
    """Bring one image up to date after an event about it. Raises DeviceError.

    ``subject`` is what the engine calls it: an id, or a name after a pull. What was deleted goes, unless a container
    still runs it.
    """
    if action not in CHANGING or not _is_askable(subject):
        return
    refresh_image(device, engine, subject)


def refresh_image(device: Device, engine: Engine, subject: str) -> Image | None:
    """Bring the row of one image up to date with its host; None when the host has no such image. Raises DeviceError.

    ``subject`` is an id, or a name. Other images lose the names that this one has now.
    """
    facts = _inspect(engine, subject)
    if facts is None:
        with transaction.atomic(durable=True):
            _forget(device, subject)
            _settle_shared(device)
        return None
    identity = facts.names.engine_id
    with transaction.atomic(durable=True):
        _take_names(device, facts)
        _write(
            device, {row.engine_id: row for row in _locked(device).filter(engine_id=identity)}, [], {identity: facts}
        )
    row = Image.objects.filter(device=device, engine_id=identity).first()
    if row is not None and row.history is None:
        _read_layers_of(engine, row)
        with transaction.atomic(durable=True):
            _settle_shared(device)
    return row


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
    rows = Image.objects.filter(device=device, engine_id=identity)
    found = list(rows.values_list("pk", flat=True))
    if Container.objects.present().filter(device=device, image_id__endswith=identity.removeprefix("sha256:")).exists():
        rows.update(repo_tags=[], name="", changed_at=now())
        publish("image", device.pk, found)
    else:
        rows.delete()
        publish("image", device.pk, found, what="vanished")


def _take_names(device: Device, facts: ImageFacts) -> None:
    """A name stands for one image: those that had the names of this one have lost them."""
    names = set(facts.names.repo_tags)
    others = _locked(device).filter(repo_tags__overlap=sorted(names)).exclude(engine_id=facts.names.engine_id)
    moment = now()
    losers = list(others)
    for row in losers:
        _name(row, [name for name in row.repo_tags if name not in names], row.repo_digests, moment)
    Image.objects.bulk_update(losers, _NAMES)
    publish("image", device.pk, [row.pk for row in losers])
