"""Addresses of registries as people type them (pure)."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference

_MAX: Final = 300
_USUAL_PORTS: Final = {"https": 443, "http": 80}


class AddressError(ValueError):
    """Text that is no address of a registry; its text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class RegistryAddress:
    """Where a registry listens, and how references name it.

    ``host`` is as in image references (``registry.example.com:5050``), ``path`` what follows it there.
    """

    scheme: str
    host: str
    path: str

    @property
    def base_url(self) -> str:
        """Scheme and authority of its API."""
        return f"{self.scheme}://{self.host}"


def parse_registry_address(text: str) -> RegistryAddress:
    """A registry from a URL or a bare host, with or without port and path. Raises AddressError."""
    typed = text.strip()
    if len(typed) > _MAX:
        raise AddressError("This is too long for an address.")
    if "://" not in typed:
        typed = f"https://{typed}"
    try:
        parts = urlsplit(typed)
        port = parts.port
    except ValueError as exc:
        raise AddressError("The port of this address is not a number from 1 to 65535.") from exc
    scheme = parts.scheme.lower()
    if scheme not in _USUAL_PORTS:
        raise AddressError("Only https:// and http:// lead to a registry.")
    if "@" in parts.netloc:
        raise AddressError("Leave user name and password out of the address: they have fields of their own.")
    if parts.query or parts.fragment:
        raise AddressError("Leave out what follows “?” and “#”.")
    name = (parts.hostname or "").lower()
    if ":" in name:
        name = f"[{name}]"
    host = name if port is None or port == _USUAL_PORTS[scheme] else f"{name}:{port}"
    path = parts.path.strip("/")
    # People copy the address of the API.
    path = "" if path in ("v1", "v2") else path.removesuffix("/v2")
    if not is_reference_host(host):
        raise AddressError(
            f"“{host[:80]}” cannot stand in an image reference: Docker needs a dot or a port in it, for example "
            "registry.example.com or registry:5000."
        )
    return RegistryAddress(scheme, host, check_prefix(path))


def is_reference_host(host: str) -> bool:
    """Whether Docker would take this for the host of an image reference."""
    try:
        parsed = parse_reference(f"{host}/name")
    except InvalidReferenceError:
        return False
    return isinstance(parsed, ImageReference) and (parsed.registry == host or host.endswith("docker.io"))


def check_prefix(text: str) -> str:
    """The beginning of a repository's path in normal form, without slashes around it. Raises AddressError."""
    prefix = text.strip().strip("/")
    if not prefix:
        return ""
    try:
        parsed = parse_reference(f"registry.example.com/{prefix}/name")
    except InvalidReferenceError as exc:
        raise AddressError("This is not the beginning of a repository's path, such as team/project.") from exc
    if not isinstance(parsed, ImageReference) or parsed.repository != f"{prefix}/name":
        raise AddressError("This is not the beginning of a repository's path, such as team/project.")
    return prefix


def parse_trusted_host(text: str) -> str:
    """A host with an optional port out of a host or a URL. Raises AddressError."""
    return parse_registry_address(text).host if text.strip() else ""
