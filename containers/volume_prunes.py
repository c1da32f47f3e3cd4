"""What removing unused volumes would take from each host."""

import hashlib
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from django.db.models import Q

from containers.batches import Item
from containers.models import Operation, Volume
from containers.volume_requests import prune_lock
from devices.models import Device

# Of each host; what is beyond is counted, and goes too.
_SHOWN: Final = 100
# One operation names every volume that it removes.
MOST_OF_A_HOST: Final = 2000


@dataclass(frozen=True, slots=True)
class HostPreview:
    """What a prune would take from one host."""

    device: Device
    volumes: list[Volume]

    @property
    def shown(self) -> list[Volume]:
        """The largest ones."""
        return self.volumes[:_SHOWN]

    @property
    def hidden(self) -> int:
        """How many are not shown."""
        return len(self.volumes) - len(self.shown)

    @property
    def size_bytes(self) -> int:
        """What is known to be freed."""
        return sum(volume.size_bytes or 0 for volume in self.volumes)

    @property
    def unsafe_count(self) -> int:
        """How many have no backup."""
        return sum(volume.backed_up_at is None for volume in self.volumes)


def previews(devices: list[Device], scope: str) -> list[HostPreview]:
    """What goes from each host that has something to remove, the largest first. One query."""
    rows = Volume.objects.filter(device__in=devices).for_page().filter(Q(("is_used", False)))
    if scope == "anonymous":
        rows = rows.filter(is_anonymous=True)
    by_id = {device.pk: device for device in devices}
    found = []
    for device_id, group in groupby(rows.order_by("device__name", "device"), lambda row: row.device_id):
        volumes = sorted(group, key=lambda row: (-(row.size_bytes or 0), row.name))[:MOST_OF_A_HOST]
        found.append(HostPreview(by_id[device_id], volumes))
    return found


def stamp_of(hosts: list[HostPreview]) -> str:
    """What tells one preview from another: removed is only what was shown."""
    lines = [f"{host.device.pk} {volume.name}" for host in hosts for volume in host.volumes]
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "replace")).hexdigest()[:32]


def prune_item(host: HostPreview) -> Item:
    """The removal of exactly what a preview showed."""
    return Item(
        device=host.device,
        kind=Operation.Kind.VOLUME_PRUNE,
        object_kind=Operation.ObjectKind.DEVICE,
        target_name=host.device.name,
        lock=prune_lock(host.device),
        parameters={"names": [volume.name for volume in host.volumes]},
    )
