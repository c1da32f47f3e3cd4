"""Host keys: fingerprints, and what to make of the key that a server shows (pure)."""

import base64
import binascii
import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

# Key types and the signature algorithms that prove them. An RSA key (type ssh-rsa) signs with SHA-2 only.
SIGNATURE_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}


class HostKeyError(ValueError):
    """A text that is no public host key."""


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """A public host key: its type as in RFC 4253 and its blob in base 64.

    ``certificate`` is the blob of the host certificate that a server showed with it, which is no part of the key.
    """

    key_type: str
    key_base64: str
    certificate: str = field(default="", compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """The key's SHA-256 fingerprint as OpenSSH prints it (``SHA256:`` and unpadded base 64)."""
        return fingerprint(self.key_base64)


class Verdict(enum.Enum):
    """What a shown host key is in the light of the pinned ones."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"


def fingerprint(key_base64: str) -> str:
    """SHA-256 fingerprint of a public key blob given in base 64; HostKeyError if that is not base 64."""
    try:
        blob = base64.b64decode(key_base64, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise HostKeyError("not a base 64 text") from exc
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


def parse_host_key(line: str) -> PinnedKey:
    """Read ``type base64 [comment]``, with or without a known_hosts name in front.

    HostKeyError when the type is none that SSM accepts or the blob does not begin with that type.
    """
    words = line.split()
    for position, word in enumerate(words[:2]):
        if word in SIGNATURE_ALGORITHMS and len(words) > position + 1:
            key = PinnedKey(word, words[position + 1])
            break
    else:
        raise HostKeyError("no host key of a known type in this text")
    key.fingerprint  # noqa: B018  (raises on bad base 64)
    name = word.encode("ascii")
    if not base64.b64decode(key.key_base64).startswith(len(name).to_bytes(4, "big") + name):
        raise HostKeyError("the key's text does not match its type")
    return key


def judge(shown: PinnedKey, pinned: Iterable[PinnedKey]) -> Verdict:
    """TRUSTED if the shown key is pinned, UNKNOWN if nothing is pinned, else CHANGED.

    A server is asked for the pinned types first (`wanted_algorithms`), so a key of another type means that it
    no longer holds the pinned one: that is a change too, not a new acquaintance.
    """
    known = tuple(pinned)
    if not known:
        return Verdict.UNKNOWN
    return Verdict.TRUSTED if shown in known else Verdict.CHANGED


def wanted_algorithms(pinned: Iterable[PinnedKey], *, certified: bool = False) -> tuple[str, ...]:
    """Host key signature algorithms in the order to ask for: those of the pinned types first.

    With ``certified`` all of them in their form with a certificate come before.
    """
    first = dict.fromkeys(key.key_type for key in pinned if key.key_type in SIGNATURE_ALGORITHMS)
    types = [*first, *(name for name in SIGNATURE_ALGORITHMS if name not in first)]
    plain = tuple(algorithm for name in types for algorithm in SIGNATURE_ALGORITHMS[name])
    return (*(f"{algorithm}-cert-v01@openssh.com" for algorithm in plain), *plain) if certified else plain
