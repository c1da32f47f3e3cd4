"""What it takes to reach one Docker host (pure)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from devices.rules.host_keys import PinnedKey

__all__ = ["DEFAULT_SOCKET_PATH", "Answer", "Authentication", "ConnectionTarget", "PinnedKey", "Proxy", "TlsSettings"]

# How an engine is reached.
SSH, TLS, TCP, LOCAL = "ssh", "tls", "tcp", "local"
DEFAULT_SOCKET_PATH = "/var/run/docker.sock"
# Ask a silent host for a sign of life after so many seconds.
DEFAULT_KEEPALIVE_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say when a log-in asks a question that ``prompt`` (see `rules.prompts`) matches."""

    prompt: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authentication:
    """How to log in, and whether sudo may be used on the host when the socket is not the user's.

    ``private_key`` is the text of an OpenSSH or PEM key, ``certificate`` the public line of an OpenSSH certificate for
    it. Key and password may both be given: servers that demand both get both, and sudo gets the password when it asks
    for one. ``agent`` allows the keys of the SSH agent beside SSM, ``agent_key`` names one of them by its fingerprint.
    Secrets stay out of ``repr``.
    """

    username: str
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    sudo: bool = False
    certificate: str = ""
    answers: tuple[Answer, ...] = ()
    agent: bool = False
    agent_key: str = ""

    def parts(self) -> Iterator[str]:
        """All of it as texts, for a digest."""
        yield from (self.username, str(self.sudo), self.certificate, str(self.agent), self.agent_key)
        for secret in (self.password, self.private_key, self.passphrase):
            yield "-" if secret is None else "+" + secret
        for answer in self.answers:
            yield from (answer.prompt, answer.text)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy for the first connection: ``kind`` is socks5 or http (CONNECT)."""

    kind: str
    address: str
    port: int
    username: str = ""
    password: str | None = field(default=None, repr=False)

    def parts(self) -> Iterator[str]:
        """All of it as texts, for a digest."""
        yield from (self.kind, self.address, str(self.port), self.username)
        yield "-" if self.password is None else "+" + self.password


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Texts in PEM: the authorities to trust (empty: the system's), and the certificate to show with its key."""

    ca_pem: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)

    def parts(self) -> Iterator[str]:
        """All of it as texts, for a digest."""
        yield from (self.ca_pem, self.certificate_pem, self.private_key)


@dataclass(frozen=True, slots=True)
class ConnectionTarget:
    """One host: where it is, who logs in, which host keys are trusted, where the engine listens.

    ``device_id`` is the device's UUID as text, empty for one that is not saved yet. Times are seconds.
    ``channel_kind`` is the way that worked last time (streamlocal, dial-stdio, dial-stdio-sudo), a hint only;
    ``forced_channel_kind`` allows no other. ``hops`` are the jump hosts, the nearest first, each with a log-in and
    pinned keys of its own; ``proxy`` is for the first TCP connection. ``become`` is sudo, doas, none, or empty for what
    the authentication says; ``become_password`` is asked for by it in place of the log-in's. ``keepalive_s`` of 0 asks
    for no signs of life. ``address_family`` is any, ipv4 or ipv6. ``tls`` and ``tls_server_name`` (another name in
    the server's certificate) are for the transport tls. ``authorities`` sign host keys of this host,
    ``revoked_keys`` are never trusted; ``trust_sshfp`` lets a validated DNS record vouch for the first key.
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
    transport: str = "ssh"
    address_family: str = "any"
    hops: tuple["ConnectionTarget", ...] = ()
    proxy: Proxy | None = None
    keepalive_s: float = DEFAULT_KEEPALIVE_S
    legacy_algorithms: bool = False
    compression: bool = False
    become: str = ""
    become_user: str = ""
    become_password: str | None = field(default=None, repr=False)
    forced_channel_kind: str = ""
    tls: TlsSettings | None = None
    tls_server_name: str = ""
    trust_sshfp: bool = False
    authorities: tuple[PinnedKey, ...] = ()
    revoked_keys: tuple[PinnedKey, ...] = ()

    @property
    def version(self) -> str:
        """A digest of all that needs a new connection once it is changed (name, times and hint do not)."""
        parts = [self.address, str(self.port), self.socket_path, *self.authentication.parts()]
        parts += sorted(f"{key.key_type} {key.key_base64}" for key in self.pinned_keys)
        parts += [self.transport, self.address_family, str(self.keepalive_s), self.forced_channel_kind]
        parts += [str(self.legacy_algorithms), str(self.compression), self.become, self.become_user]
        parts += ["-" if self.become_password is None else "+" + self.become_password]
        parts += ["proxy", *self.proxy.parts()] if self.proxy is not None else []
        parts += [f"hop {hop.version}" for hop in self.hops]
        parts += ["tls", self.tls_server_name, *(self.tls.parts() if self.tls is not None else ())]
        parts += ["rules", str(self.trust_sshfp)]
        parts += [f"signs {key.key_base64}" for key in self.authorities]
        parts += [f"never {key.key_base64}" for key in self.revoked_keys]
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()

    @property
    def label(self) -> str:
        """The name for people, else the address."""
        return self.name or self.address

    @property
    def elevation(self) -> str:
        """By what a program may become another user on the host: none, sudo or doas."""
        return self.become or ("sudo" if self.authentication.sudo else "none")

    @property
    def elevation_password(self) -> str | None:
        """What sudo or doas is told when it asks."""
        return self.become_password if self.become_password is not None else self.authentication.password
