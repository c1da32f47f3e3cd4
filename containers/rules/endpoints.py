"""A container on a network: aliases and fixed addresses, checked before the engine is asked (pure)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from containers.rules.masking import clean_text, scalar_text
from containers.rules.networks import NetworkFieldError, Pool
from containers.rules.subnets import Address, Subnet, SubnetError, parse_address, parse_subnet

MOST_ALIASES: Final = 20
# Names of DNS and what people use beside them; Docker itself checks none of it.
_ALIAS: Final = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a container is to be on a network; empty texts leave it to the engine."""

    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""

    def body(self) -> dict[str, Any]:
        """The engine's EndpointConfig."""
        addresses = {"IPv4Address": self.ipv4, "IPv6Address": self.ipv6}
        asked_for = {name: text for name, text in addresses.items() if text}
        body: dict[str, Any] = {}
        if self.aliases:
            body["Aliases"] = list(self.aliases)
        if asked_for:
            body["IPAMConfig"] = asked_for
        if self.mac:
            body["MacAddress"] = self.mac
        return body


@dataclass(frozen=True, slots=True)
class Place:
    """What of a network matters to who wants to be on it; ``used`` names who has which address."""

    name: str
    driver: str
    scope: str
    attachable: bool
    is_predefined: bool
    config_only: bool
    pools: Sequence[Pool]
    used: Mapping[Address, str]

    @property
    def subnets(self) -> list[Subnet]:
        """Its subnets, as far as they can be read."""
        found = []
        for pool in self.pools:
            try:
                found.append(parse_subnet(pool["subnet"]))
            except SubnetError:
                continue
        return found


def why_not_connectable(place: Place, names_of_container: Iterable[str], *, mode: str = "") -> str:
    """Why no container, or this one, can be connected to the network; empty when nothing speaks against it.

    ``names_of_container`` are the networks that it is on, ``mode`` its network mode ("container:…" shares another's).
    """
    names = set(names_of_container)
    if place.driver == "host" or place.name == "host":
        return "A container is on the host's network from its creation or never."
    if place.driver == "null" or (place.name == "none" and place.is_predefined):
        return "“none” is no network to connect to: disconnect the container from its networks instead."
    if place.config_only:
        return f"{place.name} is a template for other networks; nothing can be on it."
    if place.scope == "swarm" and not place.attachable:
        return f"{place.name} is for services of the swarm: it was made without “attachable”."
    if "host" in names:
        return "It uses the host's network; such a container can be on no other one."
    if mode.startswith("container:"):
        return "It shares the network of another container: connect that one."
    if "none" in names:
        return "It is on “none”: disconnect it from there first."
    return ""


def check_endpoint(place: Place, aliases: str = "", ipv4: str = "", ipv6: str = "", mac: str = "") -> Endpoint:
    """What a form says, checked against the network. Raises NetworkFieldError of aliases, ipv4, ipv6 or mac."""
    names = _read_aliases(aliases)
    if place.is_predefined and names:
        raise NetworkFieldError(
            "aliases", f"{place.name} resolves no names: only networks made by people know aliases."
        )
    if place.is_predefined and (ipv4.strip() or ipv6.strip()):
        field = "ipv4" if ipv4.strip() else "ipv6"
        raise NetworkFieldError(field, f"On {place.name} the engine gives the addresses itself.")
    return Endpoint(
        aliases=names,
        ipv4=_fixed(place, ipv4, "ipv4", 4),
        ipv6=_fixed(place, ipv6, "ipv6", 6),
        mac=_read_mac(mac),
    )


def _read_aliases(text: str) -> tuple[str, ...]:
    names = list(dict.fromkeys(re.split(r"[\s,]+", text.strip()))) if text.strip() else []
    for name in filter(None, names):
        if not _ALIAS.fullmatch(name):
            raise NetworkFieldError(
                "aliases", f"“{name[:60]}” is no name: letters, digits, dots, hyphens, underscores."
            )
    if len(names) > MOST_ALIASES:
        raise NetworkFieldError("aliases", f"More than {MOST_ALIASES} names.")
    return tuple(filter(None, names))


def _read_mac(text: str) -> str:
    mac = text.strip().lower().replace("-", ":")
    if not mac:
        return ""
    if not _MAC.fullmatch(mac):
        raise NetworkFieldError("mac", "A MAC address has six pairs of hexadecimal digits: 02:42:ac:11:00:02.")
    if int(mac[:2], 16) & 1:
        raise NetworkFieldError("mac", f"{mac} is the address of a group: the second digit has to be even.")
    return mac


def _fixed(place: Place, text: str, field: str, version: int) -> str:
    text = text.strip()
    if not text:
        return ""
    subnets = [subnet for subnet in place.subnets if subnet.version == version]
    if not subnets:
        raise NetworkFieldError(field, f"{place.name} has no IPv{version} subnet, so no such address can be given.")
    address = _in_one_of(subnets, text, field)
    if str(address) in {pool["gateway"].partition("/")[0] for pool in place.pools}:
        raise NetworkFieldError(field, f"{address} is the gateway of {place.name}.")
    kept = {given: name for pool in place.pools for name, given in pool["auxiliary"].items()}
    if str(address) in kept:
        raise NetworkFieldError(field, f"{address} is kept free for {kept[str(address)][:60]}.")
    if address in place.used:
        raise NetworkFieldError(field, f"{address} belongs to {place.used[address]} already.")
    return str(address)


def _in_one_of(subnets: Sequence[Subnet], text: str, field: str) -> Address:
    errors = []
    for subnet in subnets:
        try:
            return parse_address(text, field, subnet)
        except SubnetError as exc:
            errors.append(str(exc))
    raise NetworkFieldError(field, errors[0])


def is_named_by_id(mode: str, engine_id: str, name: str) -> bool:
    """Whether a container's network mode is the id of a network, or its beginning, in place of its name.

    Docker 25 and later let such a container be on no network at all once that id is gone: it has to be made anew.
    """
    return len(mode) >= 4 and mode != name and engine_id.startswith(mode)


def used_addresses(containers: Iterable[tuple[str, Sequence[Mapping[str, Any]]]], name: str) -> dict[Address, str]:
    """Who has, or has asked for, which address on a network: containers as (name, their attachments to it)."""
    found: dict[Address, str] = {}
    for owner, attachments in containers:
        for attachment in attachments:
            if attachment.get("name") != name:
                continue
            for key in ("fixed", "fixed6", "address", "address6"):
                try:
                    found[ip_address(str(attachment.get(key) or ""))] = owner
                except ValueError:
                    continue
    return found


def kept_endpoint(answer: Mapping[str, Any], container_id: str) -> dict[str, Any]:
    """The EndpointConfig that connects a container again as it was: from its entry under NetworkSettings.Networks.

    Addresses that the engine gave are left out, and so is the short id that engines before 25 add to the aliases.
    """
    short_id = container_id[:12]
    body: dict[str, Any] = {}
    aliases = [text for text in _texts(answer.get("Aliases")) if text != short_id]
    if aliases:
        body["Aliases"] = aliases
    if links := _texts(answer.get("Links")):
        body["Links"] = links
    asked_for = answer.get("IPAMConfig")
    if isinstance(asked_for, dict) and any(asked_for.values()):
        body["IPAMConfig"] = {str(key): value for key, value in asked_for.items() if value}
    options = answer.get("DriverOpts")
    if isinstance(options, dict) and options:
        body["DriverOpts"] = {str(key): scalar_text(value) for key, value in options.items()}
    priority = answer.get("GwPriority")
    if isinstance(priority, int) and priority:
        body["GwPriority"] = priority
    return body


def _texts(value: Any) -> list[str]:
    return [clean_text(text, 255) for text in value[:200] if isinstance(text, str)] if isinstance(value, list) else []


def addresses_outside(endpoint: Mapping[str, Any], subnets: Iterable[Subnet]) -> list[str]:
    """The fixed addresses of an EndpointConfig that are in none of the subnets."""
    asked_for = endpoint.get("IPAMConfig")
    chosen = list(subnets)
    outside = []
    for key in ("IPv4Address", "IPv6Address"):
        text = scalar_text(asked_for.get(key)) if isinstance(asked_for, dict) else ""
        try:
            address = ip_address(text)
        except ValueError:
            continue
        if not any(address.version == subnet.version and address in subnet for subnet in chosen):
            outside.append(text)
    return outside
