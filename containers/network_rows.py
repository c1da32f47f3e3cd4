"""Reads of networks together with the containers on them, which know of networks by id or by name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any

from django.db.models import Q

from containers.models import Container, Network
from containers.querysets import ContainerQuerySet
from containers.rules.endpoints import is_named_by_id
from containers.rules.inspection import Attachment
from containers.rules.subnets import SubnetError, capacity, parse_subnet


def on_network(network: Network) -> Q:
    """The condition that a container is on a network, by the same rule as NetworkQuerySet counts them."""
    by_id = Q(networks__contains=[{"network_id": network.engine_id}])
    by_name = Q(networks__contains=[{"name": network.name, "network_id": ""}])
    return Q(device=network.device_id, removed_at=None) & (by_id | by_name)


def place_on(network: Network, attachments: Iterable[Attachment]) -> Attachment | None:
    """The entry of a container's networks that is this one."""
    for attachment in attachments:
        network_id = attachment.get("network_id", "")
        if network_id == network.engine_id or (not network_id and attachment["name"] == network.name):
            return attachment
    return None


def attached_to(network: Network, rows: ContainerQuerySet | None = None) -> list[tuple[Container, Attachment]]:
    """The containers on a network, of ``rows`` or all, by name, each with how it is there. One query."""
    chosen = Container.objects.all() if rows is None else rows
    found = []
    for container in chosen.filter(on_network(network)).defer("inspect", "environment").order_by("name", "pk"):
        place = place_on(network, container.networks)
        if place is not None:
            found.append((container, place))
    return found


def named_by_id(network: Network) -> list[Container]:
    """The containers on a network that were made with its id in place of its name. Two queries, one without any."""
    modes = Container.objects.filter(on_network(network)).values_list("pk", "inspect__HostConfig__NetworkMode")
    keys = [key for key, mode in modes if is_named_by_id(str(mode or ""), network.engine_id, network.name)]
    if not keys:
        return []
    rows = Container.objects.filter(pk__in=keys).select_related("device").defer("inspect", "environment")
    return list(rows.order_by("name", "pk"))


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A subnet of a network and how many of its addresses are known to be used, of how many."""

    subnet: str
    gateway: str
    ip_range: str
    auxiliary: Mapping[str, str]
    used: int
    capacity: int | None

    @property
    def is_countable(self) -> bool:
        """Whether a bar of it tells something: IPv6 subnets are never full."""
        return self.capacity is not None and self.capacity <= 2**20


def pool_uses(network: Network, places: Iterable[Attachment]) -> list[PoolUse]:
    """The subnets of a network with how full they are."""
    addresses = [text for place in places for text in _addresses(place)]
    return [_pool_use(pool, addresses) for pool in network.pools]


def _addresses(place: Mapping[str, Any]) -> list[str]:
    ipv4 = place.get("address") or place.get("fixed") or ""
    ipv6 = place.get("address6") or place.get("fixed6") or ""
    return [text for text in (ipv4, ipv6) if text]


def _pool_use(pool: Mapping[str, Any], addresses: list[str]) -> PoolUse:
    used, room = 0, None
    try:
        subnet = parse_subnet(pool["subnet"])
        inner = ip_network(pool["ip_range"]) if pool["ip_range"] else None
        room = capacity(subnet, inner)
        within = inner or subnet
        used = sum(_is_in(text, within) for text in addresses)
    except (SubnetError, ValueError):
        pass
    return PoolUse(pool["subnet"], pool["gateway"], pool["ip_range"], pool["auxiliary"], used, room)


def _is_in(text: str, subnet: Any) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return (address.version == 4) == isinstance(subnet, IPv4Network) and address in subnet


def lost_places(containers: Iterable[Container]) -> dict[Any, list[Attachment]]:
    """Attachments to networks that their host has no more, by the container's key: such a container cannot start.

    Of all networks that are known, whoever may see them. One query.
    """
    chosen = list(containers)
    known: dict[Any, set[str]] = {}
    hosts = {container.device_id for container in chosen}
    for device_id, engine_id in Network.objects.filter(device__in=hosts).values_list("device_id", "engine_id"):
        known.setdefault(device_id, set()).add(engine_id)
    found: dict[Any, list[Attachment]] = {}
    for container in chosen:
        # A host whose networks were never read tells nothing of any.
        there = known.get(container.device_id)
        lost = [
            place
            for place in container.networks
            if there and place.get("network_id") and place["network_id"] not in there
        ]
        if lost:
            found[container.pk] = lost
    return found
