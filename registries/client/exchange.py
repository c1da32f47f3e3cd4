"""One HTTP exchange: sent, read within limits, logged, and its failures told as our errors."""

import logging
import os
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import httpcore
import httpx

from registries.client.limits import Clock, Limits
from registries.client.memory import Memory
from registries.client.results import Quota
from registries.client.transport import Sessions
from registries.errors import (
    BadResponse,
    RegistryError,
    RegistryTimeout,
    TlsFailed,
    TooLarge,
    Unreachable,
    UnsafeAddress,
)
from registries.providers import Access
from registries.rules.origins import InvalidUrlError, Origin, authority_matches, origin_of
from registries.rules.rate_limits import parse_amount
from registries.rules.texts import clean_text
from registries.rules.times import from_unix

logger = logging.getLogger(__name__)

_VERIFY_FIXES = {
    10: "Its certificate has expired: renew it there.",
    62: "Use the name that is in the certificate.",
}
# Not failures of TLS: it waits for bytes, or the connection was cut.
_PASSING = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_UNKNOWN_CA_FIX = (
    "For a registry with a certificate authority of your own, give the authority's certificate in the registry's "
    "settings."
)


@dataclass(frozen=True, slots=True)
class Call:
    """One errand at a registry: whose access, until when (monotonic), and under which keys things are remembered."""

    access: Access
    origin: Origin
    credential: str
    ends_at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    header_list: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    origin: Origin

    def all(self, name: str) -> list[str]:
        """Every header of that name, apart."""
        return [value for key, value in self.header_list if key == name]


class Exchange:
    """Sends requests one at a time and counts them."""

    def __init__(self, sessions: Sessions, limits: Limits, clock: Clock, memory: Memory) -> None:
        self._sessions = sessions
        self._limits = limits
        self._clock = clock
        self._memory = memory
        self.requests_sent = 0

    async def once(
        self,
        call: Call,
        method: str,
        url: str,
        headers: Mapping[str, str],
        max_bytes: int,
        *,
        content: bytes | None = None,
        is_realm: bool = False,
    ) -> Answer:
        """Send one request and read the whole answer of at most ``max_bytes``, decompressed.

        Raises Unreachable, RegistryTimeout, TlsFailed, BadResponse, TooLarge, UnsafeAddress.
        """
        origin = self._origin(call, url)
        is_registry = origin == call.origin
        is_own = (
            is_registry
            or (is_realm and origin.host == call.origin.host)
            or any(authority_matches(origin, host) for host in call.access.auth_hosts)
        )
        client = self._sessions.client(
            call.access,
            is_own=is_own,
            is_registry=is_registry,
            allow_private=call.access.is_configured and is_own,
        )
        started = self._clock.monotonic()
        self.requests_sent += 1
        status = "failed"
        try:
            request = client.build_request(method, url, headers=dict(headers), content=content)
            response = await client.send(request, stream=True)
            try:
                status = str(response.status_code)
                answer = await self._read(response, method, url, origin, max_bytes)
            finally:
                await response.aclose()
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as exc:
            # OSError: alerts of TLS after the handshake come through as ssl raises them.
            raise self._told(origin, exc) from _bare(exc)
        except (httpx.InvalidURL, httpx.HTTPError, httpcore.UnsupportedProtocol, UnicodeError) as exc:
            raise BadResponse(f"{origin.authority} could not be asked: its address is not valid.") from _bare(exc)
        finally:
            duration_ms = round((self._clock.monotonic() - started) * 1000)
            # The query is left out: it can hold marks that let others go on with a list.
            path = clean_text(url.partition("?")[0].partition("://")[2].partition("/")[2], 300)
            logger.debug("%s %s /%s: %s in %d ms", method, origin.authority, path, status, duration_ms)
        if is_registry:
            self._remember_quota(call, answer)
        if answer.status >= 400:
            return replace(answer, body=_without_secrets(answer.body, call.access, headers))
        return answer

    def _origin(self, call: Call, url: str) -> Origin:
        try:
            origin = origin_of(url)
        except InvalidUrlError as exc:
            raise BadResponse(f"An address at {call.access.host} {exc}.", details={"host": call.access.host}) from exc
        if origin.scheme == "http" and not (call.access.allow_http and call.origin.scheme == "http"):
            raise UnsafeAddress(
                f"{origin.authority} was not asked: plain HTTP is not allowed for {call.access.host}.",
                fix="Use https, or allow plain HTTP in the registry's settings if its network is trusted.",
                details={"host": origin.authority},
            )
        return origin

    async def _read(self, response: httpx.Response, method: str, url: str, origin: Origin, max_bytes: int) -> Answer:
        pairs = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw)
        headers: dict[str, str] = {}
        for name, value in pairs:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = b""
        if method != "HEAD" and response.status_code < 400:
            body = await self._body(response, headers, origin, max_bytes)
        elif method != "HEAD":
            try:
                body = await self._body(response, headers, origin, self._limits.error_bytes)
            except BadResponse:
                body = b""  # the status says enough
        return Answer(response.status_code, headers, pairs, body, url, origin)

    async def _body(
        self, response: httpx.Response, headers: Mapping[str, str], origin: Origin, max_bytes: int
    ) -> bytes:
        length = headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > max_bytes):
            raise _too_large(origin, max_bytes)
        unpack = _Unpacker(headers.get("content-encoding", ""), origin, max_bytes)
        async for part in response.aiter_raw():
            unpack.feed(part)
        return unpack.finish()

    def _remember_quota(self, call: Call, answer: Answer) -> None:
        limit = parse_amount(answer.headers.get("ratelimit-limit", ""))
        remaining = parse_amount(answer.headers.get("ratelimit-remaining", ""))
        if limit and remaining:
            source = clean_text(answer.headers.get("docker-ratelimit-source", ""), 64)
            seen_at = from_unix(self._clock.now())
            quota = Quota(limit[0], remaining[0], limit[1] or remaining[1], source, seen_at)
            self._memory.keep_quota(call.origin, call.credential, quota)

    def _told(self, origin: Origin, exc: Exception) -> RegistryError:
        host = origin.authority
        details = {"host": host}
        if isinstance(exc, httpcore.ConnectTimeout):
            return Unreachable(
                f"{host} does not answer: no connection within {self._limits.connect_s:g} s.",
                fix="Check that the machine SSM runs on can reach it, firewalls and proxies included.",
                details={**details, "reason": "connect_timeout"},
            )
        if isinstance(exc, httpcore.TimeoutException):
            return RegistryTimeout(
                f"{host} accepted the request and then sent nothing for {self._limits.read_s:g} s.", details=details
            )
        if failure := _tls_failure(exc):
            return _tls_error(host, failure)
        if isinstance(exc, httpcore.ConnectError):
            return Unreachable(
                f"{host} can not be connected to: {_reason(exc)}.",
                fix="Check host and port, and that the registry is running.",
                details={**details, "reason": "connect"},
            )
        if isinstance(exc, httpcore.NetworkError | OSError) or "disconnected" in str(exc):
            return Unreachable(f"{host} cut the connection in mid-answer.", details={**details, "reason": "cut"})
        return BadResponse(f"{host} does not speak HTTP as it should.", details=details)


class _Unpacker:
    """Collects a body, unpacking gzip and deflate piece by piece so that a bomb never unfolds."""

    def __init__(self, encoding: str, origin: Origin, max_bytes: int) -> None:
        self._origin = origin
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._inflate = None
        match encoding.strip().lower():
            case "" | "identity":
                pass
            case "gzip" | "x-gzip" | "deflate":
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
            case _:
                raise BadResponse(f"{origin.authority} packed its answer in a way that nobody asked for.")

    def feed(self, part: bytes) -> None:
        if self._inflate is None:
            self._add(part)
            return
        try:
            # One byte more than allowed is enough to know.
            self._add(self._inflate.decompress(part, self._max_bytes - self._size + 1))
        except zlib.error as exc:
            raise BadResponse(f"{self._origin.authority} sent an answer that can not be unpacked.") from exc

    def finish(self) -> bytes:
        if self._inflate is not None and not self._inflate.eof and self._parts:
            raise BadResponse(f"{self._origin.authority} sent a packed answer that ends too early.")
        return b"".join(self._parts)

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._max_bytes:
            raise _too_large(self._origin, self._max_bytes)
        if part:
            self._parts.append(part)


def _without_secrets(body: bytes, access: Access, headers: Mapping[str, str]) -> bytes:
    """An error's body without what was sent: some servers echo the request, and errors are shown and stored."""
    secrets = set(headers.get("Authorization", "").split()[1:])
    if access.credentials is not None:
        hidden = [item.name for item in fields(access.credentials) if not item.repr]
        secrets |= {str(getattr(access.credentials, name)) for name in hidden}
    for secret in sorted(secrets, key=len, reverse=True):
        # Shorter ones would blank out words.
        if len(secret) >= 4:
            body = body.replace(secret.encode(), b"***")
    return body


def _too_large(origin: Origin, max_bytes: int) -> TooLarge:
    size = f"{max_bytes // 1024} KiB" if max_bytes < 1024 * 1024 else f"{max_bytes // (1024 * 1024)} MiB"
    return TooLarge(
        f"{origin.authority} sends more than {size}, which no honest answer needs. It was cut off.",
        details={"host": origin.authority},
    )


def _tls_failure(exc: BaseException | None) -> ssl.SSLError | None:
    seen = 0
    while exc is not None and seen < 10:
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, _PASSING):
            return exc
        exc = exc.__cause__ or exc.__context__
        seen += 1
    return None


def _tls_error(host: str, failure: ssl.SSLError) -> TlsFailed:
    details = {"host": host}
    if isinstance(failure, ssl.SSLCertVerificationError):
        said = clean_text(str(failure.verify_message)).rstrip(".")
        fix = _VERIFY_FIXES.get(failure.verify_code, _UNKNOWN_CA_FIX)
        return TlsFailed(f"The certificate of {host} can not be trusted: {said}.", fix=fix, details=details)
    reason = str(failure.reason or "").replace("_", " ").lower()
    if "wrong version number" in reason or "http request" in reason or "record layer" in reason:
        fix = "If this registry is meant to speak plain HTTP, allow that in its settings; otherwise check the port."
        return TlsFailed(f"{host} does not speak TLS on this port.", fix=fix, details=details)
    if "certificate required" in reason or "bad certificate" in reason or "handshake failure" in reason:
        fix = "If the registry wants a client certificate, give it in the registry's settings."
        return TlsFailed(f"{host} refused the TLS handshake ({reason}).", fix=fix, details=details)
    return TlsFailed(f"TLS with {host} failed ({reason or 'no reason given'}).", details=details)


def _reason(exc: BaseException) -> str:
    """The operating system's words for a failed connection."""
    cause: BaseException | None = exc
    for _ in range(10):
        if isinstance(cause, OSError) and cause.errno:
            text = os.strerror(cause.errno)
            return clean_text(text[:1].lower() + text[1:], 120)
        following = cause.__cause__ or cause.__context__ if cause else None
        if isinstance(following, BaseExceptionGroup) and following.exceptions:
            following = following.exceptions[0]
        cause = following
    return "it refuses or is not there"


def _bare(exc: BaseException) -> Exception:
    """The cause without the library's objects: those hold the request with its Authorization header."""
    return ConnectionError(f"{type(exc).__name__}: {clean_text(str(exc), 200)}")
