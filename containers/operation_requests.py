"""Ask for an Operation: the right to it, one at a time on each object, and refusals in words. Database only."""

import json
from collections.abc import Callable
from typing import Any, Final

from django.db import IntegrityError

from containers import operations
from containers.errors import OperationConflict, OperationRefused
from containers.models import Batch, Container, Network, Operation, Volume
from containers.rules.operation_kinds import right_for
from devices.models import Device, now
from ssm.lib.roles import Right, SomeUser, can_everywhere

_ING: Final = {
    "start": "being started",
    "stop": "being stopped",
    "restart": "being restarted",
    "pause": "being paused",
    "unpause": "being resumed",
    "kill": "being killed",
    "remove": "being removed",
    "rename": "being renamed",
    "configure": "being changed",
    "recreate": "being recreated",
    "update": "being updated",
    "rollback": "being rolled back",
    "discard": "being cleared of its predecessor",
    "create": "being created",
    "image_pull": "being pulled",
    "image_tag": "being tagged",
    "image_copy": "being copied",
    "volume_create": "being created",
    "volume_backup": "being backed up",
    "volume_restore": "being restored",
    "network_create": "being created",
    "network_connect": "being connected",
    "network_disconnect": "being disconnected",
    "network_configure": "being changed",
    "device_test": "being tested",
    "device_sweep": "being read",
    "device_check": "being checked for updates",
}


# Objects with labels of their own, which a limit by labels reaches; of all others their device is asked.
_LABELLED: Final[dict[str, tuple[Any, str]]] = {"network": (Network, "engine_id"), "volume": (Volume, "name")}


def _check_right(user: SomeUser, kind: str, rows: Callable[[], Any], name: str) -> None:
    """The one door to hosts: whoever asks needs the act's right on the object. SSM itself (nobody) is let through.

    Views ask too, to hide what is not there for somebody; this holds for all of them, and for the API. No query where
    the right is unlimited.
    """
    right = Right(right_for(kind))
    if not user.is_authenticated or can_everywhere(user, right):
        return
    if not rows().permitted(user, right).exists():
        raise OperationRefused(f"You may not do this with {name}.", fix="Ask an administrator for the right.")


def _rows_of(device: Device, object_kind: str, engine_id: str) -> Any:
    """What an act is on, as far as there is a row of it that labels may limit; else its device."""
    if object_kind in _LABELLED and engine_id:
        model, column = _LABELLED[object_kind]
        rows = model.objects.filter(device=device, **{column: engine_id})
        if rows.exists():
            return rows
    return Device.objects.filter(pk=device.pk)


def request_operation(
    user: SomeUser,
    container: Container,
    kind: str,
    parameters: dict[str, Any] | None = None,
    *,
    sealed: dict[str, Any] | None = None,
    batch: Batch | None = None,
    wave: int = 0,
    lane: str = "",
) -> Operation:
    """Record an act on a container and hand it to the workers; one of a higher wave waits for the lower ones.

    ``sealed`` is kept encrypted: for what may hold secrets, such as environment values. Raises OperationRefused when
    the container is gone, and OperationConflict when another act on it is under way.
    """
    _check_kind(kind)
    _check_right(user, kind, lambda: Container.objects.filter(pk=container.pk), container.title)
    device = container.device
    if container.removed_at is not None:
        raise OperationRefused(
            f"{container.title} does not exist on {device.name} any more, so it cannot be acted on.",
            fix="Look for its successor in the list of containers.",
        )
    try:
        return operations.create(
            **_of_container(user, container),
            kind=kind,
            parameters=parameters or {},
            sealed=_sealed(sealed),
            batch=batch,
            wave=wave,
            lane=lane,
        )
    except IntegrityError as exc:
        raise _conflict(container.title, container.device, container.operations.active().first()) from exc


def request_device_operation(
    user: SomeUser,
    device: Device,
    kind: str,
    *,
    object_kind: str,
    target_name: str,
    engine_id: str = "",
    lock: str = "",
    parameters: dict[str, Any] | None = None,
    sealed: dict[str, Any] | None = None,
    batch: Batch | None = None,
    wave: int = 0,
    lane: str = "",
) -> Operation:
    """Record an act on something of a device that is no container, or not yet, and hand it to the workers.

    ``engine_id`` is what the engine calls the object, ``lock`` what nobody else may act on meanwhile (empty:
    nothing). Raises OperationConflict when somebody does.
    """
    _check_kind(kind)
    if object_kind not in Operation.ObjectKind.values:
        raise OperationRefused(f"“{object_kind[:40]}” is not something that can be acted on.")
    _check_right(user, kind, lambda: _rows_of(device, object_kind, engine_id), target_name)
    try:
        return operations.create(
            **_of_user(user),
            device=device,
            device_name=device.name,
            kind=kind,
            object_kind=object_kind,
            target_name=target_name[:640],
            engine_id=engine_id[:640],
            lock=lock[:800],
            parameters=parameters or {},
            sealed=_sealed(sealed),
            batch=batch,
            wave=wave,
            lane=lane,
        )
    except IntegrityError as exc:
        holder = Operation.objects.active().filter(lock=lock[:800]).first()
        raise _conflict(target_name, device, holder) from exc


def _check_kind(kind: str) -> None:
    if kind not in Operation.Kind.values:
        raise OperationRefused(f"“{kind[:40]}” is not something that can be done.")


def _sealed(values: dict[str, Any] | None) -> str:
    return json.dumps(values) if values else ""


def record_refusal(user: SomeUser, refused: OperationRefused, **columns: Any) -> Operation:
    """Record an item of a batch that could not be asked for as failed, so that it has its result like the others.

    ``columns`` are those of an Operation beside who asked and how it ended; of a container, ``container`` is enough.
    """
    container = columns.pop("container", None)
    of = _of_container(user, container) if container is not None else _of_user(user)
    operation = Operation.objects.create(
        **{**of, **columns},
        state=Operation.State.FAILED,
        finished_at=now(),
        error_code=refused.code,
        error_message=refused.message,
        error_fix=refused.fix,
    )
    operations.announce(operation, what="appeared")
    return operation


def _of_user(user: SomeUser) -> dict[str, Any]:
    return {
        "requested_by": user if user.is_authenticated else None,
        "requested_by_name": user.get_username()[:150],
    }


def _of_container(user: SomeUser, container: Container) -> dict[str, Any]:
    return {
        **_of_user(user),
        "device": container.device,
        "device_name": container.device.name,
        "container": container,
        "engine_id": container.engine_id,
        "target_name": container.name,
    }


def _conflict(title: str, device: Device, first: Operation | None) -> OperationConflict:
    if first is None:  # it ended between the two queries
        return OperationConflict(f"Another operation on {title} has only just ended.", fix="Try again.")
    who = f" for {first.requested_by_name}" if first.requested_by_name else ""
    return OperationConflict(
        f"{title} on {device.name} is {_ING.get(first.kind, 'being removed')} already{who}, "
        f"since {first.created_at:%H:%M:%S} UTC.",
        fix="Wait until that has ended, then try again.",
        details={"operation": str(first.pk)},
    )
