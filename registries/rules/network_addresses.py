"""Which network addresses a registry, token server or redirect may lead to (pure).

Names and redirects come from image references and from registries, so from strangers: without this, a label on a
container could make SSM ask the cloud's metadata service or a router's web page.
"""

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services outside the link-local ranges: Amazon's (IPv6) and Alibaba's.
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))
_CARRIER_NAT: Final = ipaddress.IPv4Network("100.64.0.0/10")
# Ways to write an IPv4 address as IPv6: NAT64, 6to4, Teredo, and IPv4-compatible addresses.
_EMBEDDING: Final = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"))
)


def address_problem(text: str, *, allow_private: bool) -> str | None:
    """Why this address must not be connected to, to be read after "the address …"; None when it may be.

    ``allow_private``: an administrator entered this host, so loopback, RFC 1918 and unique local addresses are fine.
    Link-local, metadata, multicast and unspecified addresses never are.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "is not an IP address"
    if problem := _never(address):
        return problem
    if allow_private:
        return None
    if address.is_loopback:
        return "is this machine itself"
    if not address.is_global or (address.version == 4 and address in _CARRIER_NAT):
        return "is in a private network"
    return None


def _never(address: Address) -> str | None:
    if address in _METADATA:
        return "is a cloud's metadata service"
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_unspecified:
            return "is no address of a host"
        if address.ipv4_mapped is not None:
            return "is an IPv4 address in IPv6 form"
        if not address.is_loopback and any(address in network for network in _EMBEDDING):
            return "is an IPv4 address in IPv6 form"
    if address.is_link_local or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local):
        return "is link-local, where metadata services are"
    if address.is_multicast:
        return "is a multicast address"
    if address.is_unspecified or (address.version == 4 and address in ipaddress.IPv4Network("0.0.0.0/8")):
        return "is no address of a host"
    if address == ipaddress.IPv4Address("255.255.255.255"):
        return "is a broadcast address"
    return None
