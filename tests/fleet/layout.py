"""Where a fleet lives: its number, its addresses and its directories."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.errors import FleetError

_DEFAULT_HOME = "/var/lib/ssm-fleet"
REGISTRY_PORT = 5000
MARK = "FLEET_MARK"

# One number per use, so that they can run side by side on one machine.
DEVELOPER_NET = 76
DEMO_NET = 77
TEST_NET = 78
SELF_TEST_NET = 79
DEMO_TEST_NET = 179
DEPLOY_NET = 178

_FORBIDDEN = {"/", "/usr", "/etc", "/var", "/var/lib", "/run", "/home", "/root", "/tmp"}
_FORBIDDEN_BELOW = ("/usr/", "/etc/", "/run/", "/proc/", "/sys/", "/dev/")


@dataclass(frozen=True, slots=True)
class Layout:
    """Number, directory and package cache of one fleet; every name and address follows from them."""

    net: int
    directory: Path
    cache: Path

    @property
    def bridge(self) -> str:
        """Name of the bridge on this machine."""
        return f"fleet{self.net}"

    @property
    def subnet(self) -> str:
        """The fleet's addresses, in CIDR form."""
        return f"10.77.{self.net}.0/24"

    @property
    def gateway(self) -> str:
        """This machine's address on the bridge; the registry listens there."""
        return f"10.77.{self.net}.1"

    @property
    def registry(self) -> str:
        """Host and port of the registry, as image references name it."""
        return f"{self.gateway}:{REGISTRY_PORT}"

    @property
    def hosts_directory(self) -> Path:
        """Parent of the hosts' own directories."""
        return self.directory / "hosts"

    @property
    def key_file(self) -> Path:
        """Private key that every user of every host accepts."""
        return self.directory / "keys" / "id_ed25519"

    def host_address(self, number: int) -> str:
        """IPv4 address of host `number` (1 to 200)."""
        return f"10.77.{self.net}.{10 + number}"

    def host_mac(self, number: int) -> str:
        """Link address of host `number`; the first octet marks it as locally administered."""
        return f"02:77:00:00:{self.net:02x}:{number:02x}"

    def host_link(self, number: int) -> str:
        """Name of the host's cable on this machine (at most 15 characters)."""
        return f"fl{self.net}-h{number}"

    def control_group(self, host_name: str = "") -> str:
        """Control group below which the containers of a host (or of all hosts) run."""
        return f"fleet{self.net}/{host_name}".rstrip("/")

    def mark(self, what: str) -> str:
        """Value of FLEET_MARK in the environment of the fleet's processes: how they are found again."""
        return f"{self.directory}:{what}"


def home() -> Path:
    """Parent of all fleets and of the package cache that they share: FLEET_HOME, else /var/lib/ssm-fleet."""
    return Path(os.environ.get("FLEET_HOME") or _DEFAULT_HOME).resolve()


def make_layout(net: int | None = None, directory: str | Path | None = None) -> Layout:
    """Layout of fleet `net` (default FLEET_NET), in `directory` (default one below `home()`).

    Raises FleetError for a number outside 1 to 254 and for a directory that must not be used: `down` deletes
    below it, and characters with a meaning for overlay mounts would break the hosts.
    """
    number = net if net is not None else net_from_environment()
    if not 1 <= number <= 254:
        raise FleetError(f"net {number}: give a number from 1 to 254 (the fleet uses 10.77.<net>.0/24)")
    place, store = Path(directory or home() / str(number)).resolve(), home() / "cache"
    for path in (place, store):
        text = str(path)
        if text in _FORBIDDEN or text.startswith(_FORBIDDEN_BELOW) or re.search(r"[\s,:\\]", text):
            raise FleetError(f"{text}: not usable as a fleet directory; give an own, empty one")
    return Layout(net=number, directory=place, cache=store)


def net_from_environment(default: int = DEVELOPER_NET) -> int:
    """The fleet number of FLEET_NET, else `default`."""
    text = os.environ.get("FLEET_NET") or str(default)
    if not text.isdigit():
        raise FleetError(f"FLEET_NET={text}: give a number from 1 to 254")
    return int(text)
