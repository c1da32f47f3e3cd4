"""Certificates and keys in PEM, as people paste them for engines behind TLS (pure)."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from devices.rules.texts import clean_text

_BEGIN = "-----BEGIN CERTIFICATE-----"


class CertificateError(ValueError):
    """A text that can't be used; says why, and never quotes it."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What may be shown of a certificate. ``fingerprint`` is SHA-256 in the form that openssl prints."""

    subject: str
    fingerprint: str
    expires_at: datetime
    count: int = 1


def certificate_facts(text: str) -> CertificateFacts:
    """The first of the certificates in a text; ``count`` tells how many there are. CertificateError."""
    found = _load(text)
    first = found[0]
    digest = first.fingerprint(hashes.SHA256()).hex(":").upper()
    return CertificateFacts(
        clean_text(first.subject.rfc4514_string(), 200) or "(no name)", digest, first.not_valid_after_utc, len(found)
    )


def check_authority(text: str, moment: datetime) -> CertificateFacts:
    """The facts of certificates of authorities. CertificateError, also for one that may not sign others."""
    for certificate in _load(text):
        _check_time(certificate, moment)
        try:
            basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            # Version 1, and the certificate of a server itself in place of its authority's, have none.
            continue
        except ValueError as exc:
            raise CertificateError("A certificate in it is damaged.") from exc
        if not basic.ca and certificate.issuer != certificate.subject:
            raise CertificateError(
                "A certificate in it is not one of an authority. Docker's instructions call the right one ca.pem."
            )
    return certificate_facts(text)


def check_pair(certificate: str, key: str, moment: datetime) -> CertificateFacts:
    """The facts of a client's certificate. CertificateError unless it is valid and the key is its own."""
    first = _load(certificate)[0]
    _check_time(first, moment)
    try:
        private = load_pem_private_key(key.replace("\r\n", "\n").strip().encode(), password=None)
    except TypeError as exc:
        raise CertificateError(
            "The key is protected by a passphrase. Remove it first: openssl pkey -in key.pem -out plain.pem."
        ) from exc
    except Exception as exc:  # the library has many errors for unreadable keys, some of them its own
        raise CertificateError("The key can't be read: paste the whole of key.pem.") from exc
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != first.public_key().public_bytes(*form):
        raise CertificateError("This key does not belong to the certificate.")
    return certificate_facts(certificate)


def _check_time(certificate: x509.Certificate, moment: datetime) -> None:
    if certificate.not_valid_after_utc < moment:
        raise CertificateError(f"A certificate in it ended on {certificate.not_valid_after_utc.date().isoformat()}.")


def _load(text: str) -> list[x509.Certificate]:
    plain = text.replace("\r\n", "\n").strip()
    if "PRIVATE KEY-----" in plain:
        raise CertificateError("This holds a private key: here belongs a certificate alone.")
    if _BEGIN not in plain:
        raise CertificateError(f"This is no certificate in PEM form: it begins with {_BEGIN}.")
    try:
        return x509.load_pem_x509_certificates(plain.encode())
    except ValueError as exc:
        raise CertificateError("The certificate can't be read: paste the whole file.") from exc
