"""Rows of volumes with the containers that use them, as pages show them."""

import uuid

from containers.models import Container, Volume


def add_users(volumes: list[Volume]) -> None:
    """Give each volume its ``users``: the present containers that mount it, by name. One query."""
    devices = {volume.device_id for volume in volumes}
    wanted = {(volume.device_id, volume.name): volume for volume in volumes}
    for volume in volumes:
        volume.users = []
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


def find_volume(volume_id: uuid.UUID | str) -> Volume | None:
    """The volume as pages show it. Two queries."""
    volume = Volume.objects.for_page().filter(pk=volume_id).first()
    if volume is not None:
        add_users([volume])
    return volume
