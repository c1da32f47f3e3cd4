"""Acts on volumes: make, back up, copy, remove, one or several."""

import uuid
from itertools import groupby

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from containers import batches
from containers.errors import OperationRefused
from containers.filters import LONGEST_LIST, id_of
from containers.forms.volumes import BackupForm, CopyForm, VolumeForm
from containers.models import Volume
from containers.views.asking import ask_back, ids_of, refuse, start_all
from containers.views.volume_filters import VolumeFilter
from containers.views.volumes import find_volume
from containers.volume_requests import (
    backup_items,
    creation,
    removal,
    request_backup,
    request_copy,
    request_create,
    request_remove,
)
from containers.volume_rows import add_users
from devices.models import Device
from ssm.lib.access import allowed, signed_in
from ssm.lib.htmx import is_partial
from ssm.lib.roles import Right, holds

MANAGE = holds(Right.MANAGE_VOLUMES)


def go_to(request: HttpRequest, url: str) -> HttpResponse:
    """Show another page, also when HTMX asked."""
    return HttpResponseClientRedirect(url) if is_partial(request) else redirect(url)


def device_choices(request: HttpRequest) -> list[Device]:
    """The devices on which the user may manage volumes."""
    return list(Device.objects.permitted(request.user, Right.MANAGE_VOLUMES).order_by("name")[:LONGEST_LIST])


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def create(request: HttpRequest) -> HttpResponse:
    """The form of a new volume, on one device or several."""
    choices = device_choices(request)
    chosen = [id_of(request.GET, "device")] if id_of(request.GET, "device") else []
    if len(choices) == 1:
        chosen = [str(choices[0].pk)]
    form = VolumeForm(request.POST or None, choices=choices, initial={"devices": chosen, "driver": "local"})
    if request.method == "POST" and form.is_valid():
        wanted, devices = form.volume, form.chosen
        try:
            if len(devices) == 1:
                return go_to(request, request_create(request.user, devices[0], wanted).get_absolute_url())
        except OperationRefused as refused:
            return refuse(request, refused, back=reverse("volumes:new"))
        items = [creation(device, wanted) for device in devices]
        title = f"Make the volume {wanted.name} on {len(items)} devices"
        return start_all(request, items, title=title, back=reverse("volumes:list"))
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "chosen": form["devices"].value() or [], "choices": choices}
    return render(request, "volumes/new.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def backup(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Back the volume up now, after asking what its containers shall do meanwhile."""
    volume = find_volume(request, pk, Right.MANAGE_VOLUMES)
    form = BackupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = request_backup(request.user, volume.device, volume.name, data["consistency"], note=data["note"])
        except OperationRefused as refused:
            return refuse(request, refused, back=volume.get_absolute_url())
        operation = made.operation
        return go_to(request, operation.get_absolute_url() if operation else made.get_absolute_url())
    running = [container for container in volume.users if container.is_running]
    context = {"volume": volume, "form": form, "running": running}
    title = f"Back up {volume.title}"
    return ask_back(request, "volumes/partials/backup.html", context, title=title, is_wrong=bool(form.errors))


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def copy(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Copy the volume as a new one, on its own or another device."""
    volume = find_volume(request, pk, Right.MANAGE_VOLUMES)
    choices = device_choices(request)
    initial = {"device": str(volume.device_id), "name": f"{volume.name[:240]}-copy"}
    form = CopyForm(request.POST or None, choices=choices, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            operation = request_copy(request.user, volume, form.target, data["name"], data["consistency"])
        except OperationRefused as refused:
            return refuse(request, refused, back=volume.get_absolute_url())
        return go_to(request, operation.get_absolute_url())
    running = [container for container in volume.users if container.is_running]
    context = {"volume": volume, "form": form, "running": running}
    title = f"Copy {volume.title}"
    return ask_back(request, "volumes/partials/copy.html", context, title=title, is_wrong=bool(form.errors))


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def remove(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Remove the volume once its name was typed: what is in it is lost."""
    volume = find_volume(request, pk, Right.MANAGE_VOLUMES)
    is_asked = request.method == "POST" and "confirmation" in request.POST
    is_wrong = is_asked and request.POST["confirmation"].strip() != volume.name
    if is_asked and not is_wrong:
        try:
            operation = request_remove(request.user, volume)
        except OperationRefused as refused:
            return refuse(request, refused, back=volume.get_absolute_url())
        return go_to(request, operation.get_absolute_url())
    title = f"Remove {volume.title} from {volume.device.name}"
    return ask_back(request, "volumes/partials/remove.html", {"volume": volume}, title=title, is_wrong=is_wrong)


@require_POST
@allowed(MANAGE)
def bulk(request: HttpRequest) -> HttpResponse:
    """Back up or remove the chosen volumes, with a result per item."""
    kind = request.POST.get("kind", "")
    if kind not in ("remove", "backup"):
        return HttpResponseBadRequest("Unknown kind of operation.\n", content_type="text/plain")
    chosen = _chosen(request)
    back = reverse("volumes:list")
    if not chosen:
        refused = OperationRefused("None of the chosen volumes exists any more.", fix="Choose others.")
        return refuse(request, refused, back=back)
    add_users(chosen, request.user)
    count = f"{len(chosen)} volume{'s' if len(chosen) != 1 else ''}"
    phrase = f"remove {len(chosen)}" if kind == "remove" else "yes"
    is_asked = "confirmation" in request.POST
    is_wrong = is_asked and request.POST["confirmation"].strip() != phrase
    if is_asked and not is_wrong:
        if kind == "remove":
            items = [removal(volume) for volume in chosen]
            return start_all(request, items, title=f"Remove {count}", back=back)
        consistency = BackupForm(request.POST)
        wanted = consistency.cleaned_data["consistency"] if consistency.is_valid() else "running"
        items = backup_items(signed_in(request), chosen, wanted)
        return start_all(request, items, title=f"Back up {count}", back=back)
    context = {
        "kind": kind,
        "chosen": chosen,
        "count": count,
        "by_device": [(device, list(rows)) for device, rows in groupby(chosen, lambda volume: volume.device)],
        "used_count": sum(bool(volume.users) for volume in chosen),
        "unsafe_count": sum(volume.backed_up_at is None for volume in chosen),
        "size_bytes": sum(volume.size_bytes or 0 for volume in chosen),
        "phrase": phrase if kind == "remove" else "",
        "form": BackupForm(),
        "is_wrong": is_wrong,
        "back": back,
    }
    title = f"{'Remove' if kind == 'remove' else 'Back up'} {count}"
    return ask_back(request, "volumes/partials/bulk.html", context, title=title, is_wrong=is_wrong)


def _chosen(request: HttpRequest) -> list[Volume]:
    """The chosen volumes that the user may act on, one more than allowed at most, by device and name."""
    volumes = Volume.objects.permitted(request.user, Right.MANAGE_VOLUMES)
    matching = request.POST.get("matching", "")[:2000]
    if matching:
        volumes = VolumeFilter.read(QueryDict("" if matching == "all" else matching)).select(volumes)
    else:
        volumes = volumes.filter(pk__in=ids_of(request.POST.getlist("volume"), batches.MOST_ITEMS + 1))
    return list(volumes.for_page().order_by("device__name", "device", "name", "pk")[: batches.MOST_ITEMS + 1])
