"""Certificates and keys as people paste them (pure)."""

from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"


class CertificateError(ValueError):
    """Text that holds no usable certificate or key; its text says why and never quotes it."""


def check_certificates(text: str) -> str:
    """The certificates of a text in PEM, with plain line ends. Raises CertificateError."""
    plain = text.replace("\r\n", "\n").strip() + "\n"
    if "PRIVATE KEY" in plain:
        raise CertificateError("This holds a private key: here belongs a certificate alone.")
    if _BEGIN not in plain:
        raise CertificateError("This is no certificate in PEM form: it begins with -----BEGIN CERTIFICATE-----.")
    for certificate in _load(plain):
        if certificate.not_valid_after_utc < datetime.now(UTC):
            until = certificate.not_valid_after_utc.date().isoformat()
            raise CertificateError(f"A certificate in it is no longer valid: it ended on {until}.")
    return plain


def check_pair(certificate: str, key: str) -> None:
    """Raise CertificateError unless the key is readable and that of the first certificate."""
    try:
        private = load_pem_private_key(key.replace("\r\n", "\n").strip().encode(), password=None)
    except TypeError as exc:
        raise CertificateError("The key is protected by a passphrase: give it without one.") from exc
    except ValueError as exc:
        raise CertificateError("This is no private key in PEM form.") from ValueError(type(exc).__name__)
    ours, theirs = private.public_key(), _load(certificate)[0].public_key()
    if _bytes(ours) != _bytes(theirs):
        raise CertificateError("This key does not belong to the certificate.")


def _load(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError as exc:
        raise CertificateError("This is no certificate in PEM form: it cannot be read.") from exc


def _bytes(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]
