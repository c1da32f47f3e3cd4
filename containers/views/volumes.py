"""Pages of volumes: the list over all hosts, one volume, and those of one device."""

import uuid
from typing import Any, Final

from django.contrib import messages
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from containers.models import Backup, BackupPlan, Container, Operation, Volume
from containers.views.volume_filters import VolumeFilter, volume_lists
from containers.volume_rows import add_users
from devices.models import Device
from ssm.lib.access import allowed, is_about
from ssm.lib.htmx import render_page
from ssm.lib.jobs import enqueue
from ssm.lib.roles import Right, can_view, holds
from ssm.lib.tables import page_of

MEASURE_TASK: Final = "containers.measure_volumes"
_LATEST: Final = 8
_BACKUPS_SHOWN: Final = 25


@require_GET
@allowed(can_view)
def volume_list(request: HttpRequest) -> HttpResponse:
    """One page of the volumes that pass the filters. The number of queries does not depend on the rows."""
    chosen = VolumeFilter.read(request.GET)
    return render_page(request, "volumes/list.html", "volumes/partials/results.html", _listed(request, chosen))


def _listed(request: HttpRequest, chosen: VolumeFilter) -> dict[str, Any]:
    visible = Volume.objects.visible_to(request.user)
    selected = chosen.select(visible)
    page = page_of(request, chosen.order(selected.for_page()))
    rows = list(page)
    add_users(rows, request.user)
    lists = volume_lists(request)
    return {
        "page": page,
        "rows": rows,
        "total_bytes": selected.order_by().aggregate(total=Sum("size_bytes"))["total"],
        "chosen": chosen,
        "sort": chosen.sort,
        "chips": chosen.chips(request.GET, lists["device_names"].get(chosen.device, "one device")),
        **lists,
    }


@require_GET
@allowed(can_view)
def device_volumes(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The volumes of one device, as a tab of its page."""
    devices = Device.objects.visible_to(request.user).select_related("credential", "usage")
    device = is_about(request, get_object_or_404(devices, pk=pk))
    query = request.GET.copy()
    query["device"] = str(device.pk)
    context = _listed(request, VolumeFilter.read(query))
    context["chips"] = [chip for chip in context["chips"] if chip.name != "Device"]
    context |= {"device": device, "tab": "volumes"}
    return render_page(request, "volumes/device.html", "volumes/partials/results.html", context)


def find_volume(request: HttpRequest, pk: uuid.UUID, right: Right = Right.SEE) -> Volume:
    """The volume with all that its page shows of it, if the user holds the right on it; else 404."""
    volume = get_object_or_404(Volume.objects.permitted(request.user, right).for_page(), pk=pk)
    add_users([volume], request.user)
    return is_about(request, volume)


@require_GET
@allowed(can_view)
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One volume: who uses it and where, its backups and its plan, its driver, options and labels."""
    volume = find_volume(request, pk)
    users = (
        Container.objects.visible_to(request.user)
        .present()
        .filter(pk__in=[container.pk for container in volume.shown_users])
        .select_related("device")
        .defer("inspect", "environment")
        .order_by("name")
    )
    backups = Backup.objects.visible_to(request.user).of(volume).select_related("plan", "operation", "device")
    operations = Operation.objects.visible_to(request.user).filter(
        device=volume.device, object_kind=Operation.ObjectKind.VOLUME, target_name=volume.name
    )
    context = {
        "volume": volume,
        "users": [(container, _mount_of(container, volume)) for container in users],
        "hidden_users": len(volume.users) - len(users),
        "backups": list(backups.order_by("-created_at")[:_BACKUPS_SHOWN]),
        "backup_count": backups.count(),
        "plan": BackupPlan.objects.of(volume).first(),
        "labels": sorted(volume.labels.items()),
        "options": sorted(volume.options.items()),
        "operations": operations.select_related("device", "container")[:_LATEST],
    }
    return render_page(request, "volumes/detail.html", "volumes/detail.html", context)


def _mount_of(container: Container, volume: Volume) -> dict[str, Any]:
    return next((mount for mount in container.mounts if mount.get("source") == volume.name), {})


@require_POST
@allowed(holds(Right.MANAGE_VOLUMES))
def measure(request: HttpRequest) -> HttpResponse:
    """Have the sizes of the volumes of one device, or of all, asked for now."""
    devices = Device.objects.permitted(request.user, Right.MANAGE_VOLUMES).filter(state=Device.State.ONLINE)
    try:
        chosen = devices.filter(pk=uuid.UUID(request.POST["device"])) if request.POST.get("device") else devices
    except ValueError:
        chosen = devices.none()
    count = 0
    for pk in chosen.values_list("pk", flat=True)[:1000]:
        enqueue(MEASURE_TASK, str(pk), expires_s=300)
        count += 1
    if count:
        messages.success(request, "The sizes are being asked for: engines walk over all files for it.")
    else:
        messages.error(request, "No device that could be asked is connected.")
    if len(chosen) == 1 and request.POST.get("device"):
        return redirect("device-volumes", pk=request.POST["device"])
    return redirect("volumes:list")
