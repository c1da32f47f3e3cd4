"""Outdated algorithms for old servers, and compression: both off unless a device asks for them.

None of these is ever preferred: a server that knows anything better gets that.
"""

import hashlib
import zlib

import paramiko
from paramiko.kex_gex import KexGexSHA256
from paramiko.kex_group14 import KexGroup14SHA256

from devices.ssh.keys import RsaKey

# A packet holds at most 256 KiB; what it unfolds to beyond this many times is an attack on our memory.
MOST_UNFOLDED_BYTES = 4 * 1024 * 1024


class KexGroup14Sha1(KexGroup14SHA256):
    """Diffie-Hellman of RFC 4253, for servers older than OpenSSH 7.3."""

    name = "diffie-hellman-group14-sha1"
    hash_algo = hashlib.sha1


class KexGexSha1(KexGexSHA256):
    """Diffie-Hellman group exchange of RFC 4419, with its first hash."""

    name = "diffie-hellman-group-exchange-sha1"
    hash_algo = hashlib.sha1


LEGACY_KEX = {kind.name: kind for kind in (KexGroup14Sha1, KexGexSha1)}
LEGACY_CIPHERS = ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
LEGACY_MACS = ("hmac-sha1", "hmac-sha1-96", "hmac-md5")
LEGACY_KEYS = {"ssh-rsa": RsaKey}


class BoundedInflater:
    """Unfolds compressed packets up to a limit; beyond it the connection ends."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj()

    def __call__(self, data: bytes) -> bytes:
        """The packet's content. paramiko.SSHException when it is larger than any real one, or damaged."""
        try:
            unfolded = self._inflater.decompress(data, MOST_UNFOLDED_BYTES)
        except zlib.error as exc:
            raise paramiko.SSHException("damaged compressed packet") from exc
        if self._inflater.unconsumed_tail:
            raise paramiko.SSHException("compressed packet unfolds to too much")
        return unfolded
