"""Hosts as lists, SSH configurations and inventories name them, before any of them is a device (pure)."""

from dataclasses import dataclass, field

from devices.rules.addresses import AddressError, HostAddress, parse_address
from devices.rules.texts import clean_text

# One import adds at most so many; texts beyond this size are refused before they are read.
MOST_HOSTS = 1000
MOST_BYTES = 512 * 1024
MOST_NOTES = 50
MOST_JUMPS = 8


class ImportFault(ValueError):
    """A text that cannot be read as what it was said to be; says where and why, in a user's words."""


@dataclass(frozen=True, slots=True)
class ImportedHost:
    """One host that a text names. ``notes`` tell what of it is not taken over; ``fault`` why it cannot be added.

    ``jumps`` are the jump hosts in order, the nearest to SSM first. Times in seconds, None where the text says nothing.
    """

    name: str
    address: str
    port: int = 22
    username: str = ""
    groups: tuple[str, ...] = ()
    jumps: tuple[HostAddress, ...] = ()
    address_family: str = "any"
    connect_timeout_s: int | None = None
    keepalive_s: int | None = None
    compression: bool = False
    become: str = ""
    become_user: str = ""
    notes: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a text holds; ``notes`` are about the text as a whole."""

    hosts: tuple[ImportedHost, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Collector:
    """Gathers hosts and notes up to the limits."""

    hosts: list[ImportedHost] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, host: ImportedHost) -> None:
        """One more host; ImportFault beyond the limit."""
        if len(self.hosts) >= MOST_HOSTS:
            raise ImportFault(f"This text names more than {MOST_HOSTS} hosts: import it in parts.")
        self.hosts.append(host)

    def note(self, text: str) -> None:
        """One more note, once; beyond the limit they are left out."""
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(clean_text(text, 300))

    def found(self) -> Found:
        """All of it."""
        return Found(tuple(self.hosts), tuple(self.notes))


def check_size(text: str) -> None:
    """ImportFault for texts that are too large, or no texts."""
    if len(text) > MOST_BYTES:
        raise ImportFault(f"This text is larger than {MOST_BYTES // 1024} KiB: import it in parts.")
    if "\x00" in text:
        raise ImportFault("This is not a text.")


def safe_name(text: str) -> str:
    """A name as devices may have: one line, at most 100 characters."""
    return clean_text(text, 100)


def safe_groups(names: "list[str] | tuple[str, ...]") -> tuple[str, ...]:
    """Distinct names of groups as devices may have them: no commas, at most 50 characters, at most 20."""
    cleaned = (clean_text(name.replace(",", " "), 50) for name in names)
    return tuple(dict.fromkeys(name for name in cleaned if name))[:20]


def located(typed: str, *, port: int | None = None, username: str = "") -> HostAddress:
    """An address with the port and user that were given beside it. AddressError."""
    parsed = parse_address(typed)
    return HostAddress(parsed.host, port if port is not None else parsed.port, username or parsed.username)


def parse_jumps(text: str) -> tuple[HostAddress, ...]:
    """The hosts of a ProxyJump value, ``[user@]host[:port]`` or ``ssh://``, with commas between them. AddressError."""
    if text.strip().lower() == "none":
        return ()
    jumps = tuple(parse_address(part) for part in text.split(",") if part.strip())
    if len(jumps) > MOST_JUMPS:
        raise AddressError(f"More than {MOST_JUMPS} jump hosts.")
    return jumps
