"""Why a TLS connection to an engine failed, from what the library says (pure)."""

import enum
from typing import Final


class TlsCause(enum.Enum):
    """What one side has against the other."""

    NOT_TLS = "speaks no TLS"
    UNKNOWN_AUTHORITY = "unknown authority"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    NAME = "other name"
    PURPOSE = "not for servers"
    REVOKED = "revoked"
    WEAK = "too weak"
    UNTRUSTED = "not verified"
    CLIENT_MISSING = "client certificate missing"
    CLIENT_REFUSED = "client certificate refused"
    CLIENT_EXPIRED = "client certificate expired"
    CLIENT_UNKNOWN_AUTHORITY = "client certificate of an unknown authority"
    UNCLEAR = "unclear"


# Numbers of X509_verify_cert(3).
_VERIFY_CODES: Final[dict[int, TlsCause]] = {
    2: TlsCause.UNKNOWN_AUTHORITY,
    7: TlsCause.UNKNOWN_AUTHORITY,
    9: TlsCause.NOT_YET_VALID,
    10: TlsCause.EXPIRED,
    18: TlsCause.UNKNOWN_AUTHORITY,
    19: TlsCause.UNKNOWN_AUTHORITY,
    20: TlsCause.UNKNOWN_AUTHORITY,
    21: TlsCause.UNKNOWN_AUTHORITY,
    23: TlsCause.REVOKED,
    26: TlsCause.PURPOSE,
    62: TlsCause.NAME,
    64: TlsCause.NAME,
    66: TlsCause.WEAK,
    67: TlsCause.WEAK,
    68: TlsCause.WEAK,
}
# Alerts of the other side (RFC 8446, section 6), which speak of our certificate, and garbage in place of a greeting.
# OpenSSL writes TLSV1_ALERT_…, TLSV13_ALERT_… or SSLV3_ALERT_… in front of an alert's name.
_REASONS: Final[tuple[tuple[str, TlsCause], ...]] = (
    ("WRONG_VERSION_NUMBER", TlsCause.NOT_TLS),
    ("HTTP_REQUEST", TlsCause.NOT_TLS),
    ("UNKNOWN_PROTOCOL", TlsCause.NOT_TLS),
    ("RECORD_LAYER_FAILURE", TlsCause.NOT_TLS),
    ("PACKET_LENGTH_TOO_LONG", TlsCause.NOT_TLS),
    ("RECORD_TOO_SMALL", TlsCause.NOT_TLS),
    ("ALERT_CERTIFICATE_REQUIRED", TlsCause.CLIENT_MISSING),
    ("ALERT_CERTIFICATE_EXPIRED", TlsCause.CLIENT_EXPIRED),
    ("ALERT_UNKNOWN_CA", TlsCause.CLIENT_UNKNOWN_AUTHORITY),
    ("ALERT_BAD_CERTIFICATE", TlsCause.CLIENT_REFUSED),
    ("ALERT_UNSUPPORTED_CERTIFICATE", TlsCause.CLIENT_REFUSED),
    ("ALERT_CERTIFICATE_REVOKED", TlsCause.CLIENT_REFUSED),
    ("ALERT_CERTIFICATE_UNKNOWN", TlsCause.CLIENT_REFUSED),
    ("ALERT_ACCESS_DENIED", TlsCause.CLIENT_REFUSED),
)


def read_tls_refusal(reason: str, verify_code: int, text: str) -> TlsCause:
    """The cause behind OpenSSL's ``reason`` and its ``verify_code`` (0 unless the peer's certificate was refused)."""
    if verify_code:
        return _VERIFY_CODES.get(verify_code, TlsCause.UNTRUSTED)
    for part, cause in _REASONS:
        if part in reason or part.replace("_", " ").lower() in text.lower():
            return cause
    return TlsCause.UNCLEAR
