"""Requests to a registry with whatever it wants to see first: nothing, Basic, or a token for one repository."""

from dataclasses import dataclass, field, replace

from registries.client.acr import AcrTokens
from registries.client.ecr import EcrTokens
from registries.client.exchange import Answer, Call
from registries.client.limits import Clock, Limits
from registries.client.memory import Memory, Token, TokenKey
from registries.client.sending import Outgoing, Sender
from registries.client.tokens import Tokens, basic
from registries.errors import BadResponse, Forbidden, RegistryError, Unauthorized
from registries.providers import AwsCredentials, BasicCredentials, EntraCredentials
from registries.rules.challenges import Challenge, choose_challenge, parse_challenges
from registries.rules.error_bodies import parse_error
from registries.rules.realms import pull_scope


@dataclass(frozen=True, slots=True)
class _Proof:
    """What went into Authorization, and where it is remembered (Basic of an account is not)."""

    header: str = field(repr=False)
    scheme: str
    key: TokenKey | None = None
    value: str = field(default="", repr=False)


class Authoriser:
    """Answers challenges. A challenge is remembered for an hour, so that the next repository costs no extra 401."""

    def __init__(self, sender: Sender, limits: Limits, clock: Clock, memory: Memory) -> None:
        self._sender = sender
        self._limits = limits
        self._clock = clock
        self._memory = memory
        self._tokens = Tokens(sender, limits, clock, memory)
        self._ecr = EcrTokens(sender, limits, clock, memory, self._tokens.lock)
        self._acr = AcrTokens(sender, limits, clock, memory, self._tokens.lock)

    @property
    def ecr(self) -> EcrTokens:
        """Tokens of Amazon."""
        return self._ecr

    @property
    def acr(self) -> AcrTokens:
        """Tokens of Azure."""
        return self._acr

    async def send(self, call: Call, request: Outgoing, repository: str) -> Answer:
        """The answer to a request for ``repository`` (empty for none), after log-in where the registry wants it.

        Raises Unauthorized or Forbidden instead of returning a 401, and what sending raises.
        """
        proof = await self._known(call, repository)
        answer = await self._try(call, request, proof)
        for _ in range(2):
            if answer.status != 401:
                return answer
            proof = await self._answer(call, answer, proof, repository)
            answer = await self._try(call, request, proof)
        if answer.status == 401:
            raise self._refused(call, answer, proof)
        return answer

    async def _try(self, call: Call, request: Outgoing, proof: _Proof | None) -> Answer:
        if proof is not None:
            request = replace(request, headers={**request.headers, "Authorization": proof.header})
        return await self._sender.send(call, request)

    async def _known(self, call: Call, repository: str) -> _Proof | None:
        """What the registry wanted the last time, without asking it again."""
        if isinstance(call.access.credentials, AwsCredentials):
            return _proof(*await self._ecr.token(call))
        challenge = self._memory.challenge(call.origin, call.credential, self._clock.monotonic())
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            credentials = call.access.credentials
            return _Proof(basic(credentials), "basic") if isinstance(credentials, BasicCredentials) else None
        if not repository:
            return None
        try:
            return await self._bearer(call, challenge, pull_scope(repository))
        except RegistryError:
            # The registry may have moved to another token server since.
            self._memory.drop_challenge(call.origin, call.credential)
            raise

    async def _bearer(self, call: Call, challenge: Challenge, scope: str, *, is_alone: bool = False) -> _Proof:
        if isinstance(call.access.credentials, EntraCredentials):
            return _proof(*await self._acr.bearer(call, challenge, scope))
        return _proof(*await self._tokens.bearer(call, challenge, scope, is_alone=is_alone))

    async def _answer(self, call: Call, answer: Answer, used: _Proof | None, repository: str) -> _Proof:
        """What to send instead of ``used``. Raises when nothing else can be tried."""
        if answer.origin != call.origin:
            raise Forbidden(
                f"{call.access.host} redirects to {answer.origin.authority}, which wants a log-in of its own.",
                fix=f"Use {answer.origin.authority} in the image reference instead.",
                details={"host": call.access.host, "http_status": 401},
            )
        if isinstance(call.access.credentials, AwsCredentials):
            if used is not None and used.key is not None:
                self._memory.drop_token(used.key, used.value)
            return _proof(*await self._ecr.token(call))
        challenge = choose_challenge(parse_challenges(answer.all("www-authenticate")))
        if challenge is None:
            raise self._refused(call, answer, used)
        self._remember(call, challenge)
        credentials = call.access.credentials
        if challenge.scheme == "basic":
            if used is None and isinstance(credentials, BasicCredentials):
                return _Proof(basic(credentials), "basic")
            raise self._refused(call, answer, used)
        scope = pull_scope(repository, challenge.scope) if repository else ""
        if used is not None and used.key is not None:
            if used.key.scope == scope and challenge.error == "insufficient_scope":
                # The token server had its say about this very scope.
                raise self._refused(call, answer, used)
            self._memory.drop_token(used.key, used.value)
        return await self._bearer(call, challenge, scope, is_alone=used is not None)

    def _remember(self, call: Call, challenge: Challenge) -> None:
        kept = {name: value for name, value in challenge.parameters.items() if name in ("realm", "service")}
        ends_at = self._clock.monotonic() + self._limits.challenge_s
        self._memory.keep_challenge(call.origin, call.credential, Challenge(challenge.scheme, kept), ends_at)

    def _refused(self, call: Call, answer: Answer, used: _Proof | None) -> RegistryError:
        """The error for a 401 that nothing helps against."""
        message = parse_error(answer.body)
        host = call.access.host
        quoted = f": {message.text.rstrip('.')}" if message.text else ""
        details = {
            "host": host,
            "http_status": 401,
            "registry_code": message.code,
            "registry_message": message.text,
        }
        if not answer.all("www-authenticate") and used is None:
            return BadResponse(f"{host} wants a log-in but does not say how{quoted}.", details=details)
        if call.access.credentials is None and used is None:
            return Unauthorized(
                f"{host} wants a user name and a password.", fix="Add an account under Registries.", details=details
            )
        if used is not None and used.scheme == "bearer":
            who = "without an account" if call.access.is_anonymous else "with this account"
            return Forbidden(
                f"There is no such repository at {host}, or it may not be read {who}{quoted}.",
                fix="Check the name; for a private repository, check the account under Registries.",
                details=details,
            )
        return Unauthorized(
            f"{host} refuses the credentials of the account{quoted}.",
            fix="Check user name and secret, and whether the secret has expired or lacks the right to read.",
            details=details,
        )


def _proof(key: TokenKey, token: Token) -> _Proof:
    return _Proof(f"{token.scheme} {token.value}", token.scheme.lower(), key, token.value)
