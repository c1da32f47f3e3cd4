"""Devices by the REST API: listed, looked at, added, changed, removed, tested, read anew."""

import uuid
from typing import Any, Final, Literal

from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from devices.api.filling import filled
from devices.api.schemas import (
    DeviceChange,
    DeviceDetail,
    DeviceEntry,
    DeviceFilter,
    KeyEntry,
    NewDevice,
)
from devices.connection_tests import told_steps
from devices.forms.devices import ConnectionTestForm, DeviceForm
from devices.models import Device
from devices.rules.grades import ABILITIES, Grade
from devices.rules.host_keys import HostKeyError, parse_host_key
from devices.services import connection_target, replace_host_keys, request_attempt_now
from devices.work import kind_named, request_now
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.api.access import needs
from ssm.lib.api.errors import Conflict, FieldProblem, answers
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right, can

router = Router(tags=["devices"])
_SORTS: Final = {
    "name": ("name",),
    "state": ("state", "name"),
    "engine": ("engine_version", "name"),
    "added": ("created_at", "name"),
}
_AUDITED: Final = ("jumps", "host_keys")


class DevicePage(Schema):
    """Some devices, and where the next page begins."""

    items: list[DeviceEntry]
    next: str


class Run(Schema):
    """What to do now, whatever its schedule says."""

    kind: Literal["sweep", "statistics", "updates"] = "sweep"


class Accepted(Schema):
    """A host key that was compared with the host's own."""

    key: str = Field(
        max_length=9000, description="Type and base64, as in its .pub file.", examples=["ssh-ed25519 AAAA…"]
    )


class Ability(Schema):
    """Something that SSM does on hosts."""

    name: str
    title: str
    grade: str = Field(description="The lowest grade of access that has it.")
    is_there: bool | None = Field(description="Whether the device allows it; null: not looked at yet.")


class Access(Schema):
    """What SSM may do on a device."""

    grade: str = Field(description="nothing, watch, operate or everything; empty: not looked at yet.")
    abilities: list[Ability]


class ConnectionTestLine(Schema):
    """A line of a connection test: a step as it changes, or (with `done`) what all of it came to."""

    step: str = Field("", examples=["host_key"])
    state: str = Field("", description="running, ok, failed, needs_decision or skipped.")
    title: str = ""
    detail: str = ""
    duration_ms: int | None = None
    host_key: str = Field("", description="The key that was shown: accept it by sending it back, once compared.")
    fingerprint: str = ""
    code: str = ""
    message: str = ""
    fix: str = ""
    done: bool = False
    ok: bool = False


@router.get("", response=answers(DevicePage), operation_id="devices_list")
@needs(Right.SEE)
def devices_list(request: HttpRequest, filters: Query[DeviceFilter], paging: Query[Paging]) -> Any:
    """The devices that the caller may see."""
    rows = Device.objects.visible_to(request.user)
    if text := filters.q:
        rows = (
            rows.filter(name__icontains=text)
            | rows.filter(address__icontains=text)
            | rows.filter(operating_system__icontains=text)
        )
    if filters.group:
        rows = rows.filter(groups__contains=[filters.group])
    if filters.state:
        rows = rows.filter(state=filters.state)
    return page(rows, _SORTS, filters.sort, paging).shown(DeviceEntry.of)


@router.post("", response=answers(DeviceDetail, 201), operation_id="devices_create")
@needs(Right.MANAGE_DEVICES)
def devices_create(request: HttpRequest, order: NewDevice) -> Any:
    """Add a device. It is connected to at once; an unknown host key is refused until it is accepted."""
    return Status(201, _store(request, order, None))


@router.post("/test", response=answers(ConnectionTestLine), operation_id="devices_test_new")
@needs(Right.MANAGE_DEVICES)
def devices_test_new(request: HttpRequest, order: DeviceChange) -> Any:
    """Test a connection before it is saved, as `application/x-ndjson`: one object of the kind below for each step."""
    form = filled(request, order, None, ConnectionTestForm)
    return _tested(form.target(), form.host_key, form.accepted_hops)


@router.get("/{uuid:pk}", response=answers(DeviceDetail), operation_id="devices_get")
@needs(Right.SEE)
def devices_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One device; its settings for those who may manage it."""
    return _detail(request, get_object_or_404(Device.objects.visible_to(request.user), pk=pk).pk)


@router.patch("/{uuid:pk}", response=answers(DeviceDetail), operation_id="devices_change")
@needs(Right.MANAGE_DEVICES)
def devices_change(request: HttpRequest, pk: uuid.UUID, order: DeviceChange) -> Any:
    """Change what is named of a device; it is connected to anew."""
    return _store(request, order, _managed(request, pk))


@router.delete("/{uuid:pk}", response=answers(None, 204), operation_id="devices_remove")
@needs(Right.MANAGE_DEVICES)
def devices_remove(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Forget a device with all that is known of its containers. Nothing is changed on the server itself."""
    device = _managed(request, pk)
    if device.carried.exists():
        raise Conflict(
            f"{device.name} is a jump host of other devices.", fix="Give these another way first, then remove it."
        )
    record_audit(request.user, "device.remove", device, before=snapshot(device, *_AUDITED), request=request)
    device.delete()
    return Status(204, None)


@router.post("/{uuid:pk}/test", response=answers(ConnectionTestLine), operation_id="devices_test")
@needs(Right.MANAGE_DEVICES)
def devices_test(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Test the connection to a device, as `application/x-ndjson`: one object of the kind below for each step."""
    return _tested(connection_target(_managed(request, pk)), None, {})


@router.post("/{uuid:pk}/retry", response=answers(DeviceEntry), operation_id="devices_retry")
@needs(Right.MANAGE_DEVICES)
def devices_retry(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Try an unreachable device now instead of at its next turn."""
    device = _managed(request, pk)
    request_attempt_now(device)
    device.refresh_from_db()
    return DeviceEntry.of(device)


@router.post("/{uuid:pk}/host-key", response=answers(list[KeyEntry]), operation_id="devices_accept_key")
@needs(Right.MANAGE_DEVICES)
def devices_accept_key(request: HttpRequest, pk: uuid.UUID, order: Accepted) -> Any:
    """Trust this host key in place of all older ones of the device, and try it at once. Answers with its keys."""
    device = _managed(request, pk)
    try:
        key = parse_host_key(order.key)
    except HostKeyError as exc:
        raise FieldProblem({"key": f"This is no host key that can be used: {exc}."}) from exc
    before = snapshot(device, *_AUDITED)
    replace_host_keys(device, key, request.user)
    after = snapshot(device, *_AUDITED)
    record_audit(request.user, "hostkey.accept", device, before=before, after=after, request=request)
    request_attempt_now(device)
    return [KeyEntry.of(key) for key in device.host_keys.select_related("device", "accepted_by")]


@router.get("/{uuid:pk}/access", response=answers(Access), operation_id="devices_access")
@needs(Right.MANAGE_DEVICES)
def devices_access(request: HttpRequest, pk: uuid.UUID) -> Any:
    """What SSM may do on the device: its grade, and each ability."""
    device = _managed(request, pk)
    has = set(device.access_abilities) if device.access_checked_at else None
    return Access(
        grade=device.access_grade if device.access_grade in list(Grade) else "",
        abilities=[
            Ability(
                name=ability.key,
                title=ability.label,
                grade=ability.grade.value,
                is_there=None if has is None else ability.key in has,
            )
            for ability in ABILITIES
        ],
    )


@router.post("/{uuid:pk}/run", response=answers(DeviceEntry, 202), operation_id="devices_run")
@needs(Right.OPERATE)
def devices_run(request: HttpRequest, pk: uuid.UUID, order: Run) -> Any:
    """Have a sweep, a reading of statistics or a check for updates done now."""
    return Status(202, _run(request, pk, order.kind))


@router.post("/{uuid:pk}/sweep", response=answers(DeviceEntry), operation_id="devices_sweep")
@needs(Right.OPERATE)
def devices_sweep(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Read all of the host anew now; ``last_sweep_at`` tells when that was done."""
    return _run(request, pk, "sweep")


def _run(request: HttpRequest, pk: uuid.UUID, kind: str) -> DeviceEntry:
    device = get_object_or_404(Device.objects.permitted(request.user, Right.OPERATE), pk=pk)
    wanted = kind_named(kind)
    assert wanted is not None  # noqa: S101 - the schema knows no other
    if not wanted.is_wanted(device):
        raise Conflict(f"{wanted.label}: switched off for {device.name}.", fix="Switch it on in its settings.")
    request_now(wanted, device)
    return DeviceEntry.of(device)


def _managed(request: HttpRequest, pk: uuid.UUID) -> Device:
    devices = Device.objects.permitted(request.user, Right.MANAGE_DEVICES)
    return get_object_or_404(devices.select_related("credential"), pk=pk)


def _store(request: HttpRequest, order: DeviceChange, device: Device | None) -> DeviceDetail:
    before = None if device is None else snapshot(device, *_AUDITED)
    form = filled(request, order, device, DeviceForm)
    stored = form.store()
    if (made := form.new_credential) is not None:
        record_audit(request.user, "credential.add", made, after=snapshot(made), request=request)
    action, after = "device.add" if before is None else "device.change", snapshot(stored, *_AUDITED)
    record_audit(request.user, action, stored, before=before, after=after, request=request)
    return _detail(request, stored.pk)


def _detail(request: HttpRequest, pk: uuid.UUID) -> DeviceDetail:
    rows = Device.objects.with_counts().select_related("credential", "tls", "proxy_credential", "docker_credential")
    manages = can(request.user, Right.MANAGE_DEVICES)
    manages = manages and Device.objects.permitted(request.user, Right.MANAGE_DEVICES).filter(pk=pk).exists()
    return DeviceDetail.with_all(rows.get(pk=pk), manages=manages)


def _tested(*prepared: Any) -> StreamingHttpResponse:
    response = StreamingHttpResponse(told_steps(*prepared), content_type="application/x-ndjson")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response
