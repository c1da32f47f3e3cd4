"""How many connections there are, of whom; and how many requests Django works on at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from ssm.lib.addresses import is_trusted_proxy


class Lease:
    """One counted connection; given back once, whatever protocol it ended with."""

    __slots__ = ("_ledger", "_whose", "is_over")

    def __init__(self, ledger: "Ledger", whose: str) -> None:
        self._ledger = ledger
        self._whose = whose
        self.is_over = False

    def give_back(self) -> None:
        """The connection is gone."""
        if not self.is_over:
            self.is_over = True
            self._ledger.leave(self._whose)


class Ledger:
    """The open connections by address. A proxy that is trusted has as many as the process."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: Counter[str] = Counter()
        self.total = 0

    @property
    def is_full(self) -> bool:
        """Whether no more connections may be had at all."""
        return self.total >= self._most

    def is_too_many_of(self, peer: str) -> bool:
        """Whether this address has all that it may have."""
        return not is_trusted_proxy(peer) and self._open[network_of(peer)] >= self._most_of_one

    def enter(self, peer: str) -> Lease:
        """Count a connection."""
        whose = network_of(peer)
        self._open[whose] += 1
        self.total += 1
        return Lease(self, whose)

    def leave(self, whose: str) -> None:
        """Count it no more."""
        self.total -= 1
        self._open[whose] -= 1
        if self._open[whose] <= 0:
            del self._open[whose]


def network_of(peer: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


@dataclass(slots=True)
class _Share:
    """The places of one client, and how many of its requests hold or await one."""

    places: asyncio.Semaphore
    users: int = 0


class Gate:
    """Places for requests: so many at once, of one client half of them; others wait in the order they came."""

    def __init__(self, at_once: int, waiting_s: float) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._of_one = max(at_once // 2, 1)
        self._waiting_s = waiting_s
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator["Place"]:
        """A place for a request of this client, held until it is given back or left. Raises TimeoutError."""
        share = self._shares.setdefault(client, _Share(asyncio.Semaphore(self._of_one)))
        share.users += 1
        held: list[asyncio.Semaphore] = []
        place = Place(held)
        try:
            async with asyncio.timeout(self._waiting_s):
                for semaphore in (share.places, self._places):
                    await semaphore.acquire()
                    held.append(semaphore)
            yield place
        finally:
            place.give_back()
            share.users -= 1
            if not share.users:
                del self._shares[client]


class Place:
    """One request's place. Given back when the answer begins: a stream that lasts for hours keeps nobody out."""

    __slots__ = ("_held",)

    def __init__(self, held: list[asyncio.Semaphore]) -> None:
        self._held = held

    def give_back(self) -> None:
        """Let the next one in; does nothing the second time."""
        while self._held:
            self._held.pop().release()
