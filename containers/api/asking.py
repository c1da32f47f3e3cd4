"""Acts on hosts, asked for by the API: the operation or the batch as the answer, refusals as errors."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import Http404, HttpRequest
from ninja import Schema, Status
from pydantic import Field

from containers import batches
from containers.api.schemas import BatchEntry, OperationEntry
from containers.batches import Item
from containers.errors import OperationRefused
from devices.models import Device
from ssm.lib.api.errors import Conflict, FieldProblem
from ssm.lib.roles import Right


class Asked(Schema):
    """What was asked for: one operation, or a batch of them where it reaches several hosts."""

    operation: OperationEntry | None = Field(None, description="The one act.")
    batch: BatchEntry | None = Field(None, description="Several; `GET /operations?batch=` tells of each.")


def ask_one(request: HttpRequest, item: Item) -> Any:
    """202 with the operation. OperationRefused."""
    return Status(202, OperationEntry.of(batches.request_item(request.user, item)))


def ask_all(
    request: HttpRequest, items: Sequence[Item], title: str, *, stops: bool = False, in_turn: bool = False
) -> Any:
    """202 with the batch. OperationRefused without items."""
    batch = batches.request_items(request.user, items, title=title, stops_on_failure=stops, one_per_device=in_turn)
    return Status(202, BatchEntry.of(batch, batches.standing_of(batch)))


def ask_any(
    request: HttpRequest, items: Sequence[Item], title: str, *, stops: bool = False, in_turn: bool = False
) -> Any:
    """202 with `Asked`: an operation for one item, a batch for several. OperationRefused."""
    if len(items) == 1:
        return Status(202, Asked(operation=ask_one(request, items[0]).value, batch=None))
    batch = ask_all(request, items, title, stops=stops, in_turn=in_turn)
    return Status(202, Asked(operation=None, batch=batch.value))


def connected_devices(request: HttpRequest, right: Right, *, device: uuid.UUID | None, group: str = "") -> Any:
    """Devices that can be asked now and on which the caller holds the right: all, one, or those of a group."""
    devices = Device.objects.permitted(request.user, right).filter(state=Device.State.ONLINE)
    if device is not None:
        devices = devices.filter(pk=device)
    if group:
        devices = devices.filter(groups__contains=[group])
    return devices


def require_preview(hosts: Sequence[Any], stamp: str, seen: str) -> None:
    """Let nothing be removed but what the caller has seen: OperationRefused without anything, Conflict for another."""
    if not hosts:
        raise OperationRefused("There is nothing to remove any more.")
    if stamp != seen:
        raise Conflict("What would be removed has changed meanwhile.", fix="Ask for the preview again.")


def devices_for(request: HttpRequest, ids: Iterable[uuid.UUID], right: Right, field: str = "devices") -> list[Device]:
    """These devices in the order given, on all of which the caller holds the right. FieldProblem for any other."""
    wanted = list(dict.fromkeys(ids))
    found = {device.pk: device for device in Device.objects.permitted(request.user, right).filter(pk__in=wanted)}
    unknown = [pk for pk in wanted if pk not in found]
    if unknown:
        raise FieldProblem({field: f"There is no device {unknown[0]}, or you may not do this there."})
    return [found[pk] for pk in wanted]


def device_for(request: HttpRequest, pk: uuid.UUID, right: Right) -> Device:
    """The device on which the caller holds the right. Http404."""
    found = Device.objects.permitted(request.user, right).filter(pk=pk).first()
    if found is None:
        raise Http404
    return found
