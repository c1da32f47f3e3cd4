"""SSHFP records: what DNS says of a host's keys (pure). RFC 4255, RFC 6594 and RFC 7479."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from devices.rules.host_keys import PinnedKey

_ALGORITHMS: Final = {"ssh-rsa": 1, "ssh-ed25519": 4}
_ECDSA: Final = 3
# SHA-1 (1) is not counted.
_SHA256: Final = 2


@dataclass(frozen=True, slots=True)
class Record:
    """One record: numbers of the key's and the fingerprint's algorithm, and the fingerprint."""

    algorithm: int
    kind: int
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class DnsWord:
    """What DNS says about a shown key. ``is_validated`` means that a trusted resolver checked it by DNSSEC."""

    says: str = ""  # "same", "other", or empty where it says nothing of this kind of key
    is_validated: bool = False

    @property
    def vouches(self) -> bool:
        """Whether the key may be accepted on this word alone."""
        return self.says == "same" and self.is_validated

    @property
    def hint(self) -> str:
        """For the person who has to decide."""
        proof = "validated by DNSSEC" if self.is_validated else "not validated by DNSSEC, so it proves nothing"
        if self.says == "same":
            return f"DNS names this very fingerprint ({proof})."
        if self.says == "other":
            return f"Beware: DNS names another fingerprint ({proof})."
        return ""


def compare(key: PinnedKey, records: list[Record]) -> str:
    """ "same", "other", or "" if no record is about this kind of key."""
    algorithm = _ECDSA if key.key_type.startswith("ecdsa-") else _ALGORITHMS.get(key.key_type)
    about = [record for record in records if record.algorithm == algorithm and record.kind == _SHA256]
    if not about:
        return ""
    digest = hashlib.sha256(base64.b64decode(key.key_base64)).digest()
    return "same" if any(record.fingerprint == digest for record in about) else "other"
