"""Tag lists, page by page, with guards against lists that never end."""

from datetime import datetime

from registries.client.authorisation import Authoriser
from registries.client.exchange import Call
from registries.client.limits import Limits
from registries.client.results import TagList
from registries.client.sending import Outgoing
from registries.client.verdicts import failure
from registries.errors import BadResponse
from registries.rules.links import UnsafeLinkError, next_page
from registries.rules.manifests import InvalidManifestError
from registries.rules.tag_lists import parse_tag_page

# It sends all tags at once, however many, as long as no number is asked for.
_SENDS_ALL = frozenset({"hub"})


async def read_tags(authoriser: Authoriser, call: Call, limits: Limits, repository: str) -> TagList:
    """The tags of a repository. What breaks off the reading of a long list marks it as truncated."""
    url = f"{call.access.base_url}/v2/{repository}/tags/list"
    if call.access.provider not in _SENDS_ALL:
        url += f"?n={limits.page_size}"
    tags: dict[str, None] = {}
    dates: dict[str, datetime] = {}
    digests: dict[str, str] = {}
    seen = {url}
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
    what = f"the tags of {repository}"
    for _ in range(limits.pages):
        answer = await authoriser.send(call, Outgoing("GET", url, limits.tags_bytes, headers), repository)
        if answer.status != 200:
            raise failure(call.access, answer, what)
        try:
            page = parse_tag_page(answer.body)
        except InvalidManifestError as exc:
            raise BadResponse(
                f"{call.access.host} answers the question for {what} with something that {exc}.",
                details={"host": call.access.host},
            ) from exc
        tags.update(dict.fromkeys(page.tags))
        dates.update(page.dates)
        digests.update(page.digests)
        try:
            following = next_page(answer.url, answer.all("link"))
        except UnsafeLinkError:
            return TagList(tuple(tags), is_truncated=True, dates=dates, digests=digests)
        if following is None:
            break
        if not page.named or len(tags) >= limits.tags:
            return TagList(tuple(tags)[: limits.tags], is_truncated=True, dates=dates, digests=digests)
        # Asked of the registry itself even when it redirected: elsewhere nothing of ours may be sent.
        url = f"{url.partition('?')[0]}?{following.partition('?')[2]}"
        if url in seen:
            return TagList(tuple(tags), is_truncated=True, dates=dates, digests=digests)
        seen.add(url)
    else:
        return TagList(tuple(tags), is_truncated=True, dates=dates, digests=digests)
    return TagList(tuple(tags)[: limits.tags], is_truncated=len(tags) > limits.tags, dates=dates, digests=digests)
