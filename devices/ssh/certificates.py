"""OpenSSH certificates of users: checked against their key before anything is sent."""

import base64
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from paramiko.message import Message

from devices.errors import CertificateUnusable
from devices.rules.texts import clean_text

# Certificates name hosts, principals and extensions; no real one comes near this.
MOST_BYTES = 64 * 1024
_FOREVER = 2**63


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What an OpenSSH certificate says of itself. Times are UTC; None: without an end."""

    key_id: str
    serial: int
    principals: tuple[str, ...]
    valid_from: datetime | None
    valid_until: datetime | None


def read_certificate(text: str, owner: str) -> tuple[serialization.SSHCertificate, str]:
    """The user certificate in ``text`` and its line without the comment. CertificateUnusable if it is none."""
    line = " ".join(text.split()[:2])
    if not line or len(line) > MOST_BYTES or "-cert-v01@openssh.com " not in line:
        raise CertificateUnusable(
            f"{owner}: the text is not an OpenSSH certificate.",
            fix="Paste the one line of the -cert.pub file that ssh-keygen -s made.",
        )
    try:
        certificate = serialization.load_ssh_public_identity(line.encode("ascii", "replace"))
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise CertificateUnusable(
            f"{owner}: the certificate is damaged or of an unknown type.", fix="Paste the whole line of its file."
        ) from exc
    if (
        not isinstance(certificate, serialization.SSHCertificate)
        or certificate.type is not serialization.SSHCertificateType.USER
    ):
        raise CertificateUnusable(
            f"{owner}: this certificate is one of a host, not of a user.", fix="Sign the user's key without -h."
        )
    return certificate, line


def certificate_facts(text: str, owner: str) -> CertificateFacts:
    """What the certificate says. CertificateUnusable if it cannot be read."""
    certificate, _line = read_certificate(text, owner)
    return CertificateFacts(
        key_id=clean_text(certificate.key_id, 200),
        serial=certificate.serial,
        principals=tuple(clean_text(name, 100) for name in certificate.valid_principals[:20]),
        valid_from=_moment(certificate.valid_after),
        valid_until=_moment(certificate.valid_before),
    )


def attach_certificate(key: paramiko.PKey, text: str, owner: str) -> paramiko.PKey:
    """Give the key its certificate, so that it logs in by it. CertificateUnusable if it is another key's or is over."""
    certificate, line = read_certificate(text, owner)
    public = certificate.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    if public.decode("ascii").split()[1] != key.get_base64():
        raise CertificateUnusable(
            f"{owner}: the certificate is for another key than the one stored.",
            fix="Sign the public half of this credential's key, or store the key that was signed.",
        )
    if certificate.valid_before <= time.time():
        ended = _moment(certificate.valid_before)
        raise CertificateUnusable(
            f"{owner}: the certificate was valid until {ended:%Y-%m-%d %H:%M} UTC.",
            fix="Have the key signed anew and store the new certificate.",
        )
    # Handed over as a message: the library takes a text that is the name of a file for that file.
    key.load_certificate(Message(base64.b64decode(line.split()[1])))
    return key


def _moment(seconds: int) -> datetime | None:
    # 0 and the largest number mean: always.
    return None if seconds in (0, 2**64 - 1) or seconds >= _FOREVER else datetime.fromtimestamp(seconds, UTC)
