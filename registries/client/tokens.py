"""Tokens from the servers that registries name: asked for once, kept in memory, sent only where they belong."""

import asyncio
import base64
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from registries.client.exchange import Answer, Call
from registries.client.limits import Clock, Limits
from registries.client.memory import ANONYMOUS, Memory, Token, TokenKey
from registries.client.sending import Outgoing, Sender
from registries.errors import BadResponse, Forbidden, RegistryError, Unauthorized, UnsafeRealm
from registries.providers import BasicCredentials, realm_hosts_of
from registries.rules.challenges import Challenge
from registries.rules.error_bodies import parse_error
from registries.rules.realms import Realm, UnsafeRealmError, judge_realm
from registries.rules.texts import clean_text
from registries.rules.token_answers import InvalidTokenAnswerError, parse_token_answer, usable_seconds

# Anonymous tokens from here are not bound to a repository, and minting them is limited for all of us together.
_SHARED_REALMS = frozenset({"ghcr.io"})
# Some registries lock the user name after a few wrong passwords.
_REFUSAL_S = 600.0


class Tokens:
    """Fetches tokens; several requests that need the same one wait for a single fetch."""

    def __init__(self, sender: Sender, limits: Limits, clock: Clock, memory: Memory) -> None:
        self._sender = sender
        self._limits = limits
        self._clock = clock
        self._memory = memory
        self._locks: dict[TokenKey, asyncio.Lock] = {}
        self._proven: set[TokenKey] = set()

    async def bearer(
        self, call: Call, challenge: Challenge, scope: str, *, is_alone: bool = False
    ) -> tuple[TokenKey, Token]:
        """A token for this challenge and scope, from memory or fetched.

        ``is_alone``: not one that is shared between repositories. Raises UnsafeRealm, Unauthorized, Forbidden and
        what sending raises.
        """
        realm = self._realm(call, challenge)
        key = TokenKey(call.origin, call.credential, scope)
        if call.credential == ANONYMOUS and scope and realm.origin.host in _SHARED_REALMS and not is_alone:
            key = TokenKey(realm.origin, ANONYMOUS, "")
        async with self.lock(key):
            token = self._memory.token(key, self._clock.monotonic())
            if token is None:
                token = await self._first_or_next(call, realm, challenge.service, scope)
                self._memory.keep_token(key, token)
            return key, token

    async def _first_or_next(self, call: Call, realm: Realm, service: str, scope: str) -> Token:
        """Fetch a token. Until credentials have worked once, one attempt at a time, and none after a refusal."""
        proof = TokenKey(realm.origin, call.credential, "proof")
        if call.credential == ANONYMOUS or proof in self._proven:
            return await self._fetch(call, realm, service, scope)
        async with self.lock(proof):
            refusal = self._memory.refusal(realm.origin, call.credential, self._clock.monotonic())
            if refusal is not None:
                # A new error: the old one drags the traceback of another request along.
                raise Unauthorized(refusal.message, fix=refusal.fix, details=refusal.details)
            token = await self._fetch(call, realm, service, scope)
            self._proven.add(proof)
            return token

    def lock(self, key: TokenKey) -> asyncio.Lock:
        """The lock under which a token of this key is fetched."""
        return self._locks.setdefault(key, asyncio.Lock())

    def _realm(self, call: Call, challenge: Challenge) -> Realm:
        said = clean_text(challenge.realm, 120)
        host = call.access.host
        try:
            realm = judge_realm(challenge.realm, call.origin, realm_hosts_of(call.access))
        except UnsafeRealmError as exc:
            raise UnsafeRealm(
                f"{host} names the token server “{said}”, which {exc}. It was not asked.", details={"host": host}
            ) from exc
        if not realm.is_trusted and call.access.credentials is not None:
            raise UnsafeRealm(
                f"{host} wants the credentials sent to {realm.origin}, which is not known to belong to it. "
                "They were not sent.",
                fix=f"If {realm.origin.authority} is its token server, add it to the trusted hosts of this registry.",
                details={"host": host, "realm_host": realm.origin.authority},
            )
        return realm

    async def _fetch(self, call: Call, realm: Realm, service: str, scope: str) -> Token:
        credentials = call.access.credentials
        given = dict(parse_qsl(urlsplit(realm.url).query, keep_blank_values=True))
        query = [("service", service)] if service and "service" not in given else []
        query += [("scope", part) for part in scope.split()]
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if isinstance(credentials, BasicCredentials):
            query.append(("account", credentials.username))
            headers["Authorization"] = basic(credentials)
        separator = "&" if urlsplit(realm.url).query else "?"
        url = realm.url + (separator + urlencode(query) if query else "")
        asked_at = self._clock.monotonic()
        answer = await self._sender.send(
            call,
            Outgoing("GET", url, self._limits.token_bytes, headers, follows_redirects=False, is_realm=True),
        )
        if answer.status in (401, 403):
            error = refused_token(call, answer)
            if call.access.credentials is not None:
                self._proven.discard(TokenKey(realm.origin, call.credential, "proof"))
                self._memory.keep_refusal(realm.origin, call.credential, error, asked_at + _REFUSAL_S)
            raise error
        return read_token(answer, asked_at, self._clock.now())


def basic(credentials: BasicCredentials) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{credentials.username}:{credentials.secret}".encode()).decode("ascii")


def read_token(answer: Answer, asked_at: float, now: float, *, name: str = "") -> Token:
    """The token in an answer. Raises BadResponse."""
    host = answer.origin.authority
    if answer.status != 200:
        said = parse_error(answer.body).text
        quoted = f": {said.rstrip('.')}" if said else ""
        raise BadResponse(
            f"The token server {host} answers with HTTP status {answer.status}{quoted}.",
            details={"host": host, "http_status": answer.status, "registry_message": said},
        )
    try:
        parsed = parse_token_answer(answer.body, now, name=name)
    except InvalidTokenAnswerError as exc:
        raise BadResponse(f"The token server {host} {exc}.", details={"host": host}) from exc
    return Token("Bearer", parsed.value, asked_at + usable_seconds(parsed.lifetime_s))


def refused_token(call: Call, answer: Answer) -> RegistryError:
    """The error for a 401 or 403 of a token server."""
    said = parse_error(answer.body).text
    quoted = f": {said.rstrip('.')}" if said else ""
    details: Mapping[str, object] = {
        "host": answer.origin.authority,
        "http_status": answer.status,
        "registry_message": said,
    }
    if call.access.credentials is None:
        return Forbidden(
            f"{answer.origin.authority} gives no anonymous access to this repository of {call.access.host}{quoted}.",
            fix="It does not exist, or it is private: then add an account under Registries.",
            details=dict(details),
        )
    return Unauthorized(
        f"{answer.origin.authority} refuses the credentials of the account for {call.access.host}{quoted}.",
        fix="Check user name and secret, and whether the secret has expired or lacks the right to read.",
        details=dict(details),
    )
