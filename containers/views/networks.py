"""Pages of networks: the list over all hosts, one network, those of one device, those of one container."""

import uuid
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from containers.models import Container, Network, Operation
from containers.network_requests import place_of
from containers.network_rows import attached_to, lost_places, place_on, pool_uses
from containers.rules.endpoints import why_not_connectable
from containers.rules.inspection import Attachment
from containers.views.network_filters import NetworkFilter, network_lists
from containers.views.pages import find_container
from devices.models import Device
from ssm.lib.access import allowed, is_about
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, can_view
from ssm.lib.tables import page_of

_LATEST: Final = 8
_ELSEWHERE_SHOWN: Final = 30
# Beyond this a page of one network ends; the list of containers has the rest.
_ATTACHED_SHOWN: Final = 500


@require_GET
@allowed(can_view)
def network_list(request: HttpRequest) -> HttpResponse:
    """One page of the networks that pass the filters. The number of queries does not depend on the rows."""
    chosen = NetworkFilter.read(request.GET)
    return render_page(request, "networks/list.html", "networks/partials/results.html", _listed(request, chosen))


def _listed(request: HttpRequest, chosen: NetworkFilter) -> dict[str, Any]:
    selected = chosen.select(Network.objects.visible_to(request.user))
    page = page_of(request, chosen.order(selected.for_page()))
    rows = list(page)
    column = {"device": "device_id", "project": "compose_project"}.get(chosen.by, "")
    lists = network_lists(request)
    return {
        "page": page,
        "rows": rows,
        "groups": [(key, list(group)) for key, group in groupby(rows, lambda row: getattr(row, column))]
        if column
        else [],
        "chosen": chosen,
        "sort": chosen.sort,
        "chips": chosen.chips(request.GET, lists["device_names"].get(chosen.device, "one device")),
        **lists,
    }


@require_GET
@allowed(can_view)
def device_networks(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The networks of one device, as a tab of its page."""
    devices = Device.objects.visible_to(request.user).select_related("credential", "usage")
    device = is_about(request, get_object_or_404(devices, pk=pk))
    query = request.GET.copy()
    query["device"] = str(device.pk)
    context = _listed(request, NetworkFilter.read(query))
    context["chips"] = [chip for chip in context["chips"] if chip.name != "Device"]
    context |= {"device": device, "tab": "networks"}
    return render_page(request, "networks/device.html", "networks/partials/results.html", context)


def find_network(request: HttpRequest, pk: uuid.UUID, right: Right = Right.SEE) -> Network:
    """The network with what its page's head shows, if the user holds the right on it; else 404."""
    networks = Network.objects.permitted(request.user, right).for_page().select_related("device__credential")
    return is_about(request, get_object_or_404(networks, pk=pk))


@require_GET
@allowed(can_view)
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One network: who is on it and how, its subnets and how full they are, what was done with it."""
    network = find_network(request, pk)
    attached = attached_to(network, Container.objects.visible_to(request.user).for_page())
    elsewhere = Network.objects.visible_to(request.user).exclude(pk=network.pk).filter(name=network.name)
    operations = Operation.objects.visible_to(request.user).filter(
        Q(engine_id=network.engine_id) | Q(target_name=network.name),
        device=network.device,
        object_kind=Operation.ObjectKind.NETWORK,
    )
    context = {
        "network": network,
        "attached": attached[:_ATTACHED_SHOWN],
        "hidden": network.container_count - len(attached),
        "stopped": [container for container, _place in attached if not container.is_running],
        "pools": pool_uses(network, [place for _container, place in attached]),
        "why_not": why_not_connectable(place_of(network, []), ()),
        "options": sorted(network.options.items()),
        "labels": sorted(network.labels.items()),
        "elsewhere": [] if network.is_predefined else elsewhere.for_page().order_by("device__name")[:_ELSEWHERE_SHOWN],
        "operations": operations.select_related("device", "container")[:_LATEST],
    }
    return render_page(request, "networks/detail.html", "networks/detail.html", context)


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """A container's place on a network; ``network`` None: the user may not see it, or it is gone (``is_lost``).

    With a place that is lost the container cannot be started. ``successor`` is another network of that name.
    """

    attachment: Attachment
    network: Network | None
    is_lost: bool
    successor: Network | None
    mates: list[Container]


@require_GET
@allowed(can_view)
def container_networks(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The networks of a container: how it is on each, and whom it meets there."""
    container = find_container(request, pk, unread=("environment",))
    host_config = container.inspect.get("HostConfig") or {}
    mode = str(host_config.get("NetworkMode") or "") if isinstance(host_config, dict) else ""
    networks = list(Network.objects.visible_to(request.user).filter(device=container.device).order_by("name"))
    context = {
        "container": container,
        "tab": "networks",
        "mode": mode,
        "places": _places(request, container, networks),
        "others": _connectable(container, networks, mode),
        "shares": mode.partition(":")[2] if mode.startswith("container:") else "",
    }
    return render_page(request, "networks/container.html", "networks/container.html", context)


def _places(request: HttpRequest, container: Container, networks: list[Network]) -> list[ContainerPlace]:
    """Where the container is, with whom. Two queries however many networks it is on."""
    others = list(
        Container.objects.visible_to(request.user)
        .present()
        .filter(device=container.device)
        .exclude(pk=container.pk)
        .order_by("name")
        .only("name", "display_name", "networks", "state", "device_id")
    )
    lost = lost_places([container]).get(container.pk, [])
    found = []
    for attachment in container.networks:
        network = next((row for row in networks if place_on(row, [attachment]) is not None), None)
        named = next((row for row in networks if row.name == attachment["name"]), None)
        mates = [other for other in others if network is not None and place_on(network, other.networks) is not None]
        is_lost = attachment in lost
        found.append(ContainerPlace(attachment, network, is_lost, named if is_lost else None, mates))
    return found


def _connectable(container: Container, networks: list[Network], mode: str) -> list[Network]:
    names = [attachment["name"] for attachment in container.networks]
    there = {row.pk for row in networks if place_on(row, container.networks) is not None}
    return [
        row for row in networks if row.pk not in there and not why_not_connectable(place_of(row, []), names, mode=mode)
    ]
