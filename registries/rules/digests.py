"""Content digests: their form, and whether content has them (pure)."""

import hashlib
import re
from typing import Final

_LENGTHS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_DIGEST = re.compile(r"(?P<algorithm>sha256|sha384|sha512):(?P<hex>[0-9a-f]+)")


def is_digest(text: str) -> bool:
    """Whether this is a whole digest of an algorithm that can be checked here."""
    match = _DIGEST.fullmatch(text)
    return match is not None and len(match["hex"]) == _LENGTHS[match["algorithm"]]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """The digest of these bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def has_digest(content: bytes, digest: str) -> bool:
    """Whether these bytes have that digest; False too when it is no digest at all."""
    return is_digest(digest) and digest_of(content, digest.partition(":")[0]) == digest
