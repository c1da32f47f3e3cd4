"""The door to all registries."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from registries.client.authorisation import Authoriser
from registries.client.connector import Connector, SystemConnector
from registries.client.exchange import Call, Exchange
from registries.client.hub import HubApi
from registries.client.limits import Clock, Limits, SystemClock
from registries.client.manifests import read_config, read_head, read_manifest
from registries.client.memory import Memory, credential_id
from registries.client.paging import read_tags
from registries.client.probing import probe
from registries.client.results import ManifestHead, Quota, TagList, TestStep
from registries.client.sending import Sender
from registries.client.transport import Sessions
from registries.errors import CredentialsInvalid, NotFound, QuotaLow, RegistryError, RegistryTimeout
from registries.providers import Access, AwsCredentials, EntraCredentials, provider_of, pull_credentials
from registries.rules.digests import is_digest
from registries.rules.manifests import ImageConfig, Manifest
from registries.rules.origins import InvalidUrlError, Origin, origin_of
from registries.rules.rate_limits import is_low
from registries.rules.tag_lists import is_tag
from registries.rules.texts import clean_text
from registries.rules.times import from_unix
from ssm import __version__

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_MAX_REPOSITORY = 255
_HUB_DATE_PAGES = 3


class RegistryClient:
    """Asks registries of API version 2; an async context manager, for one event loop.

    Every method raises errors of `registries.errors` only, and ends within ``limits.overall_s`` after its turn has
    come: at most ``limits.calls_per_origin`` calls run per registry. ``memory`` holds tokens, quotas and origins to
    be left alone; give the same one to several clients to keep them longer than one run.
    """

    def __init__(
        self,
        connector: Connector | None = None,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        memory: Memory | None = None,
        user_agent: str = f"SSM/{__version__}",
        ca_pem: str = "",
    ) -> None:
        self._clock = clock or SystemClock()
        self._limits = limits or Limits()
        self._memory = memory or Memory()
        self._sessions = Sessions(connector or SystemConnector(), self._limits, user_agent, ca_pem)
        self._exchange = Exchange(self._sessions, self._limits, self._clock, self._memory)
        self._sender = Sender(self._exchange, self._limits, self._clock, self._memory)
        self._authoriser = Authoriser(self._sender, self._limits, self._clock, self._memory)
        self._hub = HubApi(self._sender, self._limits, self._clock, self._memory)
        self._turns: dict[Origin, asyncio.Semaphore] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._sessions.aclose()

    @property
    def requests_sent(self) -> int:
        """All requests that went out, tokens, retries and redirects included."""
        return self._exchange.requests_sent

    async def tags(self, access: Access, repository: str, *, with_dates: bool = False) -> TagList:
        """The tags of a repository; ``with_dates``: on Docker Hub, also when the newest were pushed."""
        _check_repository(access, repository)
        async with self._call(access) as call:
            found = await read_tags(self._authoriser, call, self._limits, repository)
            if not with_dates or provider_of(access.host).id != "hub":
                return found
            newest = await self._hub.newest(call, repository, _HUB_DATE_PAGES)
        return TagList(found.tags, found.is_truncated, newest.dates, newest.digests)

    async def head(self, access: Access, repository: str, reference: str) -> ManifestHead:
        """What a tag points to now; not counted as a pull."""
        _check_repository(access, repository)
        _check_reference(access, reference)
        async with self._call(access) as call:
            return await read_head(self._authoriser, call, self._limits, repository, reference)

    async def manifest(self, access: Access, repository: str, reference: str) -> Manifest:
        """The manifest of a tag or digest, verified. Raises QuotaLow rather than use up the last pulls."""
        _check_repository(access, repository)
        _check_reference(access, reference)
        async with self._call(access) as call:
            self._spare(call)
            return await read_manifest(self._authoriser, call, self._limits, repository, reference)

    async def config(self, access: Access, repository: str, digest: str) -> ImageConfig:
        """The configuration of an image (platform, date, labels), verified; not counted as a pull."""
        _check_repository(access, repository)
        async with self._call(access) as call:
            return await read_config(self._authoriser, call, self._limits, repository, digest)

    async def test(
        self, access: Access, repository: str = "", *, tell: Callable[[TestStep], None] = lambda _step: None
    ) -> list[TestStep]:
        """Try out an account: is there a registry, does the log-in work, can tags be read. Never raises for these.

        ``tell`` gets each step as soon as it has ended.
        """
        try:
            if repository:
                _check_repository(access, repository)
            self._memory.forget_credential(credential_id(access))
            async with self._call(access) as call:
                return await probe(
                    self._sender, self._authoriser, call, self._limits, repository, lambda: self.quota(access), tell
                )
        except RegistryError as exc:
            failed = TestStep("registry", "failed", exc.message, exc.fix, exc.code)
            tell(failed)
            return [failed]

    async def pull_credentials(self, access: Access, reference_host: str) -> dict[str, str] | None:
        """The content of X-Registry-Auth for a pull from that host; fetches a fresh token where one is needed.

        Raises CredentialsInvalid when the account is not for that host, before anything is sent.
        """
        credentials = access.credentials
        if not isinstance(credentials, AwsCredentials | EntraCredentials):
            return pull_credentials(access, reference_host)
        pull_credentials(access, reference_host, token="-")  # noqa: S106  # refuses another host first
        async with self._call(access) as call:
            if isinstance(credentials, EntraCredentials):
                token = await self._authoriser.acr.refresh_token(call)
            else:
                token = await self._authoriser.ecr.password(call)
        return pull_credentials(access, reference_host, token=token)

    def quota(self, access: Access) -> Quota | None:
        """What the registry last said about pulls left; None when it never did."""
        try:
            return self._memory.quota(origin_of(access.base_url), credential_id(access))
        except InvalidUrlError:
            return None

    def _spare(self, call: Call) -> None:
        quota = self._memory.quota(call.origin, call.credential)
        if quota is None or not is_low(quota.limit, quota.remaining):
            return
        # Windows slide: after an hour some of it is back, and HEAD requests tell how much.
        retry_at = quota.seen_at.timestamp() + min(quota.window_s or 3600, 3600)
        if retry_at > self._clock.now():
            raise QuotaLow(
                f"Only {quota.remaining} of {quota.limit} pulls are left at {call.access.host}; they are kept for real "
                "pulls.",
                retry_at=from_unix(retry_at),
                fix="An account with a higher limit helps.",
                details={"host": call.access.host, "limit": quota.limit, "remaining": quota.remaining},
            )

    @asynccontextmanager
    async def _call(self, access: Access) -> AsyncIterator[Call]:
        try:
            origin = origin_of(access.base_url)
        except InvalidUrlError as exc:
            raise CredentialsInvalid(
                f"The address of the registry {clean_text(access.host, 120)} {exc}.",
                fix="Correct it under Registries.",
            ) from exc
        turn = self._turns.setdefault(origin, asyncio.Semaphore(self._limits.calls_per_origin))
        async with turn:
            access = replace(access, base_url=access.base_url.rstrip("/"))
            call = Call(access, origin, credential_id(access), self._clock.monotonic() + self._limits.overall_s)
            try:
                async with asyncio.timeout(self._limits.overall_s):
                    yield call
            except TimeoutError as exc:
                raise RegistryTimeout(
                    f"{access.host} did not answer completely within {self._limits.overall_s:g} s.",
                    details={"host": access.host},
                ) from exc


def _check_repository(access: Access, repository: str) -> None:
    """A repository goes into the path of a URL, so nothing but its grammar may."""
    if len(repository) > _MAX_REPOSITORY or not _REPOSITORY.fullmatch(repository):
        raise NotFound(
            f"“{clean_text(repository, 80)}” can not be the name of a repository at {access.host}.",
            details={"host": access.host},
        )


def _check_reference(access: Access, reference: str) -> None:
    if not is_tag(reference) and not is_digest(reference):
        raise NotFound(
            f"“{clean_text(reference, 80)}” is neither a tag nor a digest at {access.host}.",
            details={"host": access.host},
        )
