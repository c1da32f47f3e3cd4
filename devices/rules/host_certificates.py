"""Host certificates of OpenSSH: whether an authority that is trusted for a host has signed the key it shows (pure).

The format is that of OpenSSH's PROTOCOL.certkeys; what makes one good is as in ssh(1), with two exceptions on the safe
side: a certificate without principals is good for no host, and signatures with SHA-1 are not accepted.
"""

import base64
import binascii
import fnmatch
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from devices.rules.host_keys import PinnedKey

SUFFIX: Final = "-cert-v01@openssh.com"
# Fields of the public key between the nonce and the serial number.
_KEY_FIELDS: Final = {"ssh-ed25519": 1, "ssh-rsa": 2, "ecdsa-sha2": 2}


def certificate_fault(
    shown: PinnedKey, host: str, authorities: Iterable[PinnedKey], revoked: Iterable[PinnedKey], moment: datetime
) -> str:
    """Why the certificate in ``shown`` does not vouch for the host; empty if it does.

    ``shown.certificate`` is its blob in base 64, ``host`` the name or address that was asked for.
    """
    blob = _decoded(shown.certificate)
    certificate = _load(blob)
    if certificate is None:
        return "it can't be read"
    if certificate.type is not SSHCertificateType.HOST:
        return "it is one for users, not for hosts"
    signer = _base64_of(certificate.signature_key())
    if signer not in {key.key_base64 for key in authorities}:
        return "the authority that signed it is not trusted for this host"
    if signer in {key.key_base64 for key in revoked}:
        return "the authority that signed it is never to be trusted"
    if _signature_type(blob) == b"ssh-rsa":
        return "it is signed with SHA-1"
    try:
        certificate.verify_cert_signature()
    except (InvalidSignature, ValueError, AssertionError):
        return "its signature is wrong"
    if _base64_of(certificate.public_key()) != shown.key_base64:
        return "it is about another key"
    if certificate.critical_options:
        return "it holds conditions that SSM does not know"
    seconds = int(moment.timestamp())
    if seconds < certificate.valid_after:
        return "it is not valid yet"
    if seconds >= certificate.valid_before:
        return f"it was valid until {_day(certificate.valid_before)}"
    names = [name.decode("utf-8", "replace").lower() for name in certificate.valid_principals]
    if not any(fnmatch.fnmatchcase(host.lower(), name.replace("[", "[[]")) for name in names):
        return "it is made out to other hosts" if names else "it names no host"
    return ""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _load(blob: bytes) -> SSHCertificate | None:
    name, _rest = _string(blob)
    try:
        loaded = load_ssh_public_identity(name + b" " + base64.b64encode(blob))
    except (ValueError, UnsupportedAlgorithm, IndexError):
        return None
    return loaded if isinstance(loaded, SSHCertificate) else None


def _base64_of(key: object) -> str:
    line: bytes = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return line.split()[1].decode("ascii")


def _day(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return "an impossible day"


def _string(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    return data[4 : 4 + size], data[4 + size :]


def _signature_type(blob: bytes) -> bytes:
    """The algorithm of the authority's signature, which is the last of the certificate's fields."""
    name, rest = _string(blob)
    kind = name.decode("ascii", "replace")
    fields = next((count for start, count in _KEY_FIELDS.items() if kind.startswith(start)), 0)
    for _ in range(1 + fields):  # the nonce and the key
        _field, rest = _string(rest)
    rest = rest[8 + 4 :]  # serial number, type
    for _ in range(2):  # key id, principals
        _field, rest = _string(rest)
    rest = rest[8 + 8 :]  # validity
    for _ in range(4):  # critical options, extensions, reserved, signature key
        _field, rest = _string(rest)
    signature, _rest = _string(rest)
    return _string(signature)[0]
