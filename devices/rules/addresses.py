"""Host addresses as people type them (pure)."""

import ipaddress
import re
from dataclasses import dataclass

DEFAULT_PORT = 22
# RFC 1123 labels, plus the underscore that real intranets use.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
# Names that `useradd` and directory services make, down to DOMAIN\\user and user@domain.
_USERNAME = re.compile(r"[^\s:\x00-\x1f\x7f][^\s\x00-\x1f\x7f]{0,254}\Z")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,32}\Z")


class AddressError(ValueError):
    """An address that can not be used; the text says why in a user's words."""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """Parts of ``[user@]host[:port]``; ``username`` is empty and ``port`` 22 when not given."""

    host: str
    port: int = DEFAULT_PORT
    username: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.username}@" if self.username else ""
        return f"{user}{host}" if self.port == DEFAULT_PORT else f"{user}{host}:{self.port}"


def parse_host(text: str) -> str:
    """A valid host: an IPv4 or IPv6 address in its usual form (zone kept), or a lower-case name. AddressError else."""
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise AddressError("Give a host name or an IP address.")
    if ":" in host:
        return _parse_ipv6(host)
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as exc:
            raise AddressError("This is not a valid IPv4 address: it needs four numbers from 0 to 255.") from exc
    try:
        name = (
            host.rstrip(".").encode("idna").decode("ascii").lower() if not host.isascii() else host.rstrip(".").lower()
        )
    except UnicodeError as exc:
        raise AddressError("This host name holds characters that no host name can have.") from exc
    if not name or len(name) > 253 or not all(_LABEL.match(label) for label in name.split(".")):
        raise AddressError("This is not a valid host name: letters, digits, hyphens and dots only.")
    return name


def _parse_ipv6(host: str) -> str:
    address, percent, zone = host.partition("%")
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError as exc:
        raise AddressError("This is not a valid IPv6 address. With a port, write [address]:port.") from exc
    if percent and not _ZONE.match(zone):
        raise AddressError("The interface after % in this IPv6 address is not valid.")
    return f"{parsed.compressed}%{zone}" if percent else parsed.compressed


def parse_port(text: str) -> int:
    """A TCP port from 1 to 65535; AddressError else."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise AddressError("The port must be a number from 1 to 65535.")
    return int(text)


def parse_address(text: str) -> HostAddress:
    """Read ``host``, ``user@host``, ``host:port``, ``[ipv6]:port``, a bare IPv6 address or an ``ssh://`` URL.

    A bare text with more than one colon is an IPv6 address, never host and port. AddressError when invalid.
    """
    rest = text.strip()
    if rest.lower().startswith("ssh://"):
        rest = rest[6:].rstrip("/")
    username, at, host = rest.rpartition("@")
    if at and not _USERNAME.match(username):
        raise AddressError("The user name before @ is not valid.")
    port = DEFAULT_PORT
    if host.startswith("["):
        host, bracket, tail = host[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise AddressError("Write an IPv6 address with a port as [address]:port.")
        if tail:
            port = parse_port(tail[1:])
        if ":" not in host:
            raise AddressError("Only IPv6 addresses belong in square brackets.")
    elif host.count(":") == 1:
        host, _, port_text = host.partition(":")
        port = parse_port(port_text)
    return HostAddress(parse_host(host), port, username)
