"""known_hosts files: which lines are about which host (pure). Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"."""

import base64
import binascii
import fnmatch
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from devices.rules.host_keys import HostKeyError, PinnedKey, parse_host_key

SSH_PORT: Final = 22
MOST_LINES: Final = 20_000
MOST_BYTES: Final = 4 * 1024 * 1024
AUTHORITY, REVOKED = "cert-authority", "revoked"
_MARKERS: Final = {"@cert-authority": AUTHORITY, "@revoked": REVOKED}
_HASHED: Final = "|1|"
_COMMENT_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class KnownHost:
    """One line: whose key it is. ``patterns`` is the field as it stands; ``marker`` is empty for an ordinary key."""

    number: int
    marker: str
    patterns: str
    key: PinnedKey
    comment: str = ""

    @property
    def is_hashed(self) -> bool:
        """Whether the name can only be compared, not read."""
        return self.patterns.startswith(_HASHED)

    def is_about(self, address: str, port: int) -> bool:
        """Whether the line counts for this host and port."""
        return matches(self.patterns, address, port)


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that can't be used, and why."""

    number: int
    why: str


def parse_known_hosts(text: str) -> tuple[list[KnownHost], list[BadLine]]:
    """The lines of a file that hold keys, and those that can't be used. Comments and empty lines are neither.

    At most 20,000 lines are read; the rest is one bad line.
    """
    good: list[KnownHost] = []
    bad: list[BadLine] = []
    for number, line in enumerate(text.split("\n"), 1):
        if number > MOST_LINES:
            bad.append(BadLine(number, f"the file has more than {MOST_LINES:,} lines: the rest is left out"))
            break
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        parsed = _parse_line(number, line)
        if isinstance(parsed, KnownHost):
            good.append(parsed)
        else:
            bad.append(parsed)
    return good, bad


def _parse_line(number: int, line: str) -> KnownHost | BadLine:
    marker = ""
    if line.startswith("@"):
        word, _space, line = line.partition(" ")
        if word not in _MARKERS:
            return BadLine(number, "the marker in front is unknown")
        marker, line = _MARKERS[word], line.strip()
    words = line.split(None, 3)
    if len(words) < 3:
        return BadLine(number, "a name, a key type and a key are needed")
    if words[0].startswith("|") and not _is_hash(words[0]):
        return BadLine(number, "the hashed name is damaged")
    if len(words[0]) > 1000:
        return BadLine(number, "the names are longer than 1,000 characters")
    try:
        key = parse_host_key(f"{words[1]} {words[2]}")
    except HostKeyError as exc:
        return BadLine(number, f"{exc}")
    return KnownHost(number, marker, words[0], key, words[3][:_COMMENT_LIMIT] if len(words) > 3 else "")


def _is_hash(field: str) -> bool:
    return bool(re.fullmatch(r"\|1\|[A-Za-z0-9+/=]{4,88}\|[A-Za-z0-9+/=]{4,88}", field))


def host_name(address: str, port: int) -> str:
    """The name under which OpenSSH keeps a host: ``[address]:port`` unless the port is 22."""
    return address.lower() if port == SSH_PORT else f"[{address.lower()}]:{port}"


def matches(patterns: str, address: str, port: int) -> bool:
    """Whether a names field (hashed, or patterns with ``*``, ``?`` and ``!``, separated by commas) names the host."""
    name = host_name(address, port)
    if patterns.startswith(_HASHED):
        return _is_hash_of(patterns, name)
    found = False
    for pattern in patterns.lower().split(","):
        is_excluded = pattern.startswith("!")
        if _matches_one(pattern.removeprefix("!"), name):
            if is_excluded:
                return False
            found = True
    return found


def _matches_one(pattern: str, name: str) -> bool:
    # Brackets stand for themselves here; in a shell's pattern they are a choice of characters.
    return bool(pattern) and fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _is_hash_of(field: str, name: str) -> bool:
    if not _is_hash(field):
        return False
    _empty, _version, salt, wanted = field.split("|")
    try:
        digest = hmac.new(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(digest, base64.b64decode(wanted, validate=True))
    except (binascii.Error, ValueError):
        return False
