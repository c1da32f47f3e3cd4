"""Acts on networks: make, change, remove, one or several."""

import uuid
from itertools import groupby
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from containers import batches
from containers.batches import Item
from containers.errors import OperationRefused
from containers.filters import LONGEST_LIST, id_of
from containers.forms.networks import NetworkForm, driver_choices, suggestion
from containers.models import Container, Network
from containers.network_requests import configure_items, network_item, new_network_item
from containers.network_rows import attached_to, named_by_id
from containers.rules.networks import KNOWN_OPTIONS
from containers.views.asking import KIND, ask_back, ids_of, refuse, start_all, start_one
from containers.views.network_filters import NetworkFilter
from containers.views.networks import find_network
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.htmx import is_partial
from ssm.lib.roles import Right, can_operate

_SHOWN: Final = 50
# ---- make and change ----------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def create(request: HttpRequest) -> HttpResponse:
    """The form of a new network, on one device or several; ``act=suggest`` fills in a subnet that is free on them."""
    choices = list(Device.objects.permitted(request.user, Right.OPERATE).order_by("name")[:LONGEST_LIST])
    if request.method != "POST":
        chosen = [id_of(request.GET, "device")] if id_of(request.GET, "device") else []
        if len(choices) == 1:
            chosen = [str(choices[0].pk)]
        form = NetworkForm(choices=choices, initial={"devices": chosen, "driver": "bridge", "ipv4": True})
        return _show_form(request, form)
    if request.POST.get("act") == "suggest":
        return _suggest(request, choices)
    form = NetworkForm(request.POST, choices=choices)
    if not form.is_valid():
        return _show_form(request, form, status=422)
    items = [new_network_item(device, body) for device, body in form.bodies]
    if len(items) == 1:
        return start_one(request, items[0], back=reverse("networks:list"))
    title = f"Make the network {items[0].target_name} on {len(items)} devices"
    return _start_from_form(request, items, title=title, back=reverse("networks:list"))


def _start_from_form(
    request: HttpRequest, items: list[Item], *, title: str, back: str, stops: bool = False
) -> HttpResponse:
    """Ask for several acts and go to the page with a result per item: a form has no place for it."""
    try:
        batch = batches.request_items(request.user, items, title=title, stops_on_failure=stops)
    except OperationRefused as refused:
        return refuse(request, refused, back=back)
    return HttpResponseClientRedirect(batch.get_absolute_url()) if is_partial(request) else redirect(batch)


def _suggest(request: HttpRequest, choices: list[Device]) -> HttpResponse:
    """The form as it was typed, with a subnet filled in."""
    typed = request.POST.copy()
    chosen = [device for device in choices if str(device.pk) in typed.getlist("devices")]
    for number, version in ((0, 4), (1, 6)):
        if version == 6 and "ipv6" not in typed:
            continue
        subnet = suggestion(chosen, version=version)
        if subnet is not None:
            typed[f"pool{number}_subnet"] = str(subnet)
            for part in ("gateway", "ip_range", "auxiliary"):
                typed[f"pool{number}_{part}"] = ""
    form = NetworkForm(initial={**typed.dict(), "devices": typed.getlist("devices")}, choices=choices)
    for name in ("internal", "attachable", "ipv4", "ipv6"):
        form.initial[name] = name in typed
    return _show_form(request, form)


def _show_form(
    request: HttpRequest, form: NetworkForm, *, network: Network | None = None, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "network": network,
        "drivers": driver_choices(),
        "known_options": KNOWN_OPTIONS,
        "named_by_id": named_by_id(network) if network is not None else [],
        "back": network.get_absolute_url() if network is not None else reverse("networks:list"),
    }
    template = "networks/partials/form.html" if is_partial(request) else "networks/form.html"
    return render(request, template, context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def configure(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The form of a network that is there: it is made anew with the changes, and its containers put back on it."""
    network = find_network(request, pk, Right.OPERATE)
    if network.is_predefined:
        refused = OperationRefused(f"{network.name} was made by the engine and cannot be changed.")
        return refuse(request, refused, back=network.get_absolute_url())
    if request.method != "POST":
        return _show_form(request, NetworkForm(choices=[], network=network), network=network)
    form = NetworkForm(request.POST, choices=[], network=network)
    if not form.is_valid():
        return _show_form(request, form, network=network, status=422)
    _device, body = next(form.bodies)
    items = configure_items(network, body, drops_addresses=bool(form.cleaned_data["drops_addresses"]))
    back = network.get_absolute_url()
    if len(items) == 1:
        return start_one(request, items[0], back=back)
    title = f"Change {network.name} on {network.device.name}"
    return _start_from_form(request, items, title=title, back=back, stops=True)


# ---- remove -------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def remove(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Remove the network after telling who is on it; with ``disconnect`` they are taken off first."""
    network = find_network(request, pk, Right.OPERATE)
    if network.is_predefined:
        refused = OperationRefused(f"{network.name} was made by the engine and cannot be removed.")
        return refuse(request, refused, back=network.get_absolute_url())
    attached = attached_to(network, Container.objects.visible_to(request.user))
    has_users = bool(network.container_count)
    # Whoever takes containers off has to say which network it is; an unused one holds nothing that could be lost.
    is_wrong = has_users and request.POST.get("confirmation", "").strip() != network.name
    is_asked = request.method == "POST" and "confirmation" in request.POST
    if is_asked and not is_wrong:
        item = network_item(network, KIND.NETWORK_REMOVE, {"disconnect": has_users})
        return start_one(request, item, back=reverse("networks:list"))
    context = {
        "network": network,
        "users": attached[:_SHOWN],
        "hidden": network.container_count - len(attached[:_SHOWN]),
        "is_wrong": is_asked,
    }
    title = f"Remove {network.name} from {network.device.name}"
    return ask_back(request, "networks/partials/remove.html", context, title=title, is_wrong=is_asked)


@require_POST
@allowed(can_operate)
def bulk(request: HttpRequest) -> HttpResponse:
    """Remove the chosen networks: those that containers are on are refused by their hosts, with the reason."""
    if request.POST.get("kind") != "remove":
        return HttpResponseBadRequest("Unknown kind of operation.\n", content_type="text/plain")
    chosen = [network for network in _chosen(request) if not network.is_predefined]
    back = reverse("networks:list")
    if not chosen:
        refused = OperationRefused(
            "None of the chosen networks can be removed.", fix="Those made by the engine itself stay."
        )
        return refuse(request, refused, back=back)
    devices = {network.device_id for network in chosen}
    phrase = f"remove {len(chosen)}" if len(devices) > 1 else ""
    is_asked = "confirmation" in request.POST
    is_wrong = is_asked and request.POST["confirmation"].strip() != (phrase or "yes")
    count = f"{len(chosen)} network{'s' if len(chosen) != 1 else ''}"
    if is_asked and not is_wrong:
        items = [network_item(network, KIND.NETWORK_REMOVE, {"disconnect": False}) for network in chosen]
        return start_all(request, items, title=f"Remove {count}", back=back)
    context = {
        "chosen": chosen,
        "count": count,
        "by_device": [(device, list(rows)) for device, rows in groupby(chosen, lambda network: network.device)],
        "device_count": len(devices),
        "used_count": sum(bool(network.container_count) for network in chosen),
        "phrase": phrase,
        "is_wrong": is_wrong,
        "back": back,
    }
    return ask_back(request, "networks/partials/bulk_remove.html", context, title=f"Remove {count}", is_wrong=is_wrong)


def _chosen(request: HttpRequest) -> list[Network]:
    """The chosen networks that the user may act on, one more than allowed at most, by device and name."""
    networks = Network.objects.permitted(request.user, Right.OPERATE)
    matching = request.POST.get("matching", "")[:2000]
    if matching:
        networks = NetworkFilter.read(QueryDict("" if matching == "all" else matching)).select(networks)
    else:
        networks = networks.filter(pk__in=ids_of(request.POST.getlist("network"), batches.MOST_ITEMS + 1))
    return list(networks.for_page().order_by("device__name", "device", "name", "pk")[: batches.MOST_ITEMS + 1])
