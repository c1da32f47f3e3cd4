"""Removing unused networks: which ones that would be, then exactly those."""

import uuid
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from containers.batches import MOST_ITEMS
from containers.errors import OperationRefused
from containers.filters import LONGEST_LIST, id_of
from containers.models import Network
from containers.network_requests import prune_item, unused_networks
from containers.views.asking import ids_of, refuse, start_all, start_one
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, can_operate
from ssm.lib.tables import Choice

# What one look shows and one press can remove.
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class HostPreview:
    """What would go from one host."""

    device: Device
    networks: list[Network]


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def prune(request: HttpRequest) -> HttpResponse:
    """GET shows what no container uses, running or not; POST removes those of it that are ticked."""
    device = id_of(request.POST if request.method == "POST" else request.GET, "device")
    unused = unused_networks(Network.objects.permitted(request.user, Right.OPERATE), device)
    found = list(unused.select_related("device").order_by("device__name", "device", "name", "pk")[: _MOST + 1])
    if request.method == "POST":
        return _remove(request, found, device)
    return _show(request, found, device)


def _removable(found: list[Network]) -> list[Network]:
    return [network for network in found if not network.is_predefined]


def _show(
    request: HttpRequest, found: list[Network], device: str, *, error: str = "", ticked: set[uuid.UUID] | None = None
) -> HttpResponse:
    shown = _removable(found)[:_MOST]
    hosts = [HostPreview(host, list(rows)) for host, rows in groupby(shown, lambda network: network.device)]
    devices = Device.objects.permitted(request.user, Right.OPERATE).order_by("name").values_list("pk", "name")
    context = {
        "hosts": hosts,
        "count": len(shown),
        "is_cut": len(found) > _MOST,
        "device": device,
        "devices": [Choice(str(pk), name) for pk, name in devices[:LONGEST_LIST]],
        "phrase": _phrase(len(shown), len(hosts)),
        "ticked": {network.pk for network in shown} if ticked is None else ticked,
        "error": error,
    }
    status = 422 if error else 200
    return render_page(request, "networks/prune.html", "networks/partials/prune.html", context, status=status)


def _phrase(count: int, hosts: int) -> str:
    """What has to be typed: nothing on one host, the act on several."""
    return "prune" if hosts > 1 and count else ""


def _remove(request: HttpRequest, found: list[Network], device: str) -> HttpResponse:
    wanted = set(ids_of(request.POST.getlist("network"), MOST_ITEMS))
    chosen = [network for network in _removable(found) if network.pk in wanted]
    back = reverse("networks:prune")
    if not chosen:
        return refuse(
            request, OperationRefused("None of them is there and unused any more.", fix="Look again."), back=back
        )
    items = [prune_item(host, list(rows)) for host, rows in groupby(chosen, lambda network: network.device)]
    phrase = _phrase(len(chosen), len(items))
    if phrase and request.POST.get("confirmation", "").strip() != phrase:
        return _show(request, found, device, error=f"That is not “{phrase}”.", ticked=wanted)
    if len(items) == 1:
        return start_one(request, items[0], back=back)
    count = f"{len(chosen)} network{'s' if len(chosen) != 1 else ''}"
    return start_all(request, items, title=f"Prune {count} on {len(items)} devices", back=back)
