"""Reading WWW-Authenticate (pure; RFC 9110, section 11.6.1).

One header may hold several challenges and several headers may come; commas occur inside quotes, as in
``scope="repository:a/b:pull,push"``. So this reads token by token, never by splitting.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SKIP = re.compile(r"[ \t,]*")
_SPACE = re.compile(r"[ \t]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
# Real headers have a few hundred characters.
MAX_HEADER = 8192
MAX_CHALLENGES = 16


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: ``scheme`` and the names of ``parameters`` in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        """Where tokens come from (Bearer) or a name for people (Basic)."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The name of the registry at the token server."""
        return self.parameters.get("service", "")

    @property
    def scope(self) -> str:
        """What a token must allow."""
        return self.parameters.get("scope", "")

    @property
    def error(self) -> str:
        """Why the token that was sent is not enough: ``insufficient_scope``, ``invalid_token``."""
        return self.parameters.get("error", "")


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges in order. What can't be read ends its header; what came before is kept."""
    found: list[Challenge] = []
    for header in headers:
        if len(header) <= MAX_HEADER:
            found += _parse(header)
    return found[:MAX_CHALLENGES]


def choose_challenge(challenges: Iterable[Challenge]) -> Challenge | None:
    """The one to answer: Bearer with a realm before Basic; None when there is neither."""
    known = list(challenges)
    for challenge in known:
        if challenge.scheme == "bearer" and challenge.realm:
            return challenge
    return next((challenge for challenge in known if challenge.scheme == "basic"), None)


def _parse(text: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    at = _end(_SKIP, text, 0)
    while at < len(text) and len(challenges) < MAX_CHALLENGES and (scheme := _TOKEN.match(text, at)):
        after = _end(_SPACE, text, scheme.end())
        parameters, at = _parameters(text, after) if after > scheme.end() else ({}, after)
        challenges.append(Challenge(scheme[0].lower(), parameters))
        at = _end(_SKIP, text, at)
    return challenges


def _parameters(text: str, at: int) -> tuple[dict[str, str], int]:
    """Parameters from here on, and the place of what is not one: the next scheme, or the end."""
    parameters: dict[str, str] = {}
    while at < len(text):
        name = _TOKEN.match(text, at)
        equals = _end(_SPACE, text, name.end()) if name else at
        if not name or text[equals : equals + 1] != "=":
            # token68, as in "Negotiate YII=", is skipped; a word before a space is the next scheme.
            skipped = _TOKEN68.match(text, at) if not parameters else None
            return parameters, _end(_SKIP, text, skipped.end()) if skipped else at
        value = _end(_SPACE, text, equals + 1)
        if quoted := _QUOTED.match(text, value):
            text_of = re.sub(r"\\(.)", r"\1", quoted[1])
            end = quoted.end()
        elif plain := _TOKEN.match(text, value):
            text_of, end = plain[0], plain.end()
            # Unquoted URLs are against the grammar and happen.
            if text[end : end + 1] in ("/", ":"):
                rest = re.compile(r"[^\s,\"]+").match(text, value)
                text_of, end = (rest[0], rest.end()) if rest else (text_of, end)
        elif skipped := (_TOKEN68.match(text, at) if not parameters else None):
            return parameters, _end(_SKIP, text, skipped.end())
        else:
            return parameters, len(text)
        parameters.setdefault(name[0].lower(), text_of)
        at = _end(_SKIP, text, end)
    return parameters, at


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
