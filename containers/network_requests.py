"""What acts on networks ask for: of which object, under which lock; and places on networks, as the rules see them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

from containers.batches import Item
from containers.models import Container, Network, Operation
from containers.network_rows import named_by_id
from containers.querysets import NetworkQuerySet
from containers.rules.endpoints import Endpoint, Place, used_addresses
from containers.rules.inspection import Attachment
from containers.rules.subnets import Address, SubnetError, first_free_address, parse_subnet
from devices.models import Device

KIND: Final = Operation.Kind
OBJECT: Final = Operation.ObjectKind.NETWORK


def network_item(network: Network, kind: str, parameters: dict[str, Any]) -> Item:
    """An act on a network."""
    return Item(
        device=network.device,
        kind=kind,
        object_kind=OBJECT,
        target_name=network.name,
        engine_id=network.engine_id,
        lock=network.lock,
        parameters=parameters,
    )


def new_network_item(device: Device, body: dict[str, Any]) -> Item:
    """A network to be made, ``body`` as the engine takes it."""
    name = str(body["Name"])
    return Item(
        device=device,
        kind=KIND.NETWORK_CREATE,
        object_kind=OBJECT,
        target_name=name,
        lock=f"network:{device.pk}:name:{name}",
        parameters={"body": body},
    )


def configure_items(network: Network, body: dict[str, Any], *, drops_addresses: bool) -> list[Item]:
    """A network made anew as ``body`` says; before it, in a wave of their own, the containers that know it by its id.

    Those are made anew too; then they know it by its name.
    """
    item = network_item(network, KIND.NETWORK_CONFIGURE, {"body": body, "drops_addresses": drops_addresses})
    before = [
        Item(device=network.device, kind=KIND.RECREATE, container=row, parameters={}, sealed={"changes": {}})
        for row in named_by_id(network)
    ]
    return [*before, replace(item, wave=1)] if before else [item]


def connect_item(network: Network, chosen: Sequence[Container], endpoint: Endpoint, *, replaces: bool) -> Item:
    """Put containers on a network; ``replaces``: those that are on it are taken off and put back."""
    parameters = {
        "containers": [{"id": container.engine_id, "name": container.name} for container in chosen],
        "endpoint": endpoint.body(),
        "replaces": replaces,
    }
    return network_item(network, KIND.NETWORK_CONNECT, parameters)


def disconnect_item(network: Network, container: Container, *, force: bool) -> Item:
    """Take a container off a network."""
    containers = [{"id": container.engine_id, "name": container.name}]
    return network_item(network, KIND.NETWORK_DISCONNECT, {"containers": containers, "force": force})


def unused_networks(networks: NetworkQuerySet, device: str) -> NetworkQuerySet:
    """Networks without a container that people made on single hosts: who uses a swarm's is not known here."""
    rows = networks.used(by_any=False).exclude(scope="swarm").filter(ingress=False, config_only=False)
    return rows.filter(device__pk=device) if device else rows


def prune_item(device: Device, networks: list[Network]) -> Item:
    """The removal of these networks, as far as nothing uses them."""
    count = len(networks)
    return Item(
        device=device,
        kind=KIND.NETWORK_PRUNE,
        object_kind=OBJECT,
        target_name=networks[0].name if count == 1 else f"{count} networks",
        lock=f"network:{device.pk}:prune",
        parameters={"networks": [{"id": network.engine_id, "name": network.name} for network in networks]},
    )


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
