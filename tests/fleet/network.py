"""The bridge that joins the hosts, and the cables between them."""

import json
from pathlib import Path

from tests.fleet.errors import FleetError
from tests.fleet.layout import Layout
from tests.fleet.packages import PackageCache
from tests.fleet.shell import run


class Network:
    """One bridge with this machine's address on it; the bridge's alias says which fleet it belongs to."""

    def __init__(self, layout: Layout, packages: PackageCache) -> None:
        self._layout = layout
        self._packages = packages

    def ip(self, *words: str | int, check: bool = True) -> str:
        """Run `ip` on this machine; its output, or "" when it failed and `check` is false."""
        done = run(self._packages.tool("ip"), *words, check=check, environment=self._packages.tool_environment())
        return done.stdout if done.returncode == 0 else ""

    @property
    def exists(self) -> bool:
        """Whether a bridge of this name is there, whoever made it."""
        return Path(f"/sys/class/net/{self._layout.bridge}").exists()

    @property
    def is_mine(self) -> bool:
        """Whether the bridge is there and was made by this fleet."""
        return self.exists and not self.other_owner()

    def other_owner(self) -> str:
        """The alias of a bridge that another fleet made; "" when there is none."""
        if not self.exists:
            return ""
        shown = self.ip("-d", "-j", "link", "show", "dev", self._layout.bridge, check=False)
        alias = str(json.loads(shown)[0].get("ifalias", "unknown")) if shown else ""
        return "" if alias == self._alias else alias

    def require_free(self) -> None:
        """Raise FleetError when another fleet, or another network of this machine, uses the same addresses."""
        owner = self.other_owner()
        if owner:
            raise FleetError(
                f"{self._layout.bridge} belongs to another fleet ({owner}): give another --net, or its --dir"
            )
        routes = json.loads(self.ip("-j", "route", "show", "root", self._layout.subnet, check=False) or "[]")
        used = [route["dev"] for route in routes if route.get("dev") not in (None, self._layout.bridge)]
        if used:
            raise FleetError(f"{self._layout.subnet} is in use on {used[0]}: give another --net (FLEET_NET)")

    def up(self) -> None:
        """Have the bridge with its address."""
        self.require_free()
        if not self.exists:
            self.ip("link", "add", self._layout.bridge, "type", "bridge", "forward_delay", "0")
            self.ip("link", "set", self._layout.bridge, "alias", self._alias)
        self.ip("addr", "replace", f"{self._layout.gateway}/24", "dev", self._layout.bridge)
        self.ip("link", "set", self._layout.bridge, "up")

    def down(self) -> None:
        """Remove the bridge and every cable on it, if they are this fleet's."""
        if not self.is_mine:
            return
        for link in json.loads(self.ip("-j", "link", "show", "master", self._layout.bridge, check=False) or "[]"):
            self.ip("link", "del", link["ifname"], check=False)
        self.ip("link", "del", self._layout.bridge)

    def plug_in(self, number: int, init: int) -> None:
        """Give a host its cable: one end on the bridge, the other as `eth0` in the host's network."""
        link = self._layout.host_link(number)
        self.ip(
            *("link", "add", link, "type", "veth", "peer", "name", "eth0"),
            *("address", self._layout.host_mac(number), "netns", init),
        )
        self.ip("link", "set", link, "master", self._layout.bridge, "up")
        for words in (
            "link set lo up",
            f"addr add {self._layout.host_address(number)}/24 dev eth0",
            "link set eth0 up",
        ):
            run(
                *("nsenter", "-t", str(init), "-n", self._packages.tool("ip"), *words.split()),
                environment=self._packages.tool_environment(),
            )

    def unplug(self, number: int) -> None:
        """Remove a host's cable if it is there; the kernel does so itself a moment after the host's end."""
        if self.has_cable(number):
            self.ip("link", "del", self._layout.host_link(number), check=False)

    def has_cable(self, number: int) -> bool:
        """Whether the host's cable exists on this machine."""
        return Path(f"/sys/class/net/{self._layout.host_link(number)}").exists()

    def cut(self, number: int, *, silent: bool) -> None:
        """Pull a host's cable: packets vanish, nothing is reset.

        With `silent` the neighbour entry is fixed, so that this machine does not say "no route to host" either.
        """
        if silent:
            self.ip(
                *("neigh", "replace", self._layout.host_address(number), "lladdr", self._layout.host_mac(number)),
                *("dev", self._layout.bridge, "nud", "permanent"),
            )
        self.ip("link", "set", self._layout.host_link(number), "down")

    def heal(self, number: int) -> None:
        """Plug a host's cable in again."""
        address = self._layout.host_address(number)
        self.ip("link", "set", self._layout.host_link(number), "up")
        self.ip("neigh", "del", address, "dev", self._layout.bridge, check=False)
        self.ip("neigh", "flush", "dev", self._layout.bridge, "to", address, check=False)

    def is_connected(self, number: int) -> bool:
        """Whether a host's cable is plugged in."""
        shown = self.ip("-j", "link", "show", "dev", self._layout.host_link(number), check=False)
        return bool(shown) and "UP" in json.loads(shown)[0]["flags"]

    @property
    def _alias(self) -> str:
        return f"fleet {self._layout.directory}"
