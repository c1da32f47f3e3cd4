"""The map of which containers meet on which network, and the ports that containers take of their hosts."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from containers.filters import LONGEST_LIST, id_of
from containers.models import Container, Network
from containers.network_rows import lost_places, place_on
from containers.rules.inspection import Attachment
from containers.rules.network_map import Drawing, MapContainer, MapNetwork, draw
from containers.rules.ports import Claimant, UsedPort, used_ports
from devices.models import Device
from devices.querysets import DeviceQuerySet
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_view
from ssm.lib.tables import Chip, Choice, chips, choice_of, page_of, text_of
from ssm.templatetags.ui import container_sign

# A picture and a table for each, so few on one page.
_DEVICES_A_PAGE: Final = 6
_MOST_CONTAINERS: Final = 3000


@dataclass(frozen=True, slots=True)
class Meeting:
    """A network and who is on it: the words of the picture."""

    network: Network
    members: list[tuple[Container, Attachment]]


@dataclass(frozen=True, slots=True)
class HostMap:
    """One host: the picture, the same as a table, those that meet nobody, and those whose network is gone."""

    device: Device
    drawing: Drawing
    meetings: list[Meeting]
    alone: list[Container]
    lost: list[Container]


@require_GET
@allowed(can_view)
def network_map(request: HttpRequest) -> HttpResponse:
    """Which containers meet on which network, a picture and a table for each host; ``project`` shows only one."""
    device, project = id_of(request.GET, "device"), text_of(request.GET, "project")
    with_empty = request.GET.get("empty") == "1"
    visible = Device.objects.visible_to(request.user)
    page = page_of(request, _with_networks(visible, device, project), size=_DEVICES_A_PAGE)
    hosts = list(page)
    containers = _containers(request, hosts, project)
    networks: dict[uuid.UUID, list[Network]] = {}
    for network in Network.objects.visible_to(request.user).filter(device__in=hosts).order_by("name", "pk"):
        networks.setdefault(network.device_id, []).append(network)
    lost = lost_places(row for rows in containers.values() for row in rows)
    maps = [
        _host_map(host, networks.get(host.pk, []), containers.get(host.pk, []), lost, with_empty=with_empty)
        for host in hosts
    ]
    context = {
        "page": page,
        "maps": maps,
        "with_empty": with_empty,
        "project": project,
        **_devices(request, visible, device, [("project", "Project", project)]),
    }
    return render_page(request, "networks/map.html", "networks/partials/maps.html", context)


def _with_networks(devices: DeviceQuerySet, device: str, project: str) -> DeviceQuerySet:
    rows = devices.filter(networks__isnull=False).distinct().order_by("name", "pk")
    if project:
        rows = rows.filter(containers__compose_project=project, containers__removed_at=None)
    return rows.filter(pk=device) if device else rows


def _devices(
    request: HttpRequest, visible: DeviceQuerySet, device: str, further: Iterable[tuple[str, str, str]]
) -> dict[str, Any]:
    names = {str(pk): name for pk, name in visible.order_by("name").values_list("pk", "name")[:LONGEST_LIST]}
    shown: list[Chip] = chips(
        request.GET, [("device", "Device", names.get(device, "one device") if device else ""), *further]
    )
    return {"device": device, "devices": [Choice(pk, name) for pk, name in names.items()], "chips": shown}


def _containers(request: HttpRequest, hosts: list[Device], project: str) -> dict[uuid.UUID, list[Container]]:
    rows = Container.objects.visible_to(request.user).present().filter(device__in=hosts).select_related("device")
    rows = rows.filter(compose_project=project) if project else rows
    found: dict[uuid.UUID, list[Container]] = {}
    for container in rows.defer("inspect", "environment", "mounts").order_by("name")[:_MOST_CONTAINERS]:
        found.setdefault(container.device_id, []).append(container)
    return found


def _host_map(
    device: Device,
    networks: list[Network],
    containers: list[Container],
    lost: Mapping[Any, object],
    *,
    with_empty: bool,
) -> HostMap:
    meetings = []
    places: dict[uuid.UUID, dict[str, str]] = {container.pk: {} for container in containers}
    for network in networks:
        members = [(item, place) for item in containers if (place := place_on(network, item.networks)) is not None]
        if not members and not with_empty:
            continue
        meetings.append(Meeting(network, members))
        for container, place in members:
            places[container.pk][str(network.pk)] = place["address"] or place["address6"] or place.get("fixed", "")
    drawing = draw(
        [_map_network(meeting.network) for meeting in meetings], [_map_container(c, places) for c in containers]
    )
    company = {item.pk for meeting in meetings if _meets(meeting) for item, _place in meeting.members}
    alone = [item for item in containers if item.pk not in company]
    return HostMap(device, drawing, meetings, alone, [item for item in containers if item.pk in lost])


def _meets(meeting: Meeting) -> bool:
    """Whether those on the network reach each other on it: not by having none, and not alone."""
    return meeting.network.driver != "null" and len(meeting.members) > 1


def _map_network(network: Network) -> MapNetwork:
    note = network.pools[0]["subnet"] if network.pools else network.driver
    return MapNetwork(
        str(network.pk), network.name, network.get_absolute_url(), note[:24], is_internal=network.internal
    )


def _map_container(container: Container, places: dict[uuid.UUID, dict[str, str]]) -> MapContainer:
    tone = _tone(container)
    return MapContainer(str(container.pk), container.title, container.get_absolute_url(), tone, places[container.pk])


def _tone(container: Container) -> str:
    """The tone of its state, as far as its own row tells it: operations under way are not asked for here."""
    container.active_operations = []
    return container_sign(container).tone


# ---- ports --------------------------------------------------------------------------------------------------------

PORT_KINDS: Final = (
    Choice("conflicts", "In each other’s way"),
    Choice("bound", "Taken now"),
    Choice("claimed", "Taken at the next start"),
)


@dataclass(frozen=True, slots=True)
class HostPorts:
    """One host: the ports of its containers, and the containers that have the host's own network."""

    device: Device
    ports: list[tuple[UsedPort, Container]]
    on_host: list[Container]
    conflicts: int


@require_GET
@allowed(can_view)
def ports(request: HttpRequest) -> HttpResponse:
    """Ports that containers take of each host, what stopped ones will want included, and who is in whose way."""
    device, q = id_of(request.GET, "device"), text_of(request.GET, "q")
    kind = choice_of(request.GET, "kind", (choice.value for choice in PORT_KINDS))
    visible = Device.objects.visible_to(request.user)
    rows = visible.filter(pk=device) if device else visible
    rows = rows.filter(containers__removed_at=None, containers__isnull=False).distinct().order_by("name", "pk")
    page = page_of(request, rows, size=_PORT_DEVICES)
    hosts = list(page)
    containers = _containers(request, hosts, "")
    found = [_host_ports(host, containers.get(host.pk, []), q, kind) for host in hosts]
    words = {choice.value: choice.text for choice in PORT_KINDS}
    context = {
        "page": page,
        "hosts": [host for host in found if host.ports or host.on_host or not (q or kind)],
        "q": q,
        "kind": kind,
        "kinds": PORT_KINDS,
        **_devices(request, visible, device, [("q", "Search", q), ("kind", "Only", words.get(kind, ""))]),
    }
    return render_page(request, "networks/ports.html", "networks/partials/ports.html", context)


_PORT_DEVICES: Final = 20


def claimant(container: Container) -> Claimant:
    """A container as the rules of ports see it."""
    return Claimant(
        str(container.pk),
        container.title,
        is_running=container.is_running,
        ports=tuple(container.ports),
        claims=tuple(container.port_claims),
    )


def _host_ports(device: Device, containers: list[Container], q: str, kind: str) -> HostPorts:
    by_key = {str(container.pk): container for container in containers}
    used = used_ports(claimant(container) for container in containers)
    conflicts = sum(bool(port.rivals) for port in used)
    shown = [(port, by_key[port.use.key]) for port in used if _is_wanted(port, q, kind)]
    on_host = [item for item in containers if any(entry["name"] == "host" for entry in item.networks)]
    if kind or q:
        on_host = [item for item in on_host if not kind and q.lower() in item.title.lower()]
    return HostPorts(device, shown, on_host, conflicts)


def _is_wanted(port: UsedPort, q: str, kind: str) -> bool:
    if kind == "conflicts" and not port.rivals:
        return False
    if kind in ("bound", "claimed") and port.use.is_bound != (kind == "bound"):
        return False
    return not q or q.lower() in port.use.name.lower() or port.use.text.startswith(q) or q == str(port.use.host_port)
