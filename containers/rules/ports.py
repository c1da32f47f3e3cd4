"""Ports of a host that containers take, and which of them get into each other's way (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104  (compared, not bound)


@dataclass(frozen=True, slots=True)
class Claimant:
    """A container as far as its ports matter. ``ports`` and ``claims`` are PortBinding and PortClaim of inspection."""

    key: str
    name: str
    is_running: bool
    ports: tuple[Mapping[str, Any], ...] = ()
    claims: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port of a host that a container has (``is_bound``) or takes with its next start.

    ``host_ip`` is empty for all addresses. ``host_port`` is None where the engine chooses one, of ``host_range`` if
    there is one.
    """

    key: str
    name: str
    host_ip: str
    host_port: int | None
    host_range: str
    protocol: str
    container_port: int
    is_bound: bool

    @property
    def text(self) -> str:
        """The host's side as people write it: ``127.0.0.1:8080``, ``8080/udp``, ``any``."""
        port = str(self.host_port) if self.host_port is not None else (self.host_range or "any")
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        shown = f"{host}:{port}" if host else port
        return shown if self.protocol == "tcp" else f"{shown}/{self.protocol}"

    def clashes_with(self, other: "PortUse") -> bool:
        """Whether both cannot be had at once: the same port and protocol on an address that both want."""
        return (
            self.key != other.key
            and self.host_port is not None
            and self.host_port == other.host_port
            and self.protocol == other.protocol
            and (not self.host_ip or not other.host_ip or self.host_ip == other.host_ip)
        )


@dataclass(frozen=True, slots=True)
class UsedPort:
    """A use with the names of the others that want the same; a running one holds it, so the others cannot start."""

    use: PortUse
    rivals: tuple[PortUse, ...]

    @property
    def is_blocked(self) -> bool:
        """Whether it does not run and another one holds the port."""
        return not self.use.is_bound and any(rival.is_bound for rival in self.rivals)


def normal_ip(text: str) -> str:
    """An address in one form, empty for "all of them"."""
    if text in ANY_ADDRESS:
        return ""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return text[:64]


def port_uses(container: Claimant) -> list[PortUse]:
    """What one container has while it runs, else what it will take; the same port of IPv4 and IPv6 once."""
    given: Iterable[Mapping[str, Any]] = container.ports if container.is_running else container.claims
    uses = {}
    for entry in given:
        port = entry.get("host_port")
        if container.is_running and port is None:
            continue  # exposed, not published
        use = PortUse(
            key=container.key,
            name=container.name,
            host_ip=normal_ip(str(entry.get("host_ip") or "")),
            host_port=port if isinstance(port, int) else None,
            host_range=str(entry.get("host_range") or ""),
            protocol=str(entry.get("protocol") or "tcp"),
            container_port=int(entry.get("container_port") or 0),
            is_bound=container.is_running,
        )
        uses[use.host_ip, use.host_port, use.host_range, use.protocol, use.container_port] = use
    return list(uses.values())


def used_ports(containers: Iterable[Claimant]) -> list[UsedPort]:
    """All uses of one host by port, each with its rivals. Time grows with the number of uses, not with its square."""
    uses = [use for container in containers for use in port_uses(container)]
    by_port: dict[tuple[int | None, str], list[PortUse]] = {}
    for use in uses:
        by_port.setdefault((use.host_port, use.protocol), []).append(use)
    found = [
        UsedPort(use, tuple(other for other in by_port[use.host_port, use.protocol] if use.clashes_with(other)))
        for use in uses
    ]
    return sorted(
        found,
        key=lambda item: (
            item.use.host_port is None,
            item.use.host_port or 0,
            item.use.protocol,
            item.use.host_ip,
            not item.use.is_bound,
            item.use.name,
        ),
    )


def conflicts_of(wanted: Iterable[Mapping[str, Any]], containers: Iterable[Claimant]) -> list[tuple[PortUse, PortUse]]:
    """Which claims of a container to be would clash with whose ports: pairs of the wanted and the other use."""
    new = port_uses(Claimant(key="", name="", is_running=False, claims=tuple(wanted)))
    others = [use for container in containers for use in port_uses(container)]
    return [(use, other) for use in new for other in others if use.clashes_with(other)]
