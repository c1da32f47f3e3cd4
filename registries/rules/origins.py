"""Origins of URLs: scheme, host and port in one comparable form (pure)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_URL = 4096


class InvalidUrlError(ValueError):
    """A text that can't be used as the address of a registry or token server; says why."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, lower-case host without brackets, and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """``host`` or ``host:port``, without the scheme's default port, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def origin_of(url: str) -> Origin:
    """The origin of an absolute http(s) URL without user name. Raises InvalidUrlError."""
    if len(url) > _MAX_URL or any(ord(char) <= 32 or ord(char) == 127 for char in url) or "\\" in url:
        raise InvalidUrlError("is no URL: it is too long or holds spaces or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as exc:
        raise InvalidUrlError("is no URL") from exc
    if parts.scheme not in _DEFAULT_PORTS:
        raise InvalidUrlError("does not begin with https:// or http://")
    if "@" in parts.netloc:
        raise InvalidUrlError("contains a user name")
    if not host or port == 0:
        raise InvalidUrlError("names no host")
    # A dot at the end is the same name to DNS and would otherwise slip past a comparison of hosts.
    return Origin(parts.scheme, host.lower().rstrip("."), port or _DEFAULT_PORTS[parts.scheme])


def authority_matches(origin: Origin, text: str) -> bool:
    """Whether ``host`` or ``host:port`` means this origin; without a port it is the scheme's default port."""
    try:
        return origin_of(f"{origin.scheme}://{text}") == origin
    except InvalidUrlError:
        return False
