"""The last line of defence: what looks like a secret is taken out of the log, whoever wrote it there."""

import re
from typing import Final

HIDDEN: Final = "[hidden]"
_PATTERNS: Final = (
    # user:password@ in URLs of databases, brokers, registries and proxies.
    (re.compile(r"(?P<kept>[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,200}:)[^\s/@]{1,500}(?=@)", re.I), rf"\g<kept>{HIDDEN}"),
    (
        re.compile(
            r"(?P<kept>\bauthorization['\"]?\s{0,3}[:=]\s{0,3}['\"]?(?:bearer|basic)\s{1,3})[^\s'\",]{4,4000}", re.I
        ),
        rf"\g<kept>{HIDDEN}",
    ),
    (re.compile(r"(?P<kept>\bbearer\s{1,3})[A-Za-z0-9._~+/=-]{16,4000}", re.I), rf"\g<kept>{HIDDEN}"),
    # Tokens of SSM, as ssm.accounts.tokens makes them.
    (re.compile(r"(?P<kept>\bssm_[a-z0-9]{8}_)[A-Za-z0-9_-]{43}"), rf"\g<kept>{HIDDEN}"),
    (
        re.compile(
            r"-----BEGIN (?P<kind>[A-Z ]{0,30}PRIVATE KEY)-----.{0,20000}?(?:-----END [A-Z ]{0,40}-----|\Z)", re.S
        ),
        HIDDEN,
    ),
)
_SECRET_NAME: Final = re.compile(
    r"passw(?:or)?d|passphrase|secret|token|authori[sz]ation|cookie|credential|private_?key", re.I
)


def without_secrets(text: str) -> str:
    """The text with passwords in URLs, tokens and private keys replaced."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def names_secret(name: str) -> bool:
    """Whether a value of that name does not belong into a log."""
    return _SECRET_NAME.search(name) is not None
