"""Ask for acts on volumes and backups: what is recorded, and what nobody else may do meanwhile. Database only."""

from collections.abc import Sequence
from typing import Any, Final

from django.db import transaction

from containers.batches import Item, request_item
from containers.errors import OperationRefused
from containers.models import Backup, BackupPlan, Operation, Volume
from containers.operation_requests import request_device_operation
from containers.push import publish
from containers.rules.volume_facts import NewVolume
from devices.models import Device
from ssm.lib.roles import SomeUser

MODES: Final = ("new", "replace", "over")


def volume_lock(device: Device, name: str) -> str:
    """What nobody else may hold while something is done to a volume."""
    return f"volume:{device.pk}:{name}"


def prune_lock(device: Device) -> str:
    """What nobody else may hold while unused volumes of a device are removed."""
    return f"volumes:{device.pk}"


def request_create(user: SomeUser, device: Device, wanted: NewVolume) -> Operation:
    """A new volume. Its options may hold passwords of file servers: they are kept encrypted. OperationConflict."""
    return request_item(user, creation(device, wanted))


def creation(device: Device, wanted: NewVolume) -> Item:
    """A new volume as part of a batch."""
    return Item(
        device=device,
        kind=Operation.Kind.VOLUME_CREATE,
        object_kind="volume",
        target_name=wanted.name,
        engine_id=wanted.name,
        lock=volume_lock(device, wanted.name),
        parameters={},
        sealed={"driver": wanted.driver, "options": wanted.options, "labels": wanted.labels},
    )


def removal(volume: Volume) -> Item:
    """The removal of a volume as part of a batch."""
    return Item(
        device=volume.device,
        kind=Operation.Kind.VOLUME_REMOVE,
        object_kind="volume",
        target_name=volume.name,
        engine_id=volume.name,
        lock=volume_lock(volume.device, volume.name),
        parameters={},
    )


def request_remove(user: SomeUser, volume: Volume) -> Operation:
    """The removal of a volume. OperationConflict."""
    return request_item(user, removal(volume))


def request_prune(user: SomeUser, device: Device, names: list[str]) -> Operation:
    """The removal of these volumes, as far as nothing uses them. OperationConflict, OperationRefused without any."""
    if not names:
        raise OperationRefused(f"{device.name} has no unused volumes.", fix="Nothing is to be done.")
    return request_device_operation(
        user,
        device,
        Operation.Kind.VOLUME_PRUNE,
        object_kind="device",
        target_name=device.name,
        engine_id="",
        lock=prune_lock(device),
        parameters={"names": names},
    )


def request_backup(
    user: SomeUser,
    device: Device,
    volume_name: str,
    consistency: str,
    *,
    plan: BackupPlan | None = None,
    note: str = "",
) -> Backup:
    """A backup, to be made. OperationConflict when something else is done to the volume."""
    if consistency not in BackupPlan.Consistency.values:
        raise OperationRefused("It is not known what the containers shall do meanwhile.")
    with transaction.atomic():
        backup = _new_backup(user, device, volume_name, consistency, plan=plan, note=note[:200])
        backup.operation = request_device_operation(
            user,
            device,
            Operation.Kind.VOLUME_BACKUP,
            object_kind="volume",
            target_name=volume_name,
            engine_id=volume_name,
            lock=volume_lock(device, volume_name),
            parameters={"backup": str(backup.pk), "consistency": consistency},
        )
        backup.save(force_insert=True)
        publish("backup", device.pk, [backup.pk], what="appeared")
    return backup


def backup_items(user: SomeUser, volumes: Sequence[Volume], consistency: str) -> list[Item]:
    """Backups of several volumes as parts of a batch; their rows are made, and told to have failed if refused."""
    items = []
    for volume in volumes:
        backup = _new_backup(user, volume.device, volume.name, consistency)
        backup.save(force_insert=True)
        items.append(
            Item(
                device=volume.device,
                kind=Operation.Kind.VOLUME_BACKUP,
                object_kind="volume",
                target_name=volume.name,
                engine_id=volume.name,
                lock=volume_lock(volume.device, volume.name),
                parameters={"backup": str(backup.pk), "consistency": consistency},
            )
        )
    return items


def _new_backup(user: SomeUser, device: Device, volume_name: str, consistency: str, **columns: Any) -> Backup:
    return Backup(
        device=device,
        device_name=device.name,
        volume_name=volume_name,
        consistency=consistency,
        requested_by_name=user.get_username()[:150],
        **columns,
    )


def request_restore(
    user: SomeUser,
    backup: Backup,
    device: Device,
    volume_name: str,
    *,
    mode: str,
    safety: bool = True,
    during: str = "stopped",
    wanted: NewVolume | None = None,
) -> Operation:
    """A restore into a volume of a device. ``wanted`` tells driver, options and labels of a new one. OperationConflict.

    ``during`` is what containers do while it is written over.
    """
    if mode not in MODES or during not in BackupPlan.Consistency.values:
        raise OperationRefused("It is not known how the backup shall be restored.")
    if not backup.is_good:
        raise OperationRefused(
            f"This backup is {backup.get_state_display()}: it cannot be restored.", fix="Choose a good one."
        )
    parameters: dict[str, Any] = {"backup": str(backup.pk), "mode": mode}
    if mode != "new":
        parameters |= {"safety": safety, "during": during if mode == "over" else "running"}
    sealed = {"driver": wanted.driver, "options": wanted.options, "labels": wanted.labels} if wanted else {}
    return _request_fill(user, device, volume_name, parameters, sealed)


def request_copy(
    user: SomeUser, volume: Volume, device: Device, name: str, consistency: str, wanted: NewVolume | None = None
) -> Operation:
    """A copy of a volume as a new one, on its own or another device. OperationConflict."""
    if consistency not in BackupPlan.Consistency.values:
        raise OperationRefused("It is not known what the containers shall do meanwhile.")
    parameters = {
        "source": {"device": str(volume.device_id), "volume": volume.name},
        "mode": "new",
        "consistency": consistency,
    }
    labels = wanted.labels if wanted else dict(volume.labels)
    sealed = {"driver": wanted.driver if wanted else "local", "options": {}, "labels": labels}
    return _request_fill(user, device, name, parameters, sealed)


def _request_fill(
    user: SomeUser, device: Device, name: str, parameters: dict[str, Any], sealed: dict[str, Any]
) -> Operation:
    return request_device_operation(
        user,
        device,
        Operation.Kind.VOLUME_RESTORE,
        object_kind="volume",
        target_name=name,
        engine_id=name,
        lock=volume_lock(device, name),
        parameters=parameters,
        sealed=sealed,
    )
