"""Look at private keys and certificates before they are stored, and make new keys."""

from dataclasses import dataclass

from devices.ssh.certificates import CertificateFacts, attach_certificate, certificate_facts
from devices.ssh.keys import generate_private_key, load_private_key, public_key

__all__ = [
    "CertificateFacts",
    "KeyFacts",
    "certificate_facts",
    "check_certificate",
    "generate_private_key",
    "private_key_facts",
    "private_key_fingerprint",
]


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The public half of a private key: its fingerprint, and ``type base64`` as authorized_keys wants it."""

    fingerprint: str
    line: str


def private_key_facts(text: str, passphrase: str | None, owner: str) -> KeyFacts:
    """What may be shown of a key; ``owner`` names the credential in errors.

    Raises KeyUnreadable when the text is no usable private key or the passphrase is missing or wrong.
    """
    public = public_key(load_private_key(text, passphrase, owner))
    return KeyFacts(public.fingerprint, f"{public.key_type} {public.key_base64}")


def private_key_fingerprint(text: str, passphrase: str | None, owner: str) -> str:
    """The SHA-256 fingerprint of the key's public half. KeyUnreadable as `private_key_facts`."""
    return private_key_facts(text, passphrase, owner).fingerprint


def check_certificate(certificate: str, private_key: str, passphrase: str | None, owner: str) -> CertificateFacts:
    """The certificate's facts if it is one for this key that can be used now. CertificateUnusable, KeyUnreadable."""
    attach_certificate(load_private_key(private_key, passphrase, owner), certificate, owner)
    return certificate_facts(certificate, owner)
