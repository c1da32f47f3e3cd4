"""Networks: listed, looked at, made, changed, removed; containers put on them and taken off."""

import uuid
from datetime import datetime
from itertools import groupby
from typing import Any, Final, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from containers import batches
from containers.api.asking import Asked, ask_any, ask_one, devices_for
from containers.api.idempotency import idempotent
from containers.api.inventory import CREATED, SORTS, OnDevice
from containers.api.schemas import Named, OperationEntry, Place
from containers.errors import OperationRefused
from containers.forms.networks import POOL_ROWS, NetworkForm
from containers.models import Container, Network
from containers.network_requests import (
    KIND,
    configure_items,
    connect_item,
    disconnect_item,
    network_item,
    new_network_item,
    place_of,
    prune_item,
    unused_networks,
)
from containers.network_rows import attached_to, place_on
from containers.rules.endpoints import Endpoint, check_endpoint, why_not_connectable
from containers.rules.networks import NetworkFieldError
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.forms import Text, lines_of, problems_of, values_of
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["networks"])

_SORTS: Final = {name: SORTS[name] for name in ("name", "device", "created")}
_PARTS: Final = ("subnet", "gateway", "ip_range", "auxiliary")


class NetworkFilter(OnDevice):
    """Which networks; all that are given must hold."""

    use: Literal["", "used", "unused", "internal"] = ""
    driver: Text = Field("", max_length=120)
    project: Text = Field("", description="A compose project.", max_length=255)
    sort: Literal["name", "-name", "device", "-device", "created", "-created"] = Field(
        "name", description="created: the newest first."
    )


class NetworkEntry(Schema):
    """A network of a device's engine."""

    id: uuid.UUID
    device: Place
    name: str = Field(examples=["front"])
    engine_id: str
    driver: str = Field(examples=["bridge"])
    scope: str
    pools: list[dict[str, Any]] = Field(description="Subnets with gateway, range and kept addresses.")
    internal: bool
    attachable: bool
    ipv4_enabled: bool
    ipv6_enabled: bool
    is_predefined: bool = Field(description="Made by the engine itself: it stays as it is.")
    compose_project: str
    labels: dict[str, Any]
    created_at: datetime | None

    @classmethod
    def of(cls, network: Network) -> "NetworkEntry":
        """From its row with the device."""
        return cls(**_entry(network))


class Attached(Schema):
    """How a container is on a network."""

    container: Named
    aliases: list[str]
    ipv4: str
    ipv6: str
    mac: str


class NetworkDetail(NetworkEntry):
    """All of a network."""

    options: dict[str, Any]
    containers: list[Attached] = Field(description="Those that you may see.")
    container_count: int


class NetworkPage(Schema):
    """Some networks, and where the next page begins."""

    items: list[NetworkEntry]
    next: str


class Pool(Schema):
    """A subnet."""

    model_config = ConfigDict(extra="forbid")

    subnet: str = Field(max_length=100, examples=["172.30.0.0/24"])
    gateway: str = Field("", max_length=100)
    ip_range: str = Field("", max_length=100, description="Where addresses are given from.")
    auxiliary: dict[str, str] = Field({}, max_length=100, description="Addresses that are kept, by name.")


class NetworkChange(Schema):
    """What to change of a network; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=128, examples=["front"])
    driver: str | None = Field(None, max_length=120, examples=["bridge"])
    parent: str | None = Field(None, max_length=64, description="macvlan, ipvlan: the interface of the host.")
    mtu: int | None = Field(None, ge=68, le=65535)
    internal: bool | None = Field(None, description="No way out of the host.")
    attachable: bool | None = None
    ipv4: bool | None = None
    ipv6: bool | None = None
    pools: list[Pool] | None = Field(None, max_length=POOL_ROWS)
    options: dict[str, str] | None = Field(None, max_length=200)
    labels: dict[str, str] | None = Field(None, max_length=200)
    accepts_warnings: bool = Field(False, description="Do it although something of it is odd, as an error told.")
    drops_addresses: bool = Field(False, description="Give up fixed addresses that are not in the new subnets.")


class NewNetwork(NetworkChange):
    """A network to make, on one device or several."""

    name: str = Field(max_length=128, examples=["front"])
    devices: list[uuid.UUID] = Field(min_length=1, max_length=batches.MOST_ITEMS)


class NetworkRemoval(Schema):
    """How to remove a network."""

    model_config = ConfigDict(extra="forbid")

    disconnect: bool = Field(False, description="Take the containers that are on it off first.")


class Connection(Schema):
    """Containers to put on a network; aliases and fixed addresses for one of them."""

    model_config = ConfigDict(extra="forbid")

    containers: list[uuid.UUID] = Field(min_length=1, max_length=batches.MOST_ITEMS)
    aliases: list[str] = Field([], max_length=50)
    ipv4: str = Field("", max_length=100)
    ipv6: str = Field("", max_length=100)
    mac: str = Field("", max_length=100)
    replaces: bool = Field(False, description="One that is on it already is taken off and put back so.")


class Disconnection(Schema):
    """A container to take off a network."""

    model_config = ConfigDict(extra="forbid")

    container: uuid.UUID
    force: bool = False


class NetworkPruneOrder(Schema):
    """Which of the unused networks to remove: those of the preview that shall go."""

    model_config = ConfigDict(extra="forbid")

    networks: list[uuid.UUID] = Field(min_length=1, max_length=batches.MOST_ITEMS)


@router.get("", response=answers(NetworkPage), operation_id="networks_list")
@needs(Right.SEE)
def networks_list(request: HttpRequest, filters: Query[NetworkFilter], paging: Query[Paging]) -> Any:
    """Networks on all devices."""
    rows = filters.of(Network.objects.visible_to(request.user)).select_related("device")
    rows = rows.annotate(created_order=CREATED)
    if filters.driver:
        rows = rows.filter(driver=filters.driver)
    if filters.project:
        rows = rows.filter(compose_project=filters.project)
    if filters.use == "internal":
        rows = rows.filter(internal=True)
    elif filters.use:
        rows = rows.used(by_any=filters.use == "used")
    return page(rows, _SORTS, filters.sort, paging).shown(NetworkEntry.of)


@router.post("", response=answers(Asked, 202), operation_id="networks_create")
@needs(Right.OPERATE)
@idempotent
def networks_create(request: HttpRequest, order: NewNetwork) -> Any:
    """Make a network. Without `pools` the engine chooses a subnet."""
    devices = devices_for(request, order.devices, Right.OPERATE)
    empty = NetworkForm(choices=devices, initial={"driver": "bridge", "ipv4": True})
    data = _filled(empty, order) | {"devices": [str(device.pk) for device in devices]}
    form = _checked(NetworkForm(data, choices=devices))
    items = [new_network_item(device, body) for device, body in form.bodies]
    return ask_any(request, items, f"Make the network {order.name[:100]} on {len(items)} devices")


@router.get("/unused", response=answers(NetworkPage), operation_id="networks_prune_preview")
@needs(Right.OPERATE)
def networks_prune_preview(request: HttpRequest, filters: Query[OnDevice], paging: Query[Paging]) -> Any:
    """Networks that people made and that no container uses, running or not."""
    rows = unused_networks(filters.of(Network.objects.permitted(request.user, Right.OPERATE)), "")
    found = page(rows.select_related("device"), {"device": SORTS["device"]}, "device", paging)
    return {"items": [NetworkEntry.of(row) for row in found.rows if not row.is_predefined], "next": found.next}


@router.post("/prune", response=answers(Asked, 202), operation_id="networks_prune")
@needs(Right.OPERATE)
@idempotent
def networks_prune(request: HttpRequest, order: NetworkPruneOrder) -> Any:
    """Remove these networks, as far as no container uses them."""
    rows = unused_networks(Network.objects.permitted(request.user, Right.OPERATE), "").filter(pk__in=order.networks)
    rows = rows.select_related("device").order_by("device__name", "device", "name", "pk")
    chosen = [network for network in rows if not network.is_predefined]
    if not chosen:
        raise OperationRefused("None of them is there and unused any more.", fix="Ask for the unused ones again.")
    items = [prune_item(host, list(group)) for host, group in groupby(chosen, lambda network: network.device)]
    return ask_any(request, items, f"Remove {len(chosen)} unused networks on {len(items)} devices")


@router.get("/{uuid:pk}", response=answers(NetworkDetail), operation_id="networks_get")
@needs(Right.SEE)
def networks_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One network, and the containers on it."""
    network = get_object_or_404(Network.objects.visible_to(request.user).for_page(), pk=pk)
    facts: Any = network
    return NetworkDetail(
        **_entry(network),
        options=network.options,
        containers=[
            Attached(
                container=Named(id=container.pk, name=container.name),
                aliases=list(place["aliases"]),
                ipv4=place["address"],
                ipv6=place["address6"],
                mac=place["mac"],
            )
            for container, place in attached_to(network, Container.objects.visible_to(request.user))
        ],
        container_count=facts.container_count,
    )


@router.post("/{uuid:pk}/configure", response=answers(Asked, 202), operation_id="networks_configure")
@needs(Right.OPERATE)
@idempotent
def networks_configure(request: HttpRequest, pk: uuid.UUID, order: NetworkChange) -> Any:
    """Change a network: it is made anew with the changes, and its containers are put back on it."""
    network = _changeable(request, pk)
    data = _filled(NetworkForm(choices=[], network=network), order)
    form = _checked(NetworkForm(data, choices=[], network=network))
    _device, body = next(form.bodies)
    items = configure_items(network, body, drops_addresses=order.drops_addresses)
    return ask_any(request, items, f"Change {network.name} on {network.device.name}", stops=True)


@router.post("/{uuid:pk}/remove", response=answers(OperationEntry, 202), operation_id="networks_remove")
@needs(Right.OPERATE)
@idempotent
def networks_remove(request: HttpRequest, pk: uuid.UUID, order: NetworkRemoval | None = None) -> Any:
    """Remove it. The engine refuses while containers are on it, unless these are to be taken off (`disconnect`)."""
    network = _changeable(request, pk)
    parameters = {"disconnect": order is not None and order.disconnect}
    return ask_one(request, network_item(network, KIND.NETWORK_REMOVE, parameters))


@router.post("/{uuid:pk}/connect", response=answers(OperationEntry, 202), operation_id="networks_connect")
@needs(Right.OPERATE)
@idempotent
def networks_connect(request: HttpRequest, pk: uuid.UUID, order: Connection) -> Any:
    """Put containers of the same device on it."""
    network = _operable(request, pk)
    chosen = _containers(request, network, order.containers)
    attached = attached_to(network)
    for container in chosen:
        is_there = place_on(network, container.networks) is not None
        if is_there and not order.replaces:
            raise OperationRefused(f"{container.title} is on {network.name} already.", fix="Ask with replaces: true.")
        names = [entry["name"] for entry in container.networks if entry["name"] != network.name]
        if why := why_not_connectable(place_of(network, []), names):
            raise OperationRefused(f"{container.title}: {why}")
    endpoint = _endpoint(order, network, [pair for pair in attached if pair[0] not in chosen])
    if len(chosen) > 1 and (endpoint.ipv4 or endpoint.ipv6 or endpoint.mac):
        raise FieldProblem({"ipv4": "A fixed address is for one container."})
    return ask_one(request, connect_item(network, chosen, endpoint, replaces=order.replaces))


@router.post("/{uuid:pk}/disconnect", response=answers(OperationEntry, 202), operation_id="networks_disconnect")
@needs(Right.OPERATE)
@idempotent
def networks_disconnect(request: HttpRequest, pk: uuid.UUID, order: Disconnection) -> Any:
    """Take a container off it."""
    network = _operable(request, pk)
    if "host" in (network.name, network.driver):
        raise OperationRefused("A container is on the host's network from its creation or never.")
    [container] = _containers(request, network, [order.container], "container")
    return ask_one(request, disconnect_item(network, container, force=order.force))


def _operable(request: HttpRequest, pk: uuid.UUID) -> Network:
    return get_object_or_404(Network.objects.permitted(request.user, Right.OPERATE).for_page(), pk=pk)


def _changeable(request: HttpRequest, pk: uuid.UUID) -> Network:
    network = _operable(request, pk)
    if network.is_predefined:
        raise OperationRefused(f"{network.name} was made by the engine and stays as it is.")
    return network


def _containers(
    request: HttpRequest, network: Network, ids: list[uuid.UUID], field: str = "containers"
) -> list[Container]:
    rows = Container.objects.permitted(request.user, Right.OPERATE).present().select_related("device")
    rows = rows.filter(device=network.device, pk__in=ids).defer("inspect", "environment")
    found = {row.pk: row for row in rows}
    unknown = [pk for pk in ids if pk not in found]
    if unknown:
        raise FieldProblem({field: f"{network.device.name} has no container {unknown[0]}, or you may not act on it."})
    return [found[pk] for pk in dict.fromkeys(ids)]


def _endpoint(order: Connection, network: Network, others: Any) -> Endpoint:
    fields = {"aliases": ", ".join(order.aliases)[:2000], "ipv4": order.ipv4, "ipv6": order.ipv6, "mac": order.mac}
    try:
        return check_endpoint(place_of(network, others), **fields)
    except NetworkFieldError as exc:
        raise FieldProblem({exc.field: str(exc)}) from exc


def _filled(empty: NetworkForm, order: NetworkChange) -> dict[str, Any]:
    """What the form holds, with what the request names."""
    data = values_of(empty)
    data |= order.model_dump(exclude_none=True, exclude={"pools", "options", "labels", "devices"})
    for name in ("options", "labels"):
        pairs: dict[str, str] | None = getattr(order, name)
        if pairs is not None:
            data[name] = lines_of(pairs)
    if order.pools is not None:
        for number in range(POOL_ROWS):
            pool = order.pools[number] if number < len(order.pools) else None
            texts = ("", "", "", "")
            if pool is not None:
                kept = ", ".join(f"{name}={address}" for name, address in pool.auxiliary.items())
                texts = (pool.subnet, pool.gateway, pool.ip_range, kept)
            data |= {f"pool{number}_{part}": text for part, text in zip(_PARTS, texts, strict=True)}
    return data


def _checked(form: NetworkForm) -> NetworkForm:
    if form.is_valid():
        return form
    names = {f"pool{number}_{part}": f"pools.{number}.{part}" for number in range(POOL_ROWS) for part in _PARTS}
    told = problems_of(form, names)
    for name, reasons in (("accepts_warnings", form.warnings), ("drops_addresses", form.misfits)):
        if name in told:
            told[name] = " ".join([told[name], *reasons])
    raise FieldProblem(told)


def _entry(network: Network) -> dict[str, Any]:
    given = {"id", "device"}
    return {
        "id": network.pk,
        "device": Place(id=network.device_id, name=network.device.name),
        **{name: getattr(network, name) for name in NetworkEntry.model_fields if name not in given},
    }
