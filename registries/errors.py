"""Every way in which a registry can fail us, told to the user with what to do about it.

Messages name the registry, never hold secrets, and quote registries only through ``clean_text``. ``code`` is stable
and is what pages and stored states go by. ``details`` is JSON-safe: ``host``, and where they are known ``path``,
``http_status``, ``registry_code`` and ``registry_message``.
"""

from datetime import UTC, datetime
from typing import Any

from ssm.lib.errors import SsmError


class RegistryError(SsmError):
    """Base of all: something about one registry failed."""

    code = "registry_error"
    status = 502


class Unauthorized(RegistryError):
    """The registry, or its token server, refused the credentials or wants some."""

    code = "unauthorized"


class Forbidden(RegistryError):
    """Logged in (or anonymous with a token), but this repository may not be read, or does not exist."""

    code = "forbidden"


class NotFound(RegistryError):
    """No such repository, tag, manifest or blob."""

    code = "not_found"
    status = 404


class RateLimited(RegistryError):
    """Too many requests; the registry is left alone until ``retry_at``."""

    code = "rate_limited"
    status = 503

    def __init__(
        self, message: str, *, retry_at: datetime, fix: str = "", details: dict[str, Any] | None = None
    ) -> None:
        known = {**(details or {}), "retry_at": retry_at.astimezone(UTC).isoformat(timespec="seconds")}
        super().__init__(message, fix=fix, details=known)
        self.retry_at = retry_at


class QuotaLow(RateLimited):
    """Not asked: so few pulls are left that they are kept for real pulls."""

    code = "quota_low"


class RegistryTimeout(RegistryError):
    """No complete answer in time."""

    code = "timeout"
    status = 504


class TlsFailed(RegistryError):
    """The certificate can't be trusted, or what answers speaks no TLS."""

    code = "tls"


class Unreachable(RegistryError):
    """The name has no address, or nothing answers there."""

    code = "unreachable"


class Unavailable(RegistryError):
    """The registry answered that it is broken (5xx), more than once."""

    code = "unavailable"
    status = 503


class BadResponse(RegistryError):
    """The answer breaks the protocol: not JSON, wrong form, endless pages."""

    code = "bad_response"


class TooLarge(BadResponse):
    """The answer is larger than any honest one."""

    code = "too_large"


class DigestMismatch(BadResponse):
    """The content does not have the digest that was promised."""

    code = "digest_mismatch"


class RegistryUnsupported(RegistryError):
    """What answers is no registry of API version 2."""

    code = "registry_unsupported"


class UnsafeAddress(RegistryError):
    """The name leads to an address that must not be asked."""

    code = "unsafe_address"


class UnsafeRealm(RegistryError):
    """The registry sends us to a token server that is not trusted with these credentials, or is no sane URL."""

    code = "unsafe_realm"


class UnsafeRedirect(RegistryError):
    """The registry redirects to where no request may go: plain HTTP, a private address, in circles."""

    code = "unsafe_redirect"


class CredentialsInvalid(RegistryError):
    """The fields of an account can't be used together, or one of them has the wrong form. Nothing was sent."""

    code = "credentials_invalid"
    status = 422
