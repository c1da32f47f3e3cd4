"""What a fleet consists of, for programs: frozen values in Python, JSON on the command line."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class UserEntry:
    """One user of a host. `docker` tells its way to the engine: root, group, sudo, sudo with password, no access."""

    password: str | None
    docker: str


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One host: where it listens, what it runs, who may log in. Passwords hold inside this fleet only."""

    name: str
    hostname: str
    address: str
    port: int
    host_key: str  # type and base64, as in known_hosts
    engine: str  # 20, 26, 28 or podman
    product: str  # docker or podman
    version: str
    api_version: str
    socket: str
    key_file: str
    user: str
    password: str
    users: Mapping[str, UserEntry]
    ssh_mode: str
    web: str
    dir: str
    start_s: tuple[float, ...]  # seconds to a running engine, and to all containers

    @property
    def host_key_type(self) -> str:
        """Key type of the host key, such as ssh-ed25519."""
        return self.host_key.split()[0]

    @property
    def host_key_base64(self) -> str:
        """The host key itself."""
        return self.host_key.split()[1]

    @property
    def private_key(self) -> str:
        """Text of the private key that every user accepts."""
        return Path(self.key_file).read_text()


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """The registry: its address and the tags of each repository."""

    up: bool
    address: str
    url: str
    insecure: bool
    images: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Inventory:
    """A whole fleet."""

    dir: str
    net: int
    hosts: tuple[HostEntry, ...]
    registry: RegistryEntry

    def as_json(self) -> dict[str, Any]:
        """The same as plain dictionaries and lists."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What a host does now; None and 0 where it is off."""

    name: str
    hostname: str
    address: str
    engine: str
    version: str
    init: int | None
    link: str = ""  # up or cut
    ssh: int | None = None
    engine_pid: int | None = None
    processes: int = 0
    memory_mb: int = 0  # its share of shared memory included
    own_memory_mb: int = 0
    ssh_mode: str = ""
    containers: Mapping[str, str] | None = None  # states by name; None: the engine is silent
