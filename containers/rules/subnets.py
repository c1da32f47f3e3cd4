"""Subnets of networks: what is wrong with one, in words, before an engine is asked (pure).

An engine refuses with half a sentence ("Pool overlaps with other one on this address space"), some versions take what
others refuse, and what overlaps with a way to the host itself cuts it off. So all of it is looked at beforehand.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Final

Subnet = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

LONGEST_TEXT: Final = 64
# Where subnets are suggested, in this order: Docker's own default pools come last, as it hands them out by itself.
SUGGESTED_FROM: Final = (
    IPv4Network("10.64.0.0/10"),
    IPv4Network("172.24.0.0/13"),
    IPv4Network("192.168.128.0/17"),
    IPv4Network("172.16.0.0/13"),
    IPv4Network("192.168.0.0/17"),
    IPv4Network("10.0.0.0/10"),
)
SUGGESTED_V6_FROM: Final = IPv6Network("fd00::/8")
# What no network of containers may be on; the words end the sentence "… is for …".
_RESERVED: Final[tuple[tuple[Subnet, str], ...]] = (
    (IPv4Network("0.0.0.0/8"), "“this host” only (RFC 1122)"),
    (IPv4Network("127.0.0.0/8"), "loopback (RFC 1122)"),
    (IPv4Network("224.0.0.0/4"), "multicast (RFC 5771)"),
    (IPv4Network("240.0.0.0/4"), "future use (RFC 1112)"),
    (IPv6Network("::1/128"), "loopback (RFC 4291)"),
    (IPv6Network("::ffff:0:0/96"), "IPv4 addresses written as IPv6 (RFC 4291)"),
    (IPv6Network("fe80::/10"), "single links (RFC 4291): containers have such addresses by themselves"),
    (IPv6Network("ff00::/8"), "multicast (RFC 4291)"),
)
_PRIVATE: Final[tuple[Subnet, ...]] = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("169.254.0.0/16"),
    # For documentation and measurements: nobody's, so no harm.
    IPv4Network("192.0.2.0/24"),
    IPv4Network("198.18.0.0/15"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv6Network("fc00::/7"),
    IPv6Network("2001:db8::/32"),
)
# Fewer than two addresses for gateway and container.
_LONGEST_PREFIX: Final = {4: 30, 6: 126}


class SubnetError(ValueError):
    """Something about a subnet; ``field`` is subnet, gateway, ip_range or auxiliary, the text says what and why."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class Taken:
    """A subnet that somebody has: ``owner`` ends the sentence "overlaps with …"."""

    subnet: Subnet
    owner: str


@dataclass(frozen=True, slots=True)
class CheckedPool:
    """A subnet with what belongs to it, each part valid; warnings are sentences."""

    subnet: Subnet
    gateway: Address | None
    ip_range: Subnet | None
    auxiliary: tuple[tuple[str, Address], ...]
    warnings: tuple[str, ...]


def parse_subnet(text: str, version: int | None = None) -> Subnet:
    """A subnet as people write it, such as 10.1.2.0/24. Raises SubnetError with what to write instead."""
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        raise SubnetError("subnet", "This is too long for a subnet.")
    if "/" not in text:
        raise SubnetError("subnet", _without_prefix(text))
    try:
        subnet = ip_network(text, strict=True)
    except ValueError as exc:
        raise SubnetError("subnet", _wrong_subnet(text)) from exc
    if version is not None and subnet.version != version:
        raise SubnetError("subnet", f"{subnet} is an IPv{subnet.version} subnet; here goes one of IPv{version}.")
    return subnet


def _without_prefix(text: str) -> str:
    address = _address_or_none(text)
    if address is None:
        return f"“{text}” is no subnet: write an address and how many bits of it are fixed, such as 10.1.2.0/24."
    bits = 24 if address.version == 4 else 64
    return (
        f"{address} is one address: add how many bits are fixed, such as {ip_network((address, bits), strict=False)}."
    )


def _wrong_subnet(text: str) -> str:
    address_text, _slash, prefix = text.partition("/")
    address = _address_or_none(address_text)
    if address is None:
        if address_text.count(".") == 3 and all(part.isdigit() for part in address_text.split(".")):
            return (
                f"“{address_text}” is no address: each of the four numbers goes from 0 to 255, without leading zeros."
            )
        return f"“{address_text}” is no address: write one such as 10.1.2.0 or fd00:1::."
    try:
        wide = ip_network(text, strict=False)
    except ValueError:
        return f"“/{prefix}” is no length of a prefix: write a number from 0 to {address.max_prefixlen}."
    return f"{address} lies inside the subnet, which begins at {wide.network_address}: write {wide}."


def _address_or_none(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def parse_address(text: str, field: str, subnet: Subnet) -> Address:
    """An address that a container or gateway could have in the subnet. Raises SubnetError of the field."""
    text = text.strip()
    address = _address_or_none(text) if len(text) <= LONGEST_TEXT else None
    if address is None:
        raise SubnetError(field, f"“{text[:LONGEST_TEXT]}” is no address: write one such as {_example(subnet)}.")
    if address.version != subnet.version:
        raise SubnetError(field, f"{address} is of IPv{address.version}, but {subnet} of IPv{subnet.version}.")
    if address not in subnet:
        raise SubnetError(field, f"{address} is not in {subnet}, which goes from {subnet[0]} to {subnet[-1]}.")
    if address == subnet.network_address:
        raise SubnetError(field, f"{address} stands for the subnet itself; the first free one is {_example(subnet)}.")
    if subnet.version == 4 and address == subnet.broadcast_address:
        raise SubnetError(field, f"{address} is the broadcast address of {subnet}; the last free one is {subnet[-2]}.")
    return address


def _example(subnet: Subnet) -> Address:
    return subnet[min(1, subnet.num_addresses - 1)]


def check_pool(subnet: str, gateway: str = "", ip_range: str = "", auxiliary: str = "") -> CheckedPool:
    """Look at a subnet with gateway, range for containers and kept-free addresses ("name=address", by commas or lines).

    Raises SubnetError with the first thing that is wrong, by field.
    """
    checked = parse_subnet(subnet)
    _check_place(checked)
    place = parse_address(gateway, "gateway", checked) if gateway.strip() else None
    inner = _check_range(ip_range, checked) if ip_range.strip() else None
    kept = tuple(_auxiliary(auxiliary, checked))
    if place is not None and place in {address for _name, address in kept}:
        raise SubnetError("auxiliary", f"{place} is the gateway: it cannot be kept free besides.")
    return CheckedPool(checked, place, inner, kept, tuple(_warnings(checked, place, inner)))


def _check_place(subnet: Subnet) -> None:
    if subnet.prefixlen == 0:
        raise SubnetError("subnet", f"{subnet} is the whole internet: the host would reach nothing else any more.")
    for reserved, what in _RESERVED:
        if subnet.version == reserved.version and subnet.overlaps(reserved):
            raise SubnetError("subnet", f"{subnet} cannot be used: {reserved} is for {what}.")
    longest = _LONGEST_PREFIX[subnet.version]
    if subnet.prefixlen > longest:
        raise SubnetError(
            "subnet",
            f"{subnet} has no room for a gateway and a container: /{longest} is the smallest, "
            f"/{24 if subnet.version == 4 else 64} the usual one.",
        )


def _check_range(text: str, subnet: Subnet) -> Subnet:
    try:
        inner = parse_subnet(text)
    except SubnetError as exc:
        raise SubnetError("ip_range", str(exc)) from exc
    if inner.version != subnet.version:
        raise SubnetError("ip_range", f"{inner} is of IPv{inner.version}, but {subnet} of IPv{subnet.version}.")
    if not is_within(inner, subnet):
        raise SubnetError("ip_range", f"{inner} is not inside of {subnet}.")
    return inner


def is_within(inner: Subnet, outer: Subnet) -> bool:
    """Whether all addresses of the one are in the other; False for different versions."""
    if inner.version != outer.version:
        return False
    return inner.network_address in outer and inner.broadcast_address in outer


def _auxiliary(text: str, subnet: Subnet) -> Iterator[tuple[str, Address]]:
    seen: set[str] = set()
    for place, entry in enumerate(part.strip() for part in text.replace(",", "\n").splitlines() if part.strip()):
        if place >= 100:
            raise SubnetError("auxiliary", "More than 100 addresses cannot be kept free.")
        name, equals, address = entry.partition("=")
        if not equals or not name.strip():
            raise SubnetError("auxiliary", f"“{entry[:60]}”: write a name and an address, such as router=10.1.2.5.")
        if name.strip() in seen:
            raise SubnetError("auxiliary", f"“{name.strip()[:60]}” is there twice.")
        seen.add(name.strip())
        yield name.strip()[:255], parse_address(address, "auxiliary", subnet)


def _warnings(subnet: Subnet, gateway: Address | None, inner: Subnet | None) -> Iterator[str]:
    if not any(is_within(subnet, private) for private in _PRIVATE):
        yield f"{subnet} is not a private range: containers could not reach the hosts on the internet that have it."
    if subnet.version == 6 and subnet.prefixlen > 64:
        yield f"{subnet} is smaller than /64, which IPv6 expects of a network."
    if inner is not None and inner.num_addresses < 4:
        yield f"The range {inner} has room for {inner.num_addresses} container{'s' if inner.num_addresses > 1 else ''}."
    if subnet.version == 4 and subnet.prefixlen < 12:
        yield f"{subnet} is very large: it is likely to overlap with networks that are yet to come."


def overlaps(subnet: Subnet, taken: Iterable[Taken]) -> list[Taken]:
    """Who has some of its addresses already, in the order given."""
    return [other for other in taken if other.subnet.version == subnet.version and other.subnet.overlaps(subnet)]


def overlap_text(subnet: Subnet, found: Sequence[Taken], free: Subnet | None = None) -> str:
    """The sentence about overlaps (there is at least one), with a free subnet of that size."""
    shown = ", ".join(f"{other.owner} ({other.subnet})" for other in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    suggestion = f" {free} is free." if free is not None else ""
    return f"{subnet} overlaps with {shown}{more}.{suggestion}"


def suggest_subnet(taken: Iterable[Taken], prefix: int = 24, version: int = 4) -> Subnet | None:
    """A private subnet of that size which overlaps with none of these; None when there is none among 65,536 looked at.

    Of IPv6 one below fd00::/8, of the low end of it: SSM has no business with random numbers here.
    """
    blocked = [other.subnet for other in taken if other.subnet.version == version]
    pools: tuple[Subnet, ...] = SUGGESTED_FROM if version == 4 else (SUGGESTED_V6_FROM,)
    for pool in pools:
        if prefix < pool.prefixlen or prefix > _LONGEST_PREFIX[version]:
            continue
        found = _first_free(pool, prefix, blocked)
        if found is not None:
            return found
    return None


def _first_free(pool: Subnet, prefix: int, blocked: Sequence[Subnet]) -> Subnet | None:
    for candidate in islice(_candidates(pool, prefix), 65_536):
        if not any(candidate.overlaps(other) for other in blocked):
            return candidate
    return None


def _candidates(pool: Subnet, prefix: int) -> Iterator[Subnet]:
    yield from pool.subnets(new_prefix=prefix)


def first_free_address(
    subnet: Subnet, used: Iterable[Address], *, ip_range: Subnet | None = None, limit: int = 65_536
) -> Address | None:
    """The first address that nobody has, of the range if there is one; None if all that were looked at are used."""
    taken = set(used) | {subnet.network_address}
    if subnet.version == 4:
        taken.add(subnet.broadcast_address)
    within = ip_range or subnet
    for offset in range(min(within.num_addresses, limit)):
        address = within[offset]
        if address not in taken:
            return address
    return None


def capacity(subnet: Subnet, ip_range: Subnet | None = None) -> int:
    """How many containers find an address: without those of the subnet itself, of broadcast and of the gateway."""
    if ip_range is not None and ip_range != subnet:
        return ip_range.num_addresses
    return max(0, subnet.num_addresses - (3 if subnet.version == 4 else 2))
