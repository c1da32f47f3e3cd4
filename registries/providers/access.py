"""How to talk to one registry host: value types without I/O."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """User name and secret (password, access token, key file) as HTTP Basic sends them."""

    username: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """Keys of an AWS identity. ``region`` and ``account`` only check the host's own; the host decides."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    region: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class EntraCredentials:
    """A service principal of a Microsoft Entra tenant, exchanged for a token of the registry."""

    tenant: str
    client_id: str
    client_secret: str = field(repr=False)


Credentials = BasicCredentials | AwsCredentials | EntraCredentials


@dataclass(frozen=True, slots=True)
class Access:
    """One registry host with the account that is used for it.

    ``host`` is as in references (``docker.io``, ``registry.example:5050``); ``base_url`` is scheme and authority of
    its API, without ``/v2/``. ``auth_hosts`` are further hosts (``host`` or ``host:port``) that the administrator
    trusts with the credentials. ``is_configured``: an administrator entered this host, so it may have a private
    address. ``ca_pem`` is trusted beside the system's roots. ``client_certificate`` is PEM, certificate and key.
    """

    host: str
    provider: str
    base_url: str
    credentials: Credentials | None = field(default=None, repr=False)
    auth_hosts: tuple[str, ...] = ()
    allow_http: bool = False
    insecure_tls: bool = False
    ca_pem: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    is_configured: bool = False
    account_id: str = ""

    @property
    def is_anonymous(self) -> bool:
        """Whether no credentials go with it."""
        return self.credentials is None
