"""From a host name to the addresses that may be connected to.

The check happens on the resolved address and the connection goes to that very address, so a name that answers
differently a moment later (DNS rebinding) gains nothing. The connector is an argument of the client and of nothing
else: no setting and no environment variable changes it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from registries.errors import Unreachable, UnsafeAddress
from registries.rules.network_addresses import address_problem
from registries.rules.texts import clean_text

_MAX_ADDRESSES = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that passed the check, and the port to connect to."""

    address: str
    port: int


class Connector(Protocol):
    """Finds the checked endpoints of a host."""

    async def endpoints(self, host: str, port: int, *, allow_private: bool) -> Sequence[Endpoint]:
        """Where to connect for this host, best first. Raises Unreachable and UnsafeAddress."""
        ...


Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name by the system's resolver, without blocking the event loop. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class SystemConnector:
    """The system's resolver with the address policy of `registries.rules.network_addresses`."""

    def __init__(self, resolver: Resolver = resolve) -> None:
        self._resolver = resolver

    async def endpoints(self, host: str, port: int, *, allow_private: bool) -> Sequence[Endpoint]:
        """Resolve and check. Raises Unreachable when the name has no address, UnsafeAddress when none is allowed."""
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError) as exc:
            raise Unreachable(
                f"The name {clean_text(host, 253)} has no address.",
                fix="Check the name, and the name servers of the machine that SSM runs on.",
                details={"host": host, "reason": "name_not_found"},
            ) from exc
        return [Endpoint(address, port) for address in checked(host, addresses, allow_private=allow_private)]


def checked(host: str, addresses: Sequence[str], *, allow_private: bool) -> list[str]:
    """Those of the addresses that may be connected to. Raises UnsafeAddress when there is none."""
    allowed, problems = [], []
    for address in addresses[:_MAX_ADDRESSES]:
        if problem := address_problem(address, allow_private=allow_private):
            problems.append(f"{clean_text(address, 60)} {problem}")
        else:
            allowed.append(address)
    if allowed:
        return allowed
    said = problems[0] if problems else "it has no address"
    is_fixable = any("private network" in problem or "this machine" in problem for problem in problems)
    raise UnsafeAddress(
        f"{clean_text(host, 253)} was not asked: the address {said}.",
        fix="If this is a registry of yours, add it under Registries; a token server or a store it redirects to goes "
        "into its trusted hosts."
        if is_fixable
        else "",
        details={"host": host},
    )
