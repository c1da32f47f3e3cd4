"""Devices by the REST API: listed, looked at, swept. They are added and changed on their pages."""

import uuid
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import Field

from devices import work
from devices.models import Device
from ssm.lib.api.access import needs
from ssm.lib.api.errors import answers
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["devices"])
_SORTS: Final = {"name": ("name",)}


class DeviceFilter(Schema):
    """Which devices; all that are given must hold."""

    q: str = Field("", description="Part of the name or address.", max_length=200)
    group: str = Field("", max_length=50)
    state: str = Field("", description="unknown, connecting, online, unreachable or disabled.", max_length=12)


class DeviceEntry(Schema):
    """A server, and how the connection to it stands."""

    id: uuid.UUID
    name: str
    address: str
    groups: list[str]
    state: str = Field(examples=["online"])
    state_since: datetime
    state_message: str
    state_fix: str
    last_seen_at: datetime | None
    engine_product: str
    engine_version: str
    api_version: str
    operating_system: str
    architecture: str
    cpus: int | None
    memory_bytes: int | None
    last_sweep_at: datetime | None
    last_sweep_error: str


class DevicePage(Schema):
    """Some devices, and where the next page begins."""

    items: list[DeviceEntry]
    next: str


@router.get("", response=answers(DevicePage), operation_id="devices_list")
@needs(Right.SEE)
def devices_list(request: HttpRequest, filters: Query[DeviceFilter], paging: Query[Paging]) -> Any:
    """The devices that the caller may see."""
    rows = Device.objects.visible_to(request.user)
    text, group = filters.q.replace("\x00", "").strip(), filters.group.replace("\x00", "").strip()
    if text:
        rows = rows.filter(name__icontains=text) | rows.filter(address__icontains=text)
    if group:
        rows = rows.filter(groups__contains=[group])
    if filters.state:
        rows = rows.filter(state=filters.state.replace("\x00", ""))
    return page(rows, _SORTS, "name", paging).shown(_entry)


@router.get("/{uuid:pk}", response=answers(DeviceEntry), operation_id="devices_get")
@needs(Right.SEE)
def devices_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One device."""
    return _entry(get_object_or_404(Device.objects.visible_to(request.user), pk=pk))


@router.post("/{uuid:pk}/sweep", response=answers(DeviceEntry), operation_id="devices_sweep")
@needs(Right.OPERATE)
def devices_sweep(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Read all of the host anew now; ``last_sweep_at`` tells when that was done."""
    found = get_object_or_404(Device.objects.permitted(request.user, Right.OPERATE), pk=pk)
    work.request_now(work.SWEEP, found)
    return _entry(found)


def _entry(device: Device) -> DeviceEntry:
    return DeviceEntry(**{name: getattr(device, name) for name in DeviceEntry.model_fields})
