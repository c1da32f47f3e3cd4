"""Tokens of Amazon's registries: one call of the AWS API, signed by botocore and sent like everything else."""

import asyncio
import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from registries.client.exchange import Answer, Call
from registries.client.limits import Clock, Limits
from registries.client.memory import Memory, Token, TokenKey
from registries.client.sending import Outgoing, Sender
from registries.errors import BadResponse, CredentialsInvalid, Forbidden, RateLimited, RegistryError, Unauthorized
from registries.providers import AwsCredentials
from registries.rules.error_bodies import parse_error
from registries.rules.manifests import InvalidManifestError, parse_object
from registries.rules.origins import Origin
from registries.rules.times import from_unix

_PRIVATE = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?P<cn>\.cn)?|on\.aws)"
)
# Tokens live twelve hours; the clock of AWS and ours differ, and a request may take a while.
_MARGIN_S = 600.0
_SHORTEST_S = 60.0
_DENIED = ("AccessDenied", "NotAuthorized", "OptInRequired")
_THROTTLED = ("Throttling", "TooManyRequests", "LimitExceeded")
_REFUSED = ("UnrecognizedClient", "InvalidClientTokenId", "InvalidSignature", "SignatureDoesNotMatch", "ExpiredToken",
            "IncompleteSignature", "MissingAuthenticationToken", "InvalidToken", "AuthFailure")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Api:
    """Where a registry's tokens come from."""

    host: str
    region: str
    service: str
    target: str
    scheme: str


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """URL, headers and body of a call of the AWS API."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes


class EcrTokens:
    """Fetches and keeps tokens per key pair and region: one is good for every registry that the keys may read."""

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

    async def token(self, call: Call, *, is_fresh: bool = False) -> tuple[TokenKey, Token]:
        """A token for the registry of this call; ``is_fresh``: not one from memory.

        Raises CredentialsInvalid when region or account of the credentials are not the host's, Unauthorized,
        Forbidden, RateLimited, BadResponse and what sending raises.
        """
        credentials = call.access.credentials
        if not isinstance(credentials, AwsCredentials):
            raise CredentialsInvalid(f"The account for {call.access.host} holds no AWS keys.")
        api = api_of(call.access.host, credentials)
        # The API's region stands for the origin: other registries of the region use the same token.
        key = TokenKey(
            call.origin if api.scheme == "Bearer" else Origin("https", api.host, 443), call.credential, api.region
        )
        async with self._lock(key):
            token = None if is_fresh else self._memory.token(key, self._clock.monotonic())
            if token is None:
                token = await self._fetch(call, api, credentials)
                self._memory.keep_token(key, token)
        return key, token

    async def password(self, call: Call) -> str:
        """The password that engines use with the user name AWS, fetched fresh. Raises like `token`."""
        _key, token = await self.token(call, is_fresh=True)
        return password_of(token.value, call.access.host)

    async def _fetch(self, call: Call, api: Api, credentials: AwsCredentials) -> Token:
        request = sign(api, credentials)
        asked_at = self._clock.monotonic()
        answer = await self._sender.send(
            call,
            Outgoing(
                "POST", request.url, self._limits.token_bytes, request.headers, request.body, follows_redirects=False
            ),
        )
        if answer.status != 200:
            raise self._refusal(call, answer)
        value, expires_at = _authorization(answer)
        left = expires_at - self._clock.now() - _MARGIN_S
        # One that comes expired is tried once and asked for again a minute later, not in a loop.
        return Token(api.scheme, value, asked_at + max(left, _SHORTEST_S))

    def _refusal(self, call: Call, answer: Answer) -> RegistryError:
        message = parse_error(answer.body)
        said = ": " + (message.text or message.code).rstrip(".") if message.text or message.code else ""
        host = call.access.host
        details: dict[str, Any] = {
            "host": answer.origin.authority,
            "http_status": answer.status,
            "registry_code": message.code,
            "registry_message": message.text,
        }
        if message.code.startswith(_DENIED):
            return Forbidden(
                f"AWS denies these keys a token for {host}{said}.",
                fix="Attach the policy AmazonEC2ContainerRegistryReadOnly to their identity.",
                details=details,
            )
        if message.code.startswith(_THROTTLED):
            retry_at = from_unix(self._clock.now() + 60)
            return RateLimited(f"AWS limits requests for tokens{said}.", retry_at=retry_at, details=details)
        if message.code.startswith(_REFUSED) or answer.status in (401, 403):
            return Unauthorized(
                f"AWS refuses the keys of the account for {host}{said}.",
                fix="Check access key ID, secret access key and session token, and this machine's clock.",
                details=details,
            )
        return BadResponse(f"AWS gives no token for {host} (HTTP status {answer.status}{said}).", details=details)


def api_of(host: str, credentials: AwsCredentials) -> Api:
    """The API that gives tokens for this registry host; region and account come from the host.

    Raises CredentialsInvalid when the account's own region or number say otherwise.
    """
    if host == "public.ecr.aws":
        return Api(
            "api.ecr-public.us-east-1.amazonaws.com",
            "us-east-1",
            "ecr-public",
            "SpencerFrontendService.GetAuthorizationToken",
            "Bearer",
        )
    match = _PRIVATE.fullmatch(host)
    if match is None:
        raise CredentialsInvalid(
            f"{host} is no host of Amazon ECR.",
            fix="It is of the form 123456789012.dkr.ecr.eu-west-1.amazonaws.com.",
        )
    region = match["region"]
    if credentials.region and credentials.region != region:
        raise CredentialsInvalid(
            f"{host} is in the region {region}, the account says {credentials.region}.",
            fix="Correct the region of the account.",
        )
    if credentials.account and credentials.account != match["account"]:
        raise CredentialsInvalid(
            f"{host} belongs to the AWS account {match['account']}, these keys are for {credentials.account}.",
            fix="Correct the account number, or leave it empty.",
        )
    name = f"ecr-fips.{region}" if match["fips"] else f"api.ecr.{region}"
    return Api(
        f"{name}.amazonaws.com{match['cn'] or ''}",
        region,
        "ecr",
        "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        "Basic",
    )


def sign(api: Api, credentials: AwsCredentials) -> SignedRequest:
    """The call for a token with Signature Version 4."""
    url = f"https://{api.host}/"
    body = b"{}"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": api.target, "Host": api.host}
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    keys = BotoCredentials(credentials.access_key_id, credentials.secret_access_key, credentials.session_token or None)
    SigV4Auth(keys, api.service, api.region).add_auth(request)
    return SignedRequest(url, {**dict(request.headers.items()), "Accept-Encoding": "identity"}, body)


def password_of(token: str, host: str) -> str:
    """The part after ``AWS:`` of a decoded token. Raises BadResponse."""
    try:
        username, colon, password = base64.b64decode(token, validate=True).decode("ascii").partition(":")
    except ValueError:
        username, colon, password = "", "", ""
    if username != "AWS" or not colon or not password:
        raise BadResponse(f"AWS gave a token for {host} that is not of the form that engines use.")
    return password


def _authorization(answer: Answer) -> tuple[str, float]:
    """Token and its end (Unix time); the private API answers with a list of one, the public one with the object."""
    try:
        data = parse_object(answer.body).get("authorizationData")
    except InvalidManifestError:
        data = None
    entry = data[0] if isinstance(data, list) and data else data
    value = entry.get("authorizationToken") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,65536}", value):
        raise BadResponse("AWS answered without an authorization token.", details={"host": answer.origin.authority})
    expires_at = entry.get("expiresAt")
    is_number = isinstance(expires_at, int | float) and not isinstance(expires_at, bool)
    return value, float(expires_at) if is_number and isinstance(expires_at, int | float) else 0.0
