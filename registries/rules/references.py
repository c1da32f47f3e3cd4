"""Image references: parse them, bring them to normal form, print them.

Grammar and normal form are those of the package github.com/distribution/reference (used by Docker itself):
``[host[:port]/]path[:tag][@digest]``. Pure: no I/O, no Django.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal

HUB: Final = "docker.io"
# People write these for the Hub; only index.docker.io is part of Docker's own normal form.
HUB_ALIASES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
MAX_PATH: Final = 255
# Longer text cannot be a reference; what an attacker sends is not even scanned.
MAX_TEXT: Final = 1024

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_DNS_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_DNS_PART}(?:\.{_DNS_PART})*|\[(?P<six>[0-9A-Fa-f:.]+)\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"(?P<algorithm>[A-Za-z][A-Za-z0-9+._-]*):(?P<hex>[0-9a-f]+)")
_DIGEST_LENGTHS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_IMAGE_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")

Problem = Literal["format", "uppercase", "digest", "too_long"]

_SENTENCES: Final[dict[Problem, str]] = {
    "format": "is not an image reference (host/path:tag@digest)",
    "uppercase": "has upper-case letters in its repository name, which must be lower-case",
    "digest": "has a digest that is not sha256, sha384 or sha512 with all its hex digits",
    "too_long": f"has a repository name of more than {MAX_PATH} characters",
}


class InvalidReferenceError(ValueError):
    """Text that is not an image reference; ``problem`` says why in one word, the text in a sentence."""

    def __init__(self, text: str, problem: Problem) -> None:
        super().__init__(f"“{text[:120]}” {_SENTENCES[problem]}.")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A reference in normal form.

    ``registry`` is a host with an optional port; ``repository`` the path on it, complete (``library/nginx``).
    Without tag and digest the tag is ``latest``; with a digest alone there is no tag.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def familiar(self) -> str:
        """The short form that Docker's users know: no ``docker.io/``, no ``library/``."""
        name = self.repository
        if self.registry != HUB:
            name = f"{self.registry}/{name}"
        elif name.startswith("library/") and name.count("/") == 1:
            name = name.removeprefix("library/")
        return name + self._suffix()

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{self._suffix()}"

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True, slots=True)
class ImageId:
    """The id of an image on a host: 64 hex digits that name no repository."""

    digest: str

    def __str__(self) -> str:
        return self.digest


def parse_reference(text: str) -> ImageReference | ImageId:
    """Bring a reference as people and engines write it to its normal form.

    64 hex digits, with or without ``sha256:``, are an image id and never a name. Raises InvalidReferenceError.
    """
    if len(text) > MAX_TEXT:
        raise InvalidReferenceError(text, "too_long")
    if identity := _IMAGE_ID.fullmatch(text):
        return ImageId(f"sha256:{identity[1]}")
    rest, at, digest = text.partition("@")
    if at and not _is_digest(digest):
        raise InvalidReferenceError(text, "digest")
    host, path = _split_host(rest)
    path, colon, tag = path.partition(":")
    if host is not None and not _is_host(host):
        raise InvalidReferenceError(text, "format")
    if not _PATH.fullmatch(path):
        raise InvalidReferenceError(text, "uppercase" if _PATH.fullmatch(path.lower()) else "format")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidReferenceError(text, "format")
    registry = HUB if host is None or host in HUB_ALIASES else host
    if registry == HUB and "/" not in path:
        path = f"library/{path}"
    if len(path) + (0 if registry == HUB else len(registry) + 1) > MAX_PATH:
        raise InvalidReferenceError(text, "too_long")
    return ImageReference(
        registry=registry,
        repository=path,
        tag=tag if colon else (None if at else "latest"),
        digest=digest if at else None,
    )


def _split_host(text: str) -> tuple[str | None, str]:
    """Divide before the first slash if what stands there is a host: ``localhost``, or with ``.``, ``:`` or capitals."""
    first, slash, rest = text.partition("/")
    is_host = slash and (first == "localhost" or "." in first or ":" in first or first != first.lower())
    return (first, rest) if is_host else (None, text)


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    if not match:
        return False
    if match["six"] is None:
        return True
    try:
        # Zone ids do not match the pattern; the IPv4-mapped form is refused as Docker does.
        return ipaddress.IPv6Address(match["six"]).ipv4_mapped is None and "." not in match["six"]
    except ValueError:
        return False


def _is_digest(text: str) -> bool:
    match = _DIGEST.fullmatch(text)
    return bool(match) and _DIGEST_LENGTHS.get(match["algorithm"]) == len(match["hex"])  # type: ignore[index]
