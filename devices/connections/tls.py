"""TLS towards engines: what SSM trusts and shows, and what refusals of either side mean."""

import contextlib
import os
import secrets
import ssl
import tempfile
from pathlib import Path

from devices.errors import (
    CertificateRefused,
    ClientCertificateRefused,
    ConnectionLost,
    DeviceError,
    KeyUnreadable,
    NotTls,
)
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text
from devices.rules.tls_refusals import TlsCause, read_tls_refusal


def client_context(target: ConnectionTarget) -> ssl.SSLContext:
    """Certificates are verified and names compared, always; TLS 1.2 at least. KeyUnreadable for unusable texts."""
    who = target.tls
    try:
        context = ssl.create_default_context(cadata=(who.ca_pem or None) if who else None)
    except (ssl.SSLError, ValueError) as exc:
        raise KeyUnreadable(
            f"{target.label}: the certificate of the authority can't be read.",
            fix="Paste the whole of ca.pem into the TLS identity, from BEGIN CERTIFICATE to END CERTIFICATE.",
        ) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Authorities made by hand, as in Docker's own instructions, lack extensions that the strict check wants.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if who is not None and who.certificate_pem and who.private_key:
        _show_certificate(context, target, who.certificate_pem, who.private_key)
    return context


def _show_certificate(context: ssl.SSLContext, target: ConnectionTarget, certificate: str, key: str) -> None:
    """The library takes a file alone: one that exists in memory, else encrypted by a password that nobody keeps."""
    try:
        with _passing_file(f"{certificate.strip()}\n{key.strip()}\n".encode()) as path:
            context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as exc:
        raise KeyUnreadable(
            f"{target.label}: the client certificate and its key can't be used together.",
            fix="Put cert.pem and key.pem of the same client into the TLS identity; the key without a passphrase.",
        ) from exc


def _no_password() -> str:
    # Asked for only when the key is encrypted; without this the library would ask on SSM's terminal.
    return secrets.token_hex(8)


@contextlib.contextmanager
def _passing_file(content: bytes):  # type: ignore[no-untyped-def]
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("tls", os.MFD_CLOEXEC)
        try:
            os.write(number, content)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
        return
    number, name = tempfile.mkstemp()
    try:
        os.write(number, content)
        os.close(number)
        yield name
    finally:
        Path(name).unlink()


def tls_error(target: ConnectionTarget, exc: Exception) -> DeviceError:
    """The user's sentence and fix for a handshake or a connection that TLS ended."""
    where = f"{target.address} port {target.port}"
    wanted = clean_text(target.tls_server_name or target.address, 120)
    code = exc.verify_code if isinstance(exc, ssl.SSLCertVerificationError) else 0
    cause = read_tls_refusal(getattr(exc, "reason", "") or "", code, str(exc))
    shows = target.tls is not None and bool(target.tls.certificate_pem)
    details = {"cause": cause.value}
    if cause is TlsCause.NOT_TLS:
        return NotTls(
            f"{target.label}: what answers on {where} speaks no TLS.",
            fix="Check the port (2376 with TLS, 2375 without); if the engine there has no TLS, give it TLS, or choose "
            "TCP without encryption.",
            details=details,
        )
    if cause in _OURS:
        text, fix = _OURS[cause]
        if cause is TlsCause.CLIENT_MISSING or not shows:
            text, fix = "it wants a client certificate and the TLS identity has none", "Add certificate and key to it"
        return ClientCertificateRefused(
            f"{target.label}: the engine on {where} does not let SSM in: {text}.",
            fix=f"{fix}: they must be signed by the authority that the engine was given as --tlscacert.",
            details=details,
        )
    if cause in _THEIRS:
        text, fix = _THEIRS[cause]
        return CertificateRefused(
            f"{target.label}: the certificate that {where} shows is not accepted: {text.format(name=wanted)}.",
            fix=fix.format(name=wanted),
            details=details,
        )
    said = clean_text(getattr(exc, "reason", "") or str(exc), 120)
    return ConnectionLost(
        f"{target.label}: {where} ended the TLS connection ({said}).",
        fix="Check that this is an engine with TLS 1.2 or newer; its log tells more (journalctl -u docker).",
        details=details,
    )


_THEIRS: dict[TlsCause, tuple[str, str]] = {
    TlsCause.UNKNOWN_AUTHORITY: (
        "it is signed by an authority that the TLS identity does not name",
        "Put the authority that signed the engine's certificate (ca.pem) into the TLS identity. If it is in, "
        "someone may sit between SSM and the host.",
    ),
    TlsCause.EXPIRED: (
        "it is no longer valid",
        "Renew the engine's certificate, and check the clocks of both machines.",
    ),
    TlsCause.NOT_YET_VALID: ("it is not valid yet", "Check the clocks of both machines."),
    TlsCause.NAME: (
        "it is made out to another name than {name}",
        "Make a certificate for {name} (subjectAltName), or set the name that is in it under Name in the certificate.",
    ),
    TlsCause.PURPOSE: ("it is not one for servers", "Make it with extendedKeyUsage serverAuth."),
    TlsCause.REVOKED: ("it was revoked", "Give the engine a new certificate."),
    TlsCause.WEAK: (
        "its key or signature is too weak",
        "Make a new one: RSA of 2048 bits or more or ECDSA, signed with SHA-256.",
    ),
    TlsCause.UNTRUSTED: ("it cannot be verified", "Check it with: openssl verify -CAfile ca.pem server-cert.pem."),
}
_OURS: dict[TlsCause, tuple[str, str]] = {
    TlsCause.CLIENT_MISSING: ("it wants a client certificate", "Add certificate and key to the TLS identity"),
    TlsCause.CLIENT_REFUSED: ("it refuses the client certificate", "Correct certificate and key in the TLS identity"),
    TlsCause.CLIENT_EXPIRED: ("it says that the client certificate has expired", "Renew certificate and key"),
    TlsCause.CLIENT_UNKNOWN_AUTHORITY: (
        "it does not know the authority that signed the client certificate",
        "Use a certificate and key of that engine's own authority",
    ),
}
