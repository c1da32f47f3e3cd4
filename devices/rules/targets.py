"""What it takes to reach one Docker host (pure)."""

import hashlib
from dataclasses import dataclass, field

from devices.rules.host_keys import PinnedKey

__all__ = ["DEFAULT_SOCKET_PATH", "Authentication", "ConnectionTarget", "PinnedKey"]

DEFAULT_SOCKET_PATH = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Authentication:
    """How to log in, and whether sudo may be used on the host when the socket is not the user's.

    ``private_key`` is the text of an OpenSSH or PEM key. Key and password may both be given: servers that
    demand both get both, and sudo gets the password when it asks for one. Secrets stay out of ``repr``.
    """

    username: str
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    sudo: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionTarget:
    """One host: where it is, who logs in, which host keys are trusted, where the engine listens.

    ``device_id`` is the device's UUID as text, empty for one that is not saved yet. Times are seconds.
    ``channel_kind`` is the way that worked last time (streamlocal, dial-stdio, dial-stdio-sudo), a hint only.
    """

    device_id: str
    name: str
    address: str
    port: int
    authentication: Authentication
    pinned_keys: tuple[PinnedKey, ...] = ()
    socket_path: str = DEFAULT_SOCKET_PATH
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 30.0
    channel_kind: str = ""

    @property
    def version(self) -> str:
        """A digest of all that needs a new connection once it is changed (name, times and hint do not)."""
        who = self.authentication
        parts = [self.address, str(self.port), self.socket_path, who.username, str(who.sudo)]
        parts += ["-" if secret is None else "+" + secret for secret in (who.password, who.private_key, who.passphrase)]
        parts += sorted(f"{key.key_type} {key.key_base64}" for key in self.pinned_keys)
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()

    @property
    def label(self) -> str:
        """The name for people, else the address."""
        return self.name or self.address
