"""What acts on images ask for: of which object, under which lock; and what removing unused ones would take."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

from containers.batches import Item
from containers.models import Image, Operation
from containers.rules.pruning import Freed, candidates, freed
from containers.runs.pruning import stored_images
from devices.models import Device, now

KIND: Final = Operation.Kind
# Of each host; what is beyond is counted, and goes too.
_SHOWN: Final = 100
# One operation names every image that it removes.
MOST_OF_A_HOST: Final = 2000


def image_lock(device: Device, name: str) -> str:
    """What an act on an image holds: nobody else acts on that id or name of the device meanwhile."""
    return f"image:{device.pk}:{name}"


def image_item(image: Image, kind: str, parameters: dict[str, Any], *, device: Device | None = None) -> Item:
    """An act on an image, on its own device or on another one (copies)."""
    where = device or image.device
    return Item(
        device=where,
        kind=kind,
        object_kind=Operation.ObjectKind.IMAGE,
        target_name=image.title,
        engine_id=image.engine_id,
        lock=image_lock(where, image.engine_id),
        parameters=parameters,
    )


def pull_item(device: Device, name: str, platform: str = "") -> Item:
    """A pull of a name (already known to be one) on a device."""
    return Item(
        device=device,
        kind=KIND.IMAGE_PULL,
        object_kind="image",
        target_name=name,
        engine_id=name,
        lock=image_lock(device, name),
        parameters={"reference": name, "platform": platform},
    )


@dataclass(frozen=True, slots=True)
class HostPreview:
    """What a prune would take from one host: all of it, the first ones to show, and what that frees."""

    device: Device
    images: list[Image]
    freed: Freed

    @property
    def shown(self) -> list[Image]:
        """The largest ones."""
        return self.images[:_SHOWN]

    @property
    def hidden(self) -> int:
        """How many are not shown."""
        return len(self.images) - len(self.shown)


def previews(devices: list[Device], scope: str, age: str) -> list[HostPreview]:
    """What goes from each host that has something to remove. One query."""
    rows = Image.objects.filter(device__in=devices).with_users().order_by("device__name", "device")
    rows = rows.only(
        "device_id", "engine_id", "name", "repo_tags", "size_bytes", "shared_bytes", "created_at", "layers"
    )
    by_id = {device.pk: device for device in devices}
    moment, older_than = now(), timedelta(days=int(age)) if age else None
    found = []
    for device_id, group in groupby(rows, lambda row: row.device_id):
        images = {row.engine_id: row for row in group}
        stored = stored_images(list(images.values()))
        chosen = candidates(stored, scope, older_than=older_than, moment=moment)[:MOST_OF_A_HOST]
        if chosen:
            keys = {image.key for image in chosen}
            room = freed(chosen, [image for image in stored if image.key not in keys])
            found.append(HostPreview(by_id[device_id], [images[image.key] for image in chosen], room))
    return found


def prune_item(host: HostPreview) -> Item:
    """The removal of exactly what a preview showed."""
    return Item(
        device=host.device,
        kind=KIND.IMAGE_PRUNE,
        object_kind=Operation.ObjectKind.DEVICE,
        target_name=host.device.name,
        lock=f"image:{host.device.pk}:prune",
        parameters={"items": [{"id": image.engine_id, "names": image.repo_tags} for image in host.images]},
    )


def stamp_of(hosts: list[HostPreview]) -> str:
    """What tells one preview from another: removed is only what was shown."""
    lines = [f"{host.device.pk} {image.engine_id} {image.repo_tags}" for host in hosts for image in host.images]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:32]
