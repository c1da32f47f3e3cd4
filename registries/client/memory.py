"""What the client remembers between requests: tokens, challenges, quotas, and registries that want to be left alone.

Nothing of it is ever stored. One memory may serve several clients in several threads, so that tokens outlive a run.
"""

import hashlib
import secrets
import threading
from dataclasses import dataclass, field, fields
from typing import TypeVar

from registries.client.results import Quota
from registries.errors import RegistryError
from registries.providers import Access
from registries.rules.challenges import Challenge
from registries.rules.origins import Origin

K = TypeVar("K")
V = TypeVar("V")

ANONYMOUS = "anonymous"
_MAX_ENTRIES = 20_000
_SALT = secrets.token_bytes(16)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it goes into Authorization (``scheme`` and ``value``); ``ends_at`` is monotonic."""

    scheme: str
    value: str = field(repr=False)
    ends_at: float


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Whom a token is for: the registry that it was fetched for, with which credentials, and for what."""

    origin: Origin
    credential: str
    scope: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """An origin that refused (429): until when it is left alone (Unix time), and how often in a row it refused."""

    until: float
    refusals: int


class Memory:
    """Thread-safe; bounded; times are given by the caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[TokenKey, Token] = {}
        self._challenges: dict[tuple[Origin, str], tuple[Challenge | None, float]] = {}
        self._quotas: dict[tuple[Origin, str], Quota] = {}
        self._sleeps: dict[tuple[Origin, str], Sleep] = {}
        self._refusals: dict[tuple[Origin, str], tuple[RegistryError, float]] = {}

    def __repr__(self) -> str:
        return f"<Memory of {len(self._tokens)} tokens>"

    def token(self, key: TokenKey, now: float) -> Token | None:
        """The token, if it is still valid at ``now`` (monotonic)."""
        with self._lock:
            found = self._tokens.get(key)
            return found if found and found.ends_at > now else None

    def keep_token(self, key: TokenKey, token: Token) -> None:
        """Remember a token."""
        with self._lock:
            _put(self._tokens, key, token)

    def drop_token(self, key: TokenKey, value: str = "") -> None:
        """Forget a token that was refused; with ``value`` only if it is still that one."""
        with self._lock:
            found = self._tokens.get(key)
            if found and (not value or found.value == value):
                del self._tokens[key]

    def challenge(self, origin: Origin, credential: str, now: float) -> Challenge | None:
        """What the origin asked for the last time."""
        with self._lock:
            challenge, ends_at = self._challenges.get((origin, credential), (None, 0.0))
            return challenge if ends_at > now else None

    def keep_challenge(self, origin: Origin, credential: str, challenge: Challenge, ends_at: float) -> None:
        """Remember what an origin asks for, until ``ends_at`` (monotonic)."""
        with self._lock:
            _put(self._challenges, (origin, credential), (challenge, ends_at))

    def drop_challenge(self, origin: Origin, credential: str) -> None:
        """Forget what an origin asks for: its token server is not there any more."""
        with self._lock:
            self._challenges.pop((origin, credential), None)

    def quota(self, origin: Origin, credential: str) -> Quota | None:
        """What was last said about pulls left."""
        with self._lock:
            return self._quotas.get((origin, credential))

    def keep_quota(self, origin: Origin, credential: str, quota: Quota) -> None:
        """Remember what is left."""
        with self._lock:
            _put(self._quotas, (origin, credential), quota)

    def sleep(self, origin: Origin, credential: str) -> Sleep | None:
        """When the origin last wanted to be left alone."""
        with self._lock:
            return self._sleeps.get((origin, credential))

    def put_to_sleep(self, origin: Origin, credential: str, until: float) -> None:
        """Leave an origin alone until ``until`` (Unix time), for these credentials."""
        with self._lock:
            known = self._sleeps.get((origin, credential))
            refusals = known.refusals + 1 if known else 1
            _put(self._sleeps, (origin, credential), Sleep(max(until, known.until if known else 0), refusals))

    def wake(self, origin: Origin, credential: str) -> None:
        """The origin answers again."""
        with self._lock:
            self._sleeps.pop((origin, credential), None)

    def refusal(self, realm: Origin, credential: str, now: float) -> RegistryError | None:
        """The refusal of these credentials by a token server, if it was a moment ago (monotonic)."""
        with self._lock:
            error, ends_at = self._refusals.get((realm, credential), (None, 0.0))
            return error if ends_at > now else None

    def keep_refusal(self, realm: Origin, credential: str, error: RegistryError, ends_at: float) -> None:
        """Remember a refusal: asking again would lock the user name at some registries."""
        with self._lock:
            _put(self._refusals, (realm, credential), (error, ends_at))

    def forget_credential(self, credential: str) -> None:
        """Drop all that was learned with these credentials, for a test that must ask anew."""
        with self._lock:
            for key in [key for key in self._tokens if key.credential == credential]:
                del self._tokens[key]
            tables: tuple[dict[tuple[Origin, str], object], ...] = (self._challenges, self._refusals)  # type: ignore[assignment]
            for table in tables:
                for pair in [pair for pair in table if pair[1] == credential]:
                    del table[pair]


def credential_id(access: Access) -> str:
    """Stands for the credentials in keys: differs when any part of them differs, and tells nothing about them."""
    if access.credentials is None:
        return ANONYMOUS
    parts = [type(access.credentials).__name__, access.account_id]
    parts += [str(getattr(access.credentials, item.name)) for item in fields(access.credentials)]
    return hashlib.blake2b("\0".join(parts).encode(), key=_SALT, digest_size=16).hexdigest()


def _put(table: dict[K, V], key: K, value: V) -> None:
    table.pop(key, None)
    table[key] = value
    if len(table) > _MAX_ENTRIES:
        del table[next(iter(table))]
