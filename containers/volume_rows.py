"""Rows of volumes with the containers that use them, as pages show them."""

import uuid

from containers.models import Container, Volume
from ssm.lib.roles import Right, SomeUser, can_everywhere


def add_users(volumes: list[Volume], viewer: SomeUser) -> None:
    """Give each volume its ``users``: the present containers that mount it, by name.

    ``shown_users`` are those of them that the viewer may see. One query, two for who does not see everything.
    """
    devices = {volume.device_id for volume in volumes}
    wanted = {(volume.device_id, volume.name): volume for volume in volumes}
    for volume in volumes:
        volume.users, volume.shown_users = [], []
    if not wanted:
        return
    containers = (
        Container.objects.present()
        .filter(device__in=devices, mounts__contains=[{"kind": "volume"}])
        .only("name", "display_name", "device_id", "state", "health", "mounts", "exit_code", "oom_killed")
        .order_by("name")
    )
    for container in containers:
        for source in {mount.get("source") for mount in container.mounts if mount.get("kind") == "volume"}:
            found = wanted.get((container.device_id, source))
            if found is not None:
                found.users.append(container)
    seen = None
    if not can_everywhere(viewer, Right.SEE):
        used_by = [container.pk for volume in volumes for container in volume.users]
        seen = set(Container.objects.visible_to(viewer).filter(pk__in=used_by).values_list("pk", flat=True))
    for volume in volumes:
        volume.shown_users = [container for container in volume.users if seen is None or container.pk in seen]


def find_volume(volume_id: uuid.UUID | str, viewer: SomeUser) -> Volume | None:
    """The volume as pages show it to the viewer. Two queries, three for who does not see everything."""
    volume = Volume.objects.for_page().filter(pk=volume_id).first()
    if volume is not None:
        add_users([volume], viewer)
    return volume
