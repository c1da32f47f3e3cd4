"""Reading what token servers answer (pure; distribution specification, "Token Authentication")."""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Final

from registries.rules.manifests import InvalidManifestError, parse_object

# Printable ASCII without spaces: anything else could end the header it is put into.
_TOKEN = re.compile(r"[!-~]{1,65536}")
SHORTEST_LIFE_S: Final = 60.0
LONGEST_LIFE_S: Final = 24 * 3600.0


class InvalidTokenAnswerError(ValueError):
    """An answer without a usable token; says why, to be read after the server's name."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token and for how many seconds it may be used from the moment it was asked for."""

    value: str = field(repr=False)
    lifetime_s: float


def parse_token_answer(raw: bytes, now: float, *, name: str = "") -> TokenAnswer:
    """Read a token out of ``token`` or ``access_token`` (or ``name``). Raises InvalidTokenAnswerError.

    ``issued_at`` is ignored, as clocks differ; a lifetime below a minute counts as a minute, as the specification
    has it, and one that is missing is read from the token itself if that is a JWT (``now``: Unix time).
    """
    try:
        body = parse_object(raw)
    except InvalidManifestError as exc:
        raise InvalidTokenAnswerError(f"answers with something that {exc}") from None
    names = (name,) if name else ("token", "access_token")
    value = next((found for key in names if isinstance(found := body.get(key), str) and found), "")
    if not _TOKEN.fullmatch(value):
        raise InvalidTokenAnswerError("answers without a usable token")
    lifetime = _number(body.get("expires_in"))
    if lifetime is None:
        ends_at = jwt_end(value)
        lifetime = ends_at - now if ends_at is not None else 0.0
    return TokenAnswer(value, min(max(lifetime, SHORTEST_LIFE_S), LONGEST_LIFE_S))


def usable_seconds(lifetime_s: float) -> float:
    """How long a token is used before a new one is fetched: four fifths of its life, or all but 30 seconds."""
    return min(lifetime_s * 0.8, lifetime_s - 30)


def jwt_end(token: str) -> float | None:
    """The ``exp`` (Unix time) of a JWT, unverified: it only tells when to ask again. None when there is none."""
    parts = token.split(".")
    if len(parts) != 3 or len(parts[1]) > 32_768:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return _number(claims.get("exp")) if isinstance(claims, dict) else None


def _number(value: object) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    return None
