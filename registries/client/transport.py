"""Connections: httpx on top of a pool whose sockets go to checked addresses only.

httpx's own transport offers no place for a network backend, so this is a small one over httpcore. SNI, the Host
header and the verification of certificates stay with the name; only the address is ours.
"""

import asyncio
import functools
import hashlib
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import certifi
import httpcore
import httpx

from registries.client.connector import Connector
from registries.client.limits import Limits
from registries.errors import CredentialsInvalid, RegistryError
from registries.providers import Access


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to what the connector says, one address after the other."""

    def __init__(self, connector: Connector, *, allow_private: bool) -> None:
        self._connector = connector
        self._allow_private = allow_private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a TCP connection to a checked address of ``host``; the last failure is raised when none answers."""
        try:
            async with asyncio.timeout(timeout):
                endpoints = await self._connector.endpoints(host, port, allow_private=self._allow_private)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout("no answer of the name server") from exc
        share = None if timeout is None else max(timeout / max(len(endpoints), 1), 1.0)
        failure: Exception = httpcore.ConnectError("no address")
        for endpoint in endpoints:
            try:
                return await self._backend.connect_tcp(
                    endpoint.address, endpoint.port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Used by httpcore between its own retries, which are off."""
        await self._backend.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class CheckedTransport(httpx.AsyncBaseTransport):
    """An httpx transport over a pool with that backend. Errors are httpcore's own."""

    def __init__(self, connector: Connector, context: ssl.SSLContext, *, allow_private: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=32,
            max_keepalive_connections=16,
            keepalive_expiry=30,
            network_backend=CheckedBackend(connector, allow_private=allow_private),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body of the response is still to be read."""
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class Sessions:
    """One httpx client for each way of trusting: roots, client certificate, private addresses allowed or not."""

    def __init__(self, connector: Connector, limits: Limits, user_agent: str, ca_pem: str = "") -> None:
        self._connector = connector
        self._limits = limits
        self._user_agent = user_agent
        self._ca_pem = ca_pem
        self._clients: dict[tuple[bytes, bool], httpx.AsyncClient] = {}

    def client(self, access: Access, *, is_own: bool, is_registry: bool, allow_private: bool) -> httpx.AsyncClient:
        """The client for a host: ``is_own`` for one of the account's hosts, ``is_registry`` for the registry itself.

        Strangers (token servers of others, stores that are redirected to) are always verified and never see the
        client certificate.
        """
        insecure = access.insecure_tls and is_own
        certificate = access.client_certificate if is_registry else ""
        roots = tuple(pem for pem in (self._ca_pem, access.ca_pem) if pem)
        key = hashlib.sha256("\0".join((str(insecure), *roots, certificate)).encode()).digest()
        if (key, allow_private) not in self._clients:
            context = tls_context(roots, certificate, is_insecure=insecure)
            self._clients[key, allow_private] = httpx.AsyncClient(
                transport=CheckedTransport(self._connector, context, allow_private=allow_private),
                timeout=httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s),
                follow_redirects=False,
                # Proxies and .netrc of the environment would change where requests and credentials go.
                trust_env=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"User-Agent": self._user_agent},
            )
        return self._clients[key, allow_private]

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


@functools.lru_cache(maxsize=64)
def tls_context(roots: tuple[str, ...], certificate: str, *, is_insecure: bool) -> ssl.SSLContext:
    """Verification by the system's roots and these; ``certificate`` is PEM with its key. Raises CredentialsInvalid.

    Reading the system's roots takes longer than a request, so what was made is kept for other clients.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and os.listdir(paths.capath)):  # noqa: PTH208
        context.load_verify_locations(cafile=certifi.where())
    try:
        for pem in roots:
            context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as exc:
        raise CredentialsInvalid(
            "The certificate authority given for this registry is no PEM certificate.",
            fix="Paste the text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
        ) from exc
    if certificate:
        _load_certificate(context, certificate)
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_certificate(context: ssl.SSLContext, pem: str) -> None:
    # The ssl module reads key pairs from files only; this one is 0600 and gone at once.
    with tempfile.NamedTemporaryFile("w", prefix="ssm-", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        try:
            # An encrypted key would otherwise ask for its passphrase on the terminal.
            context.load_cert_chain(file.name, password=lambda: "")
        except (ssl.SSLError, ValueError) as exc:
            raise CredentialsInvalid(
                "The client certificate given for this registry can't be used.",
                fix="Give PEM text with the certificate and its private key, without a passphrase.",
            ) from RegistryError(type(exc).__name__)
