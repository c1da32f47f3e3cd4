"""Images, volumes, backups and networks: listed, looked at, and the acts that take no form."""

import uuid
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from containers.api.idempotency import idempotent
from containers.api.schemas import OperationEntry, Place
from containers.errors import OperationRefused
from containers.models import Backup, BackupPlan, Image, Network, Operation, Volume
from containers.operations import request_device_operation
from containers.rules.image_names import NameProblemError, pullable_reference
from containers.volume_requests import request_backup, request_remove
from devices.models import Device
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

image_router = Router(tags=["images"])
volume_router = Router(tags=["volumes"])
backup_router = Router(tags=["volumes"])
network_router = Router(tags=["networks"])

_BY_NAME: Final = {"name": ("name", "device__name")}


class OnDevice(Schema):
    """Which ones; all that are given must hold."""

    q: str = Field("", description="Part of the name.", max_length=200)
    device: uuid.UUID | None = None

    def of(self, rows: Any, column: str = "name") -> Any:
        """Those of the rows that pass."""
        if self.device:
            rows = rows.filter(device_id=self.device)
        text = self.q.replace("\x00", "").strip()
        return rows.filter(**{f"{column}__icontains": text}) if text else rows


class ImageEntry(Schema):
    """An image in the store of a device's engine."""

    id: uuid.UUID
    device: Place
    engine_id: str
    tags: list[str]
    digests: list[str]
    os: str
    architecture: str
    size_bytes: int | None
    shared_bytes: int | None = Field(description="Of its size, what other images of the host hold too.")
    created_at: datetime | None

    @classmethod
    def from_row(cls, image: Image) -> "ImageEntry":
        """From its row with the device."""
        return cls(
            id=image.pk,
            device=Place(id=image.device_id, name=image.device.name),
            engine_id=image.engine_id,
            tags=image.repo_tags,
            digests=image.repo_digests,
            os=image.os,
            architecture=image.architecture,
            size_bytes=image.size_bytes,
            shared_bytes=image.shared_bytes,
            created_at=image.created_at,
        )


class ImagePage(Schema):
    """Some images, and where the next page begins."""

    items: list[ImageEntry]
    next: str


class Pull(Schema):
    """What to pull where."""

    reference: str = Field(max_length=1024, examples=["nginx:1.27"])
    device: uuid.UUID
    platform: str = Field("", max_length=60, description="Such as linux/arm64; the host's own when empty.")


class VolumeEntry(Schema):
    """A volume of a device's engine."""

    id: uuid.UUID
    device: Place
    name: str
    driver: str
    labels: dict[str, Any]
    size_bytes: int | None = Field(description="As last measured; null when it never was.")
    is_anonymous: bool
    created_at: datetime | None

    @classmethod
    def from_row(cls, volume: Volume) -> "VolumeEntry":
        """From its row with the device."""
        return cls(
            id=volume.pk,
            device=Place(id=volume.device_id, name=volume.device.name),
            name=volume.name,
            driver=volume.driver,
            labels=volume.labels,
            size_bytes=volume.size_bytes,
            is_anonymous=volume.is_anonymous,
            created_at=volume.created_at,
        )


class VolumePage(Schema):
    """Some volumes, and where the next page begins."""

    items: list[VolumeEntry]
    next: str


class BackupOrder(Schema):
    """How to back up."""

    consistency: BackupPlan.Consistency = Field(
        BackupPlan.Consistency.RUNNING, description="What its containers do meanwhile."
    )
    note: str = Field("", max_length=200)


class BackupEntry(Schema):
    """A backup of a volume; only one in the state `good` can be restored."""

    id: uuid.UUID
    device: Place
    volume: str
    state: str
    consistency: str
    created_at: datetime
    operation: uuid.UUID | None

    @classmethod
    def from_row(cls, backup: Backup) -> "BackupEntry":
        """From its row."""
        return cls(
            id=backup.pk,
            device=Place(id=backup.device_id, name=backup.device_name),
            volume=backup.volume_name,
            state=backup.state,
            consistency=backup.consistency,
            created_at=backup.created_at,
            operation=backup.operation_id,
        )


class BackupPage(Schema):
    """Some backups, the newest first, and where the next page begins."""

    items: list[BackupEntry]
    next: str


class NetworkEntry(Schema):
    """A network of a device's engine."""

    id: uuid.UUID
    device: Place
    name: str
    engine_id: str
    driver: str
    scope: str
    pools: list[dict[str, Any]]
    internal: bool
    attachable: bool
    ipv6_enabled: bool
    labels: dict[str, Any]
    created_at: datetime | None

    @classmethod
    def from_row(cls, network: Network) -> "NetworkEntry":
        """From its row with the device."""
        copied = {
            name: getattr(network, name)
            for name in ("name", "engine_id", "driver", "scope", "pools", "internal", "attachable", "ipv6_enabled")
        }
        return cls(
            id=network.pk,
            device=Place(id=network.device_id, name=network.device.name),
            labels=network.labels,
            created_at=network.created_at,
            **copied,
        )


class NetworkPage(Schema):
    """Some networks, and where the next page begins."""

    items: list[NetworkEntry]
    next: str


@image_router.get("", response=answers(ImagePage), operation_id="images_list")
@needs(Right.SEE)
def images_list(request: HttpRequest, filters: Query[OnDevice], paging: Query[Paging]) -> Any:
    """Images on all devices."""
    rows = (
        filters.of(Image.objects.visible_to(request.user)).select_related("device").defer("history", "layers", "config")
    )
    return page(rows, _BY_NAME, "name", paging).shown(ImageEntry.from_row)


@image_router.post("/pull", response=answers(OperationEntry, 202), operation_id="images_pull")
@needs(Right.OPERATE)
@idempotent
def images_pull(request: HttpRequest, order: Pull) -> Any:
    """Pull an image on a device, with the credentials of the registry's account."""
    device = get_object_or_404(Device.objects.permitted(request.user, Right.OPERATE), pk=order.device)
    try:
        name = pullable_reference(order.reference)
    except NameProblemError as exc:
        raise FieldProblem({"reference": str(exc)}) from exc
    operation = request_device_operation(
        request.user,
        device,
        Operation.Kind.IMAGE_PULL,
        object_kind="image",
        target_name=name,
        engine_id=name,
        lock=f"image:{device.pk}:{name}",
        parameters={"reference": name, "platform": order.platform},
    )
    return Status(202, OperationEntry.of(operation))


@volume_router.get("", response=answers(VolumePage), operation_id="volumes_list")
@needs(Right.SEE)
def volumes_list(request: HttpRequest, filters: Query[OnDevice], paging: Query[Paging]) -> Any:
    """Volumes on all devices."""
    rows = filters.of(Volume.objects.visible_to(request.user)).select_related("device")
    return page(rows, _BY_NAME, "name", paging).shown(VolumeEntry.from_row)


@volume_router.post("/{uuid:pk}/remove", response=answers(OperationEntry, 202), operation_id="volumes_remove")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def volumes_remove(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Remove it with all that is in it. The engine refuses while a container has it."""
    return Status(202, OperationEntry.of(request_remove(request.user, _volume(request, pk))))


@volume_router.post("/{uuid:pk}/backup", response=answers(OperationEntry, 202), operation_id="volumes_backup")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def volumes_backup(request: HttpRequest, pk: uuid.UUID, order: BackupOrder) -> Any:
    """Back it up now; the backup is listed once its operation has succeeded."""
    volume = _volume(request, pk)
    backup = request_backup(request.user, volume.device, volume.name, order.consistency, note=order.note)
    if backup.operation is None:
        raise OperationRefused("The backup could not be asked for.")
    return Status(202, OperationEntry.of(backup.operation))


def _volume(request: HttpRequest, pk: uuid.UUID) -> Volume:
    volumes = Volume.objects.permitted(request.user, Right.MANAGE_VOLUMES).select_related("device")
    return get_object_or_404(volumes, pk=pk)


@backup_router.get("", response=answers(BackupPage), operation_id="backups_list")
@needs(Right.SEE)
def backups_list(request: HttpRequest, filters: Query[OnDevice], paging: Query[Paging]) -> Any:
    """Backups of volumes, the newest first."""
    rows = filters.of(Backup.objects.visible_to(request.user), "volume_name")
    return page(rows, {"created": ("-created_at",)}, "created", paging).shown(BackupEntry.from_row)


@network_router.get("", response=answers(NetworkPage), operation_id="networks_list")
@needs(Right.SEE)
def networks_list(request: HttpRequest, filters: Query[OnDevice], paging: Query[Paging]) -> Any:
    """Networks on all devices."""
    rows = filters.of(Network.objects.visible_to(request.user)).select_related("device")
    return page(rows, _BY_NAME, "name", paging).shown(NetworkEntry.from_row)
