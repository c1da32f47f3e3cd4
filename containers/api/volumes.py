"""Volumes: listed, looked at, made, copied, measured, backed up, removed; and the plans of their backups."""

import uuid
from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from containers import batches
from containers.api.asking import Asked, ask_any, connected_devices, device_for, devices_for, require_preview
from containers.api.idempotency import idempotent
from containers.api.inventory import CREATED, SIZE, SORTS, OnDevice
from containers.api.schemas import Named, OperationEntry, Place
from containers.errors import OperationRefused
from containers.forms.volumes import CopyForm, VolumeForm
from containers.models import BackupPlan, Volume
from containers.volume_prunes import previews, prune_item, stamp_of
from containers.volume_requests import creation, request_backup, request_copy, request_remove
from containers.volume_rows import add_users
from ssm.lib.api.access import needs
from ssm.lib.api.errors import Conflict, answers
from ssm.lib.api.forms import Text, check, lines_of
from ssm.lib.api.paging import Paging, page
from ssm.lib.jobs import enqueue
from ssm.lib.roles import Right

router = Router(tags=["volumes"])

MEASURE_TASK = "containers.measure_volumes"
_MOST_DEVICES = 1000


class VolumeFilter(OnDevice):
    """Which volumes; all that are given must hold."""

    use: Literal["", "used", "unused", "anonymous", "named"] = ""
    backups: Literal["", "planned", "some", "none"] = ""
    driver: Text = Field("", max_length=128)
    sort: Literal["name", "-name", "device", "-device", "size", "-size", "created", "-created"] = Field(
        "name", description="size and created: the largest and newest first."
    )


class VolumeEntry(Schema):
    """A volume of a device's engine."""

    id: uuid.UUID
    device: Place
    name: str = Field(examples=["data"])
    driver: str = Field(examples=["local"])
    labels: dict[str, Any]
    size_bytes: int | None = Field(description="As last measured; null when it never was.")
    size_at: datetime | None
    is_anonymous: bool
    is_used: bool = Field(description="Whether any container mounts it.")
    backed_up_at: datetime | None = Field(description="When the last good backup was made.")
    has_plan: bool
    created_at: datetime | None

    @classmethod
    def of(cls, volume: Volume) -> "VolumeEntry":
        """From a row of ``for_page()``."""
        return cls(**_entry(volume))


class VolumeDetail(VolumeEntry):
    """All of a volume."""

    mountpoint: str
    options: dict[str, Any] = Field(description="Of its driver, secrets masked.")
    users: list[Named] = Field(description="The containers that mount it, as far as you may see them.")
    user_count: int


class VolumePage(Schema):
    """Some volumes, and where the next page begins."""

    items: list[VolumeEntry]
    next: str


class NewVolume(Schema):
    """A volume to make, on one device or several."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=255, examples=["data"])
    devices: list[uuid.UUID] = Field(min_length=1, max_length=batches.MOST_ITEMS)
    driver: str = Field("local", max_length=128)
    options: dict[str, str] = Field(
        {}, max_length=200, description="Of the driver; may hold passwords: kept encrypted."
    )
    labels: dict[str, str] = Field({}, max_length=200)


class BackupOrder(Schema):
    """How to back up."""

    model_config = ConfigDict(extra="forbid")

    consistency: BackupPlan.Consistency = Field(
        BackupPlan.Consistency.RUNNING, description="What its containers do meanwhile."
    )
    note: str = Field("", max_length=200)


class CopyOrder(Schema):
    """A copy of a volume as a new one."""

    model_config = ConfigDict(extra="forbid")

    device: uuid.UUID
    name: str = Field(max_length=255, examples=["data-copy"])
    consistency: BackupPlan.Consistency = BackupPlan.Consistency.RUNNING


class MeasureOrder(Schema):
    """Of which device; of all when null."""

    device: uuid.UUID | None = None


class Measured(Schema):
    """How many devices are asked for the sizes of their volumes."""

    devices: int


class VolumePruneQuery(Schema):
    """Which volumes would go."""

    scope: Literal["anonymous", "unused"] = Field("anonymous", description="Made for a container that is gone; or all.")
    device: uuid.UUID | None = None


class VolumePruneOrder(VolumePruneQuery):
    """Which volumes to remove: the answer to the preview, so that nothing else goes."""

    model_config = ConfigDict(extra="forbid")

    stamp: str = Field(max_length=64, description="That of the preview.")


class VolumePrunedHost(Schema):
    """What goes from one host."""

    device: Place
    count: int
    size_bytes: int = Field(description="What that frees, as far as it is known.")
    without_backup: int
    names: list[str] = Field(description="The first thousand.")


class VolumePrune(Schema):
    """What would go."""

    stamp: str = Field(description="Names exactly this; to be sent with the order.")
    count: int
    size_bytes: int
    hosts: list[VolumePrunedHost]


@router.get("", response=answers(VolumePage), operation_id="volumes_list")
@needs(Right.SEE)
def volumes_list(request: HttpRequest, filters: Query[VolumeFilter], paging: Query[Paging]) -> Any:
    """Volumes on all devices."""
    rows = filters.of(Volume.objects.visible_to(request.user)).for_page()
    rows = rows.annotate(size_order=SIZE, created_order=CREATED)
    if filters.driver:
        rows = rows.filter(driver=filters.driver)
    if filters.use in ("used", "unused"):
        rows = rows.filter(is_used=filters.use == "used")
    elif filters.use:
        rows = rows.filter(is_anonymous=filters.use == "anonymous")
    if filters.backups == "planned":
        rows = rows.filter(has_plan=True)
    elif filters.backups:
        rows = rows.filter(backed_up_at__isnull=filters.backups == "none")
    return page(rows, SORTS, filters.sort, paging).shown(VolumeEntry.of)


@router.post("", response=answers(Asked, 202), operation_id="volumes_create")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def volumes_create(request: HttpRequest, order: NewVolume) -> Any:
    """Make a volume, on one device or several."""
    devices = devices_for(request, order.devices, Right.MANAGE_VOLUMES)
    data = order.model_dump(include={"name", "driver"}) | {"devices": [str(device.pk) for device in devices]}
    data |= {"options": lines_of(order.options), "labels": lines_of(order.labels)}
    form = VolumeForm(data, choices=devices)
    check(form)
    items = [creation(device, form.volume) for device in devices]
    return ask_any(request, items, f"Make the volume {form.volume.name} on {len(items)} devices")


@router.post("/measure", response=answers(Measured, 202), operation_id="volumes_measure")
@needs(Right.MANAGE_VOLUMES)
def volumes_measure(request: HttpRequest, order: MeasureOrder) -> Any:
    """Have the sizes of volumes asked for now: engines walk over all files for it."""
    devices = connected_devices(request, Right.MANAGE_VOLUMES, device=order.device)
    chosen = list(devices.values_list("pk", flat=True)[:_MOST_DEVICES])
    if not chosen:
        raise Conflict("No device that could be asked is connected.")
    for pk in chosen:
        enqueue(MEASURE_TASK, str(pk), expires_s=300)
    return Status(202, Measured(devices=len(chosen)))


@router.get("/prune", response=answers(VolumePrune), operation_id="volumes_prune_preview")
@needs(Right.MANAGE_VOLUMES)
def volumes_prune_preview(request: HttpRequest, query: Query[VolumePruneQuery]) -> Any:
    """What removing unused volumes would take from the hosts that are connected."""
    hosts = _previews(request, query)
    told = [
        VolumePrunedHost(
            device=Place(id=host.device.pk, name=host.device.name),
            count=len(host.volumes),
            size_bytes=host.size_bytes,
            without_backup=host.unsafe_count,
            names=[volume.name for volume in host.volumes[:1000]],
        )
        for host in hosts
    ]
    return VolumePrune(
        stamp=stamp_of(hosts),
        count=sum(host.count for host in told),
        size_bytes=sum(host.size_bytes for host in told),
        hosts=told,
    )


@router.post("/prune", response=answers(Asked, 202), operation_id="volumes_prune")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def volumes_prune(request: HttpRequest, order: VolumePruneOrder) -> Any:
    """Remove exactly what the preview with this stamp told, as far as it is still unused. What is in it is lost."""
    hosts = _previews(request, order)
    require_preview(hosts, stamp_of(hosts), order.stamp)
    count = sum(len(host.volumes) for host in hosts)
    title = f"Remove {count} unused volumes on {len(hosts)} devices"
    return ask_any(request, [prune_item(host) for host in hosts], title)


def _previews(request: HttpRequest, query: VolumePruneQuery) -> Any:
    devices = connected_devices(request, Right.MANAGE_VOLUMES, device=query.device)
    return previews(list(devices.order_by("name")), query.scope)


@router.get("/{uuid:pk}", response=answers(VolumeDetail), operation_id="volumes_get")
@needs(Right.SEE)
def volumes_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One volume, and who uses it."""
    volume = get_object_or_404(Volume.objects.visible_to(request.user).for_page(), pk=pk)
    add_users([volume], request.user)
    return VolumeDetail(
        **_entry(volume),
        mountpoint=volume.mountpoint,
        options=volume.options,
        users=[Named(id=row.pk, name=row.name) for row in volume.shown_users],
        user_count=len(volume.users),
    )


@router.post("/{uuid:pk}/remove", response=answers(OperationEntry, 202), operation_id="volumes_remove")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def volumes_remove(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Remove it with all that is in it. The engine refuses while a container has it."""
    return Status(202, OperationEntry.of(request_remove(request.user, _volume(request, pk))))


@router.post("/{uuid:pk}/backup", response=answers(OperationEntry, 202), operation_id="volumes_backup")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def volumes_backup(request: HttpRequest, pk: uuid.UUID, order: BackupOrder) -> Any:
    """Back it up now; the backup is listed at once and good once its operation has succeeded."""
    volume = _volume(request, pk)
    backup = request_backup(request.user, volume.device, volume.name, order.consistency, note=order.note)
    if backup.operation is None:
        raise OperationRefused("The backup could not be asked for.")
    return Status(202, OperationEntry.of(backup.operation))


@router.post("/{uuid:pk}/copy", response=answers(OperationEntry, 202), operation_id="volumes_copy")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def volumes_copy(request: HttpRequest, pk: uuid.UUID, order: CopyOrder) -> Any:
    """Copy it as a new volume, on its own or another device."""
    volume = _volume(request, pk)
    target = device_for(request, order.device, Right.MANAGE_VOLUMES)
    form = CopyForm(order.model_dump() | {"device": str(target.pk)}, choices=[target])
    check(form)
    operation = request_copy(request.user, volume, target, form.cleaned_data["name"], order.consistency)
    return Status(202, OperationEntry.of(operation))


def _volume(request: HttpRequest, pk: uuid.UUID) -> Volume:
    volumes = Volume.objects.permitted(request.user, Right.MANAGE_VOLUMES).select_related("device")
    return get_object_or_404(volumes, pk=pk)


def _entry(volume: Volume) -> dict[str, Any]:
    copied = ("name", "driver", "labels", "size_bytes", "size_at", "is_anonymous", "created_at")
    facts = ("is_used", "backed_up_at", "has_plan")
    return {
        "id": volume.pk,
        "device": Place(id=volume.device_id, name=volume.device.name),
        **{name: getattr(volume, name) for name in (*copied, *facts)},
    }
