"""Docker Hub's own API, for what its registry does not tell: when tags were pushed."""

import json
from datetime import datetime

from registries.client.exchange import Call
from registries.client.limits import Clock, Limits
from registries.client.memory import Memory, Token, TokenKey
from registries.client.sending import Outgoing, Sender
from registries.client.tokens import read_token, refused_token
from registries.client.verdicts import failure
from registries.errors import BadResponse
from registries.providers import BasicCredentials
from registries.rules.manifests import InvalidManifestError
from registries.rules.origins import Origin
from registries.rules.tag_lists import TagPage, parse_hub_page

HUB_API = Origin("https", "hub.docker.com", 443)
_PAGE_SIZE = 100


class HubApi:
    """Reads the newest tags with their dates; a separate API with tokens and limits of its own."""

    def __init__(self, sender: Sender, limits: Limits, clock: Clock, memory: Memory) -> None:
        self._sender = sender
        self._limits = limits
        self._clock = clock
        self._memory = memory

    async def newest(self, call: Call, repository: str, pages: int) -> TagPage:
        """The newest tags of a repository, 100 a page; fewer when the Hub refuses to go on."""
        namespace, _, name = repository.partition("/")
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if isinstance(call.access.credentials, BasicCredentials):
            token = await self._token(call, call.access.credentials)
            headers["Authorization"] = f"Bearer {token.value}"
        tags: list[str] = []
        dates: dict[str, datetime] = {}
        digests: dict[str, str] = {}
        for number in range(1, pages + 1):
            url = (
                f"{HUB_API}/v2/namespaces/{namespace}/repositories/{name}/tags"
                f"?page_size={_PAGE_SIZE}&page={number}&ordering=last_updated"
            )
            answer = await self._sender.send(
                call, Outgoing("GET", url, self._limits.tags_bytes, headers, follows_redirects=False)
            )
            if answer.status in (403, 404) and number > 1:
                break  # anonymous readers may not go deep; what was read is good
            if answer.status != 200:
                raise failure(call.access, answer, f"the dates of the tags of {repository}")
            try:
                page = parse_hub_page(answer.body)
            except InvalidManifestError as exc:
                raise BadResponse(f"{HUB_API.host} answers with something that {exc}.") from exc
            tags += page.tags
            dates.update(page.dates)
            digests.update(page.digests)
            if page.named < _PAGE_SIZE:
                break
        return TagPage(tuple(tags), len(tags), dates, digests)

    async def _token(self, call: Call, credentials: BasicCredentials) -> Token:
        key = TokenKey(HUB_API, call.credential, "")
        token = self._memory.token(key, self._clock.monotonic())
        if token is None:
            asked_at = self._clock.monotonic()
            content = json.dumps({"identifier": credentials.username, "secret": credentials.secret}).encode()
            headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
            answer = await self._sender.send(
                call,
                Outgoing(
                    "POST", f"{HUB_API}/v2/auth/token", self._limits.token_bytes, headers, content,
                    follows_redirects=False,
                ),
            )  # fmt: skip
            if answer.status in (401, 403):
                raise refused_token(call, answer)
            token = read_token(answer, asked_at, self._clock.now(), name="access_token")
            self._memory.keep_token(key, token)
        return token
