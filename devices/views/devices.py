"""Pages of devices."""

import uuid
from dataclasses import replace
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db.models import F, Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.datastructures import MultiValueDict
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from devices.connection_tests import stream, untried_steps
from devices.errors import DeviceError
from devices.forms.devices import SCHEDULES, ConnectionTestForm, DeviceForm
from devices.forms.fields import preview
from devices.forms.ways import accept_jump_key
from devices.models import Device
from devices.querysets import DeviceQuerySet
from devices.rules.host_keys import HostKeyError, PinnedKey, parse_host_key
from devices.rules.targets import ConnectionTarget
from devices.services import (
    connection_target,
    effective_credential,
    hops_of,
    note_configured,
    replace_host_keys,
    request_attempt_now,
)
from devices.work import kind_named, request_now
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import allowed, is_about
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import Right, can_administer, can_operate, can_view
from ssm.lib.tables import Choice, chips, choice_of, order_by, page_of, sort_of, text_of

STATES: Final = tuple(Choice(state.value, state.label.capitalize()) for state in Device.State)
_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name",),
    "state": ("state", "name"),
    "engine": ("engine_version", "name"),
    "containers": ("-container_count", "name"),
    "cpu": ("name",),
    "memory": ("name",),
    "disk": ("name",),
    "seen": ("-last_seen_at", "name"),
}
# Of the host's own: percent of its CPUs, and the used share of its memory and its disk.
_RANKS: Final = {"cpu": F("usage__cpu_percent"), "memory": F("memory_share"), "disk": F("disk_share")}
_LATEST: Final = 8
_AUDITED: Final = ("jumps", "host_keys")
_CONTAINERS_SHOWN: Final = 50


def find_device(request: HttpRequest, pk: uuid.UUID, right: Right = Right.SEE) -> Device:
    """The device if it exists and the user holds the right on it, else 404."""
    devices = Device.objects.permitted(request.user, right)
    return is_about(request, get_object_or_404(devices.select_related("credential", "usage"), pk=pk))


@require_GET
@allowed(can_view)
def device_list(request: HttpRequest) -> HttpResponse:
    """One page of the devices that pass the filters."""
    query = request.GET
    q, group = text_of(query, "q"), text_of(query, "group")
    state = choice_of(query, "state", Device.State.values)
    sort = sort_of(query, _SORTS, "name")
    visible = Device.objects.visible_to(request.user)
    devices = (
        _select(visible, q, state, group).with_counts().with_usage().order_by(*order_by(sort, _SORTS, _RANKS), "pk")
    )
    groups = {
        name for names in visible.exclude(groups=[]).values_list("groups", flat=True).distinct() for name in names
    }
    state_words = dict(Device.State.choices).get(state, "")
    context = {
        "page": page_of(request, devices),
        "q": q,
        "state": state,
        "group": group,
        "sort": sort,
        "states": STATES,
        "groups": [Choice(name, name) for name in sorted(groups)],
        "chips": chips(query, [("q", "Search", q), ("state", "State", state_words), ("group", "Group", group)]),
    }
    return render_page(request, "devices/list.html", "devices/partials/results.html", context)


def _select(devices: DeviceQuerySet, q: str, state: str, group: str) -> DeviceQuerySet:
    if q:
        devices = devices.filter(Q(name__icontains=q) | Q(address__icontains=q) | Q(operating_system__icontains=q))
    if state:
        devices = devices.filter(state=state)
    if group:
        devices = devices.filter(groups__contains=[group])
    return devices


@require_GET
@allowed(can_view)
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One device: connection, engine, host keys, containers, what happened and what was done."""
    device = find_device(request, pk)
    containers = device.containers.visible_to(request.user).present().for_page().order_by("name", "pk")
    context = {
        "device": device,
        "containers": containers[:_CONTAINERS_SHOWN],
        "container_count": containers.count(),
        "host_keys": device.host_keys.select_related("accepted_by"),
        "events": device.events.visible_to(request.user).select_related("device")[:_LATEST],
        "operations": device.operations.visible_to(request.user)[:_LATEST],
        "steps": untried_steps(device.transport),
        "credential": effective_credential(device),
        "jumps": device.jumps.select_related("via", "credential"),
    }
    return render(request, "devices/detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def add(request: HttpRequest) -> HttpResponse:
    """The form of a new device."""
    form = DeviceForm(*_typed(request), user=request.user)
    return _edit(request, form, {"steps": untried_steps()})


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def edit(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The form of an existing device."""
    device = find_device(request, pk, Right.MANAGE_DEVICES)
    form = DeviceForm(*_typed(request), instance=device, user=request.user)
    return _edit(request, form, {"device": device, "device_name": device.name, "steps": untried_steps()})


def _typed(request: HttpRequest) -> "tuple[QueryDict, MultiValueDict[str, UploadedFile[bytes]]] | tuple[None, None]":
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def _edit(request: HttpRequest, form: DeviceForm, context: dict[str, Any]) -> HttpResponse:
    before = None if form.instance._state.adding else snapshot(form.instance, *_AUDITED)
    if request.method == "POST" and form.is_valid():
        device = form.store()
        action, after = "device.add" if before is None else "device.change", snapshot(device, *_AUDITED)
        if (made := form.new_credential) is not None:
            record_audit(request.user, "credential.add", made, after=snapshot(made), request=request)
        record_audit(request.user, action, device, before=before, after=after, request=request)
        messages.success(request, f"{device.name} is saved.")
        url = device.get_absolute_url()
        return HttpResponseClientRedirect(url) if is_partial(request) else redirect(url)
    status = 422 if form.is_bound else 200
    context["form"] = form
    return render_page(request, "devices/form.html", "devices/partials/form.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask for the device's name, then delete it with all that is known of its containers."""
    device = find_device(request, pk, Right.MANAGE_DEVICES)
    carried = Device.objects.visible_to(request.user).filter(jumps__via=device).distinct()
    # Those that this user may not see keep it all the same.
    is_jump_host = device.carried.exists()
    if request.method == "POST" and request.POST.get("confirmation") == device.name and not is_jump_host:
        record_audit(request.user, "device.remove", device, before=snapshot(device, *_AUDITED), request=request)
        device.delete()
        messages.success(request, f"{device.name} is deleted. Nothing was changed on the server itself.")
        return redirect("devices:list")
    context = {
        "device": device,
        "container_count": device.containers.visible_to(request.user).present().count(),
        "is_jump_host": is_jump_host,
        "carried": carried,
    }
    status = 422 if request.method == "POST" and request.POST.get("confirmation") else 200
    return render(request, "devices/confirm_delete.html", context, status=status)


@require_POST
@allowed(can_administer)
def retry(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Try an unreachable device now instead of at its next turn."""
    device = find_device(request, pk, Right.MANAGE_DEVICES)
    request_attempt_now(device)
    messages.success(request, f"{device.name} is tried now.")
    return redirect(device)


@require_POST
@allowed(can_operate)
def run(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Have the work of a ``kind`` (sweep, statistics, updates) done now, whatever its schedule says."""
    device = find_device(request, pk, Right.OPERATE)
    wanted = kind_named(request.POST.get("kind", ""))
    if wanted is None:
        return HttpResponse("Unknown kind of work.\n", status=400, content_type="text/plain")
    if not wanted.is_wanted(device):
        messages.error(request, f"{wanted.label}: switched off for {device.name}.")
    elif not device.is_online:
        messages.error(request, f"{device.name} is not connected: it is read as soon as it is back.")
    else:
        request_now(wanted, device)
        messages.success(request, f"{wanted.label} of {device.name} begins now.")
    return redirect(device)


@require_GET
@allowed(can_administer)
def schedule(request: HttpRequest) -> HttpResponse:
    """What a cron expression comes to, while it is typed: the one of the form's schedules that is in the address."""
    expression = next((request.GET[name] for name in SCHEDULES if name in request.GET), "")
    return render(request, "devices/partials/schedule_preview.html", {"preview": preview(expression[:500])})


@require_POST
@allowed(can_administer)
def accept_host_key(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Trust the host key that a test showed, in place of all older ones, and try the device at once."""
    device = find_device(request, pk, Right.MANAGE_DEVICES)
    try:
        key = parse_host_key(f"{request.POST.get('host_key_type', '')} {request.POST.get('host_key_base64', '')}")
    except HostKeyError:
        return HttpResponse("This is no host key.\n", status=400, content_type="text/plain")
    if request.POST.get("hop"):
        return _accept_jump_key(request, device, key)
    before = snapshot(device, *_AUDITED)
    replace_host_keys(device, key, request.user)
    after = snapshot(device, *_AUDITED)
    record_audit(request.user, "hostkey.accept", device, before=before, after=after, request=request)
    request_attempt_now(device)
    messages.success(request, f"The host key {key.fingerprint} of {device.name} is trusted from now on.")
    return redirect(device)


def _accept_jump_key(request: HttpRequest, device: Device, key: PinnedKey) -> HttpResponse:
    """Trust the key of the jump host at the place ``hop`` of the way to a device."""
    try:
        target = replace(connection_target(device), hops=())
        way = hops_of(target, device.jumps.select_related("via", "credential"), device)
        hop, jump = way[int(request.POST["hop"][:4])]
    except (ValueError, IndexError):
        return HttpResponse("There is no such jump host.\n", status=400, content_type="text/plain")
    if jump is None:
        messages.error(request, f"{hop.label} is a device of its own: accept its host key on its page.")
        return redirect(device)
    accept_jump_key(jump, key, request.user)
    after = {"jump_host": hop.label, "host_key": str(key.fingerprint)}
    record_audit(request.user, "hostkey.accept", device, after=after, request=request)
    note_configured(Device.objects.filter(pk=device.pk))
    messages.success(request, f"The host key {key.fingerprint} of {hop.label} is trusted from now on.")
    return redirect(device)


@require_POST
async def test(request: HttpRequest) -> HttpResponseBase:
    """Test a connection while the browser looks on: of the form's fields, or of a stored device (``device``)."""
    prepared = await sync_to_async(_prepare_test)(request)
    if isinstance(prepared, HttpResponse):
        return prepared
    response = StreamingHttpResponse(stream(*prepared), content_type="application/x-ndjson")
    response.headers["Cache-Control"] = "no-store"
    # A proxy that gathers the answer would show all steps at the end.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _prepare_test(
    request: HttpRequest,
) -> tuple[ConnectionTarget, PinnedKey | None, dict[int, PinnedKey]] | HttpResponse:
    """Target and accepted keys (the host's, and of jump hosts by place), or the faults of the form.

    Only for administrators; 404 for an unknown device.
    """
    if not can_administer(request.user):
        raise PermissionDenied
    device = None
    if request.POST.get("device"):
        try:
            device = find_device(request, uuid.UUID(request.POST["device"]), Right.MANAGE_DEVICES)
        except ValueError as exc:
            raise Http404 from exc
    if device is not None and "address" not in request.POST:
        try:
            return connection_target(device), _typed_host_key(request), {}
        except DeviceError as exc:
            return render(request, "devices/partials/test_errors.html", {"error": exc}, status=422)
    form = ConnectionTestForm(request.POST, request.FILES, instance=device, user=request.user)
    if form.is_valid():
        return form.target(), form.host_key, form.accepted_hops
    return render(request, "devices/partials/test_errors.html", {"form": form}, status=422)


def _typed_host_key(request: HttpRequest) -> PinnedKey | None:
    try:
        return parse_host_key(f"{request.POST.get('host_key_type', '')} {request.POST.get('host_key_base64', '')}")
    except HostKeyError:
        return None
