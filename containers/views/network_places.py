"""What the pages know about places on a network, in the words of the rules."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from containers.models import Container, Network
from containers.rules.endpoints import Place, used_addresses
from containers.rules.inspection import Attachment
from containers.rules.subnets import Address, SubnetError, first_free_address, parse_subnet


def place_of(network: Network, attached: Iterable[tuple[Container, Attachment]]) -> Place:
    """A network as the rules of places see it, with the addresses of those that are on it."""
    owners = [(container.name, [{**attachment, "name": network.name}]) for container, attachment in attached]
    return Place(
        name=network.name,
        driver=network.driver,
        scope=network.scope,
        attachable=network.attachable,
        is_predefined=network.is_predefined,
        config_only=network.config_only,
        pools=network.pools,
        used=used_addresses(owners, network.name),
    )


def about_addresses(network: Network, attached: Iterable[tuple[Container, Attachment]]) -> dict[str, Any]:
    """What a form tells about addresses: which kinds the network has, and the first free one of each."""
    used = place_of(network, attached).used
    free: dict[str, str] = {}
    versions = set()
    for pool in network.pools:
        try:
            subnet = parse_subnet(pool["subnet"])
        except SubnetError:
            continue
        versions.add(subnet.version)
        kept = set(_addresses([pool["gateway"], *pool["auxiliary"].values()]))
        # The engine takes the first one for the gateway where none was asked for.
        found = first_free_address(subnet, {*used, *kept, subnet[min(1, subnet.num_addresses - 1)]})
        if found is not None:
            free.setdefault(f"ipv{subnet.version}", str(found))
    return {"free": free, "has_ipv4": 4 in versions, "has_ipv6": 6 in versions}


def _addresses(texts: Iterable[str]) -> Iterator[Address]:
    for text in texts:
        try:
            yield ip_address(text.partition("/")[0])
        except ValueError:
            continue
