"""Acts that put containers on networks: connect, change how they are there, disconnect."""

import uuid
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from containers import batches
from containers.batches import Item
from containers.errors import OperationRefused
from containers.forms.networks import containers_to_connect
from containers.models import Container, Network
from containers.network_requests import OBJECT, about_addresses, connect_item, disconnect_item, place_of
from containers.network_rows import attached_to, place_on
from containers.rules.endpoints import Endpoint, check_endpoint, why_not_connectable
from containers.rules.inspection import Attachment
from containers.rules.networks import NetworkFieldError
from containers.views.asking import KIND, ask_back, ids_of, refuse, start_one
from containers.views.networks import find_network
from ssm.lib.access import allowed
from ssm.lib.roles import Right, can_operate

_SHOWN: Final = 50


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def connect(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Connect containers of the device, one with aliases and fixed addresses or several without."""
    network = find_network(request, pk, Right.OPERATE)
    attached = attached_to(network)
    place = place_of(network, attached)
    why_not = why_not_connectable(place, ())
    if why_not:
        return refuse(request, OperationRefused(why_not), back=network.get_absolute_url())
    offered = containers_to_connect(network, Container.objects.permitted(request.user, Right.OPERATE))
    asked = request.POST if request.method == "POST" else request.GET
    wanted = set(ids_of(asked.getlist("container"), batches.MOST_ITEMS))
    chosen = [container for container in offered if container.pk in wanted]
    errors: dict[str, str] = {}
    if request.method == "POST":
        endpoint = _read_endpoint(request, network, attached, errors)
        for container in chosen:
            names = [entry["name"] for entry in container.networks]
            if why := why_not_connectable(place, names):
                errors["container"] = f"{container.title}: {why}"
        if not chosen:
            errors["container"] = "Choose at least one container."
        elif len(chosen) > 1 and endpoint is not None and (endpoint.ipv4 or endpoint.ipv6 or endpoint.mac):
            errors["ipv4"] = "A fixed address is for one container: choose one, or leave the addresses empty."
        if not errors and endpoint is not None:
            item = connect_item(network, chosen, endpoint, replaces=False)
            return start_one(request, item, back=network.get_absolute_url())
    context = {
        "network": network,
        "offered": offered,
        "chosen_ids": [container.pk for container in chosen],
        "given": asked,
        "errors": errors,
        **about_addresses(network, attached),
    }
    title = f"Connect containers to {network.name}"
    return ask_back(request, "networks/partials/connect.html", context, title=title, is_wrong=bool(errors))


def _read_endpoint(
    request: HttpRequest, network: Network, others: list[tuple[Container, Attachment]], errors: dict[str, str]
) -> Endpoint | None:
    fields = {name: request.POST.get(name, "")[:2000] for name in ("aliases", "ipv4", "ipv6", "mac")}
    try:
        return check_endpoint(place_of(network, others), **fields)
    except NetworkFieldError as exc:
        errors[exc.field] = str(exc)
        return None


def _find_attached(request: HttpRequest, pk: uuid.UUID, container_pk: uuid.UUID) -> tuple[Network, Container]:
    network = find_network(request, pk, Right.OPERATE)
    containers = Container.objects.permitted(request.user, Right.OPERATE).present().select_related("device")
    container = get_object_or_404(
        containers.filter(device=network.device).defer("inspect", "environment"), pk=container_pk
    )
    return network, container


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def attachment(request: HttpRequest, pk: uuid.UUID, container_pk: uuid.UUID) -> HttpResponse:
    """Change how a container is on the network: it is taken off and put back. Also connects one that is not on it.

    A container whose network of this name is gone is put on this one in its place.
    """
    network, container = _find_attached(request, pk, container_pk)
    others = [(other, entry) for other, entry in attached_to(network) if other.pk != container.pk]
    current = place_on(network, container.networks)
    was = current or next((entry for entry in container.networks if entry["name"] == network.name), None)
    names = [entry["name"] for entry in container.networks if entry["name"] != network.name]
    why_not = why_not_connectable(place_of(network, []), names)
    if why_not:
        return refuse(request, OperationRefused(why_not), back=network.get_absolute_url())
    errors: dict[str, str] = {}
    if request.method == "POST":
        endpoint = _read_endpoint(request, network, others, errors)
        if endpoint is not None:
            item = connect_item(network, [container], endpoint, replaces=True)
            return start_one(request, item, back=network.get_absolute_url())
    context = {
        "network": network,
        "container": container,
        "current": current,
        "is_repair": was is not None and current is None,
        "given": request.POST if request.method == "POST" else _as_given(container, was),
        "errors": errors,
        **about_addresses(network, others),
    }
    title = f"{container.title} on {network.name}"
    return ask_back(request, "networks/partials/attachment.html", context, title=title, is_wrong=bool(errors))


def _as_given(container: Container, entry: Attachment | None) -> dict[str, str]:
    """How a container is there, as the form shows it; without the alias that old engines add by themselves."""
    if entry is None:
        return {}
    aliases = [alias for alias in entry["aliases"] if alias != container.engine_id[:12]]
    return {
        "aliases": ", ".join(aliases),
        "ipv4": entry.get("fixed", ""),
        "ipv6": entry.get("fixed6", ""),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def disconnect(request: HttpRequest, pk: uuid.UUID, container_pk: uuid.UUID) -> HttpResponse:
    """Take a container off the network, after telling what it loses."""
    network, container = _find_attached(request, pk, container_pk)
    if network.name == "host" or network.driver == "host":
        refused = OperationRefused("A container is on the host's network from its creation or never.")
        return refuse(request, refused, back=network.get_absolute_url())
    if request.method == "POST" and request.POST.get("confirmation") == "yes":
        item = disconnect_item(network, container, force="force" in request.POST)
        return start_one(request, item, back=network.get_absolute_url())
    others = [other for other, _entry in attached_to(network) if other.pk != container.pk]
    context = {
        "network": network,
        "container": container,
        "mates": others[:_SHOWN],
        "is_last": len(container.networks) == 1,
        "publishes": any(port.get("host_port") for port in container.ports),
    }
    title = f"Disconnect {container.title} from {network.name}"
    return ask_back(request, "networks/partials/disconnect.html", context, title=title)


@require_POST
@allowed(can_operate)
def leave_lost(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Take a container off a network that its host has no more (``name``, ``network_id``), so that it can start."""
    containers = Container.objects.permitted(request.user, Right.OPERATE).present().select_related("device")
    container = get_object_or_404(containers.defer("inspect", "environment"), pk=pk)
    name = request.POST.get("name", "")[:255]
    place = next((entry for entry in container.networks if entry["name"] == name), None)
    if place is None:
        raise Http404
    network_id = place.get("network_id", "")
    item = Item(
        device=container.device,
        kind=KIND.NETWORK_DISCONNECT,
        object_kind=OBJECT,
        target_name=name,
        engine_id=network_id,
        lock=f"network:{container.device_id}:{network_id}",
        parameters={"containers": [{"id": container.engine_id, "name": container.name}], "force": True},
    )
    return start_one(request, item, back=reverse("containers:networks", args=[container.pk]))
