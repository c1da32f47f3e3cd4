"""Azure's registries through Microsoft Entra: a service principal becomes a token of the registry in three steps."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import urlencode

from registries.client.exchange import Answer, Call
from registries.client.limits import Clock, Limits
from registries.client.memory import Memory, Token, TokenKey
from registries.client.sending import Outgoing, Sender
from registries.client.tokens import read_token, refused_token
from registries.errors import CredentialsInvalid, UnsafeRealm
from registries.providers import EntraCredentials
from registries.rules.challenges import Challenge
from registries.rules.origins import InvalidUrlError, Origin, origin_of

# The log-in hosts of the public, the Chinese and the American government cloud.
_LOGIN_HOSTS = {
    "io": "login.microsoftonline.com",
    "cn": "login.chinacloudapi.cn",
    "us": "login.microsoftonline.us",
}
_AUDIENCE = "https://containerregistry.azure.net/.default"
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")


def _is_own(call: Call, challenge: Challenge) -> bool:
    try:
        return origin_of(challenge.realm) == call.origin
    except InvalidUrlError:
        return False


class AcrTokens:
    """Entra token, then the registry's refresh token (hours), then one access token for each scope."""

    def __init__(
        self,
        sender: Sender,
        limits: Limits,
        clock: Clock,
        memory: Memory,
        lock: Callable[[TokenKey], asyncio.Lock],
    ) -> None:
        self._sender = sender
        self._limits = limits
        self._clock = clock
        self._memory = memory
        self._lock = lock

    async def bearer(self, call: Call, challenge: Challenge, scope: str) -> tuple[TokenKey, Token]:
        """A token for this scope, from memory or fetched. Raises Unauthorized, BadResponse, UnsafeRealm."""
        if not _is_own(call, challenge):
            raise UnsafeRealm(
                f"{call.access.host} names a token server on another host, which Azure's registries never do. "
                "The credentials were not sent.",
                details={"host": call.access.host},
            )
        key = TokenKey(call.origin, call.credential, scope)
        async with self._lock(key):
            token = self._memory.token(key, self._clock.monotonic())
            if token is None:
                refresh = await self.refresh_token(call)
                form = {
                    "grant_type": "refresh_token",
                    "service": call.access.host,
                    "scope": scope,
                    "refresh_token": refresh,
                }
                token = await self._post(call, f"{call.origin}/oauth2/token", form, "access_token")
                self._memory.keep_token(key, token)
        return key, token

    async def refresh_token(self, call: Call) -> str:
        """The registry's refresh token, which is also what engines can pull with."""
        credentials = call.access.credentials
        if not isinstance(credentials, EntraCredentials):
            raise CredentialsInvalid(f"The account for {call.access.host} is no service principal.")
        key = TokenKey(call.origin, call.credential, "refresh")
        async with self._lock(key):
            token = self._memory.token(key, self._clock.monotonic())
            if token is None:
                token = await self._exchange(call, credentials)
                self._memory.keep_token(key, token)
        return token.value

    async def _exchange(self, call: Call, credentials: EntraCredentials) -> Token:
        if not _TENANT.fullmatch(credentials.tenant):
            raise CredentialsInvalid(
                "The tenant is neither an ID nor a domain name.", fix="Correct the account under Registries."
            )
        login = _LOGIN_HOSTS.get(call.access.host.rpartition(".")[2], _LOGIN_HOSTS["io"])
        form = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "scope": _AUDIENCE,
        }
        url = f"{Origin('https', login, 443)}/{credentials.tenant}/oauth2/v2.0/token"
        entra = await self._post(call, url, form, "access_token")
        form = {
            "grant_type": "access_token",
            "service": call.access.host,
            "tenant": credentials.tenant,
            "access_token": entra.value,
        }
        return await self._post(call, f"{call.origin}/oauth2/exchange", form, "refresh_token")

    async def _post(self, call: Call, url: str, form: dict[str, str], name: str) -> Token:
        asked_at = self._clock.monotonic()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        answer: Answer = await self._sender.send(
            call,
            Outgoing(
                "POST",
                url,
                self._limits.token_bytes,
                headers,
                urlencode(form).encode("ascii"),
                follows_redirects=False,
            ),
        )
        # Entra answers a wrong secret with 401, a wrong client or tenant with 400.
        if answer.status in (400, 401, 403):
            raise refused_token(call, answer)
        return read_token(answer, asked_at, self._clock.now(), name=name)
