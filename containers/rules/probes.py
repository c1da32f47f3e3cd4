"""A question to a new container besides its health check: a TCP connection, or an HTTP request with its status (pure).

Written as ``tcp:5432``, ``http:8080/health`` or, with the status that must come, ``http:8080/health=204``. The port is
the container's own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

_TEXT: Final = re.compile(
    r"(?P<kind>tcp|http):(?://:?)?(?P<port>[0-9]{1,5})(?P<path>/[!-<>-~]{0,300})?(?:=(?P<status>[1-5][0-9]{2}))?",
    re.ASCII | re.IGNORECASE,
)
_SHARED: Final = "container:"


class ProbeError(ValueError):
    """Text that is no probe; says what one looks like."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked: ``port`` inside the container; ``status`` 0 accepts each from 200 to 399."""

    kind: Literal["tcp", "http"]
    port: int
    path: str = ""
    status: int = 0

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.kind}:{self.port}{self.path}" + (f"={self.status}" if self.status else "")

    def accepts(self, status: int) -> bool:
        """Whether an HTTP status is a good answer."""
        return status == self.status if self.status else 200 <= status < 400


def read_probe(text: str) -> Probe | None:
    """The probe that a text stands for; None for an empty one. Raises ProbeError."""
    text = text.strip()
    if not text:
        return None
    match = _TEXT.fullmatch(text)
    port = int(match["port"]) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise ProbeError("Write tcp:5432 or http:8080/health, with a port of the container and no host.")
    if match["kind"].lower() == "tcp":
        if match["path"] or match["status"]:
            raise ProbeError("A TCP probe has a port alone: tcp:5432.")
        return Probe("tcp", port)
    return Probe("http", port, match["path"] or "/", int(match["status"] or 0))


def probe_places(inspect: Mapping[str, Any], port: int) -> list[tuple[str, int]]:
    """Addresses, as seen from the host, at which a container's TCP port may be reached; the best one first.

    Its addresses on the host's networks, then its published ports: the engine's proxy for those answers by itself for
    a moment. Empty when it has neither.
    """
    settings = _dict(inspect.get("NetworkSettings"))
    if _text(_dict(inspect.get("HostConfig")).get("NetworkMode")) == "host":
        return [("127.0.0.1", port)]
    found: list[tuple[str, int]] = []
    for network in _dict(settings.get("Networks")).values():
        addresses = (_text(_dict(network).get(key)) for key in ("IPAddress", "GlobalIPv6Address"))
        found += [(address, port) for address in addresses if address]
    for binding in _list(_dict(settings.get("Ports")).get(f"{port}/tcp")):
        published = _text(_dict(binding).get("HostPort"))
        if published.isascii() and published.isdigit() and 0 < int(published[:5]) < 65536:
            found.append((_reachable(_text(_dict(binding).get("HostIp"))), int(published[:5])))
    return list(dict.fromkeys(found))[:10]


def shares_network_of(inspect: Mapping[str, Any]) -> str:
    """The container whose network this one uses; empty when it has its own."""
    mode = _text(_dict(inspect.get("HostConfig")).get("NetworkMode"))
    return mode.removeprefix(_SHARED) if mode.startswith(_SHARED) else ""


def _reachable(address: str) -> str:
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - a look-up


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value[:20] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
