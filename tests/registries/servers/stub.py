"""One local server that answers for registries by their real names, reached through an injected connector."""

import threading
from collections.abc import Sequence

from registries.client import Access, Endpoint
from registries.client.connector import checked
from registries.providers import PROVIDERS, anonymous_access, credentials_from, provider_of
from tests.registries.servers.authority import Authority
from tests.registries.servers.serving import Asked, Handler, Reply, Server

# An address of the real internet: policies see it, packets never.
PUBLIC_ADDRESS = "93.184.215.14"


class UnmappedName(AssertionError):
    """A test asked for a host that no stub stands for: it would have gone to the internet."""


class Stub:
    """Handlers by host name (``host`` or ``host:port``), a log of all requests, TLS by a test authority."""

    def __init__(self) -> None:
        self.authority = Authority()
        self._lock = threading.Lock()
        self._handlers: dict[str, Handler] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._asked: list[Asked] = []
        # Client certificates are taken where they are offered, so that tests see who gets one.
        self._tls = Server(self._dispatch, self.authority, client_ca=self.authority.pem, needs_certificate=False)
        self._plain = Server(self._dispatch)

    def close(self) -> None:
        """Stop answering."""
        self._tls.close()
        self._plain.close()

    def reset(self) -> None:
        """Forget handlers and requests."""
        with self._lock:
            self._handlers.clear()
            self._addresses.clear()
            self._asked.clear()

    def serve(self, host: str, handler: Handler, *, addresses: Sequence[str] = (PUBLIC_ADDRESS,)) -> None:
        """Answer for ``host`` from now on; ``addresses`` is what its name seems to resolve to."""
        with self._lock:
            self._handlers[host] = handler
            self._addresses[host.partition(":")[0]] = tuple(addresses)

    @property
    def requests(self) -> list[Asked]:
        """Everything that was asked, in order."""
        with self._lock:
            return list(self._asked)

    def requests_to(self, host: str) -> list[Asked]:
        """What this host was asked."""
        return [asked for asked in self.requests if asked.host == host]

    def secrets_seen_by(self, host: str, *secrets: str) -> list[Asked]:
        """Requests to this host with an Authorization, or with one of these texts anywhere."""
        return [
            asked
            for asked in self.requests_to(host)
            if asked.authorization
            or any(secret in f"{asked.target} {asked.headers} {asked.body!r}" for secret in secrets)
        ]

    def access(self, host: str, *, base_url: str = "", **values: str) -> Access:
        """Access to a host with these fields of an account, as SSM would build it."""
        provider = provider_of(host)
        known = anonymous_access(host)
        return Access(
            host=host,
            provider=provider.id,
            base_url=base_url or known.base_url,
            credentials=credentials_from(PROVIDERS[provider.id], values),
            ca_pem=self.authority.pem,
            account_id="stub" if values else "",
        )

    def connector(self) -> "StubConnector":
        """What to give to the client."""
        return StubConnector(self)

    def _dispatch(self, asked: Asked) -> Reply:
        with self._lock:
            self._asked.append(asked)
            handler = self._handlers.get(asked.host)
        if handler is None:
            return Reply(421, f"nobody stands for {asked.host}".encode())
        return handler(asked)

    def endpoints(self, host: str, port: int, *, allow_private: bool) -> list[Endpoint]:
        """The stub's own port for a host it stands for, after the policy's check of the pretended addresses."""
        with self._lock:
            addresses = self._addresses.get(host)
            served = {name for name in self._handlers if name.partition(":")[0] == host}
        if addresses is None:
            raise UnmappedName(f"{host}:{port}")
        checked(host, addresses, allow_private=allow_private)
        plain = port == 80 or (f"{host}:{port}" in served and str(port).startswith("80"))
        return [Endpoint("127.0.0.1", self._plain.port if plain else self._tls.port)]


class StubConnector:
    """Maps the names that a stub serves to its port, and raises for all others."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    async def endpoints(self, host: str, port: int, *, allow_private: bool) -> Sequence[Endpoint]:
        """See `Stub.endpoints`."""
        return self._stub.endpoints(host, port, allow_private=allow_private)
