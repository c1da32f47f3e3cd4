"""The live test of an account: step by step, and what exactly failed."""

import time
from collections.abc import Awaitable, Callable

from registries.client.authorisation import Authoriser
from registries.client.exchange import Answer, Call
from registries.client.limits import Limits
from registries.client.manifests import read_head
from registries.client.paging import read_tags
from registries.client.results import Quota, TestStep
from registries.client.sending import Outgoing, Sender
from registries.client.verdicts import failure
from registries.errors import NotFound, RegistryError, RegistryUnsupported
from registries.rules.challenges import Challenge, choose_challenge, parse_challenges

# Docker's own repository for asking what is left of the quota.
_HUB_PROBE = ("ratelimitpreview/test", "latest")


async def probe(
    sender: Sender,
    authoriser: Authoriser,
    call: Call,
    limits: Limits,
    repository: str,
    quota: Callable[[], Quota | None],
    tell: Callable[[TestStep], None] = lambda _step: None,
) -> list[TestStep]:
    """Try in three steps: does a registry answer, does the log-in work, may tags be read. A failure ends it.

    ``tell`` gets each step as soon as it has ended.
    """
    steps: list[TestStep] = []
    url = f"{call.access.base_url}/v2/"
    outgoing = Outgoing("GET", url, limits.error_bytes, {"Accept": "application/json", "Accept-Encoding": "identity"})

    async def registry() -> str:
        answer = await sender.send(call, outgoing)
        challenge = choose_challenge(parse_challenges(answer.all("www-authenticate")))
        return _said(call, answer, challenge)

    async def log_in() -> str:
        # Without a repository the log-in alone is tried; anonymous users have nothing but repositories.
        answer = await authoriser.send(call, outgoing, repository if call.access.is_anonymous else "")
        # One of Google's registries answers 403 here and works nevertheless.
        if answer.status not in (200, 403):
            raise failure(call.access, answer, "its version 2")
        return "Anonymous access works." if call.access.is_anonymous else "The credentials are accepted."

    async def tags() -> str:
        if not repository:
            head = await read_head(authoriser, call, limits, *_HUB_PROBE)
            left = quota()
            rest = f" {left.remaining} of {left.limit} pulls are left." if left else " There is no limit on pulls."
            return f"Images can be read ({head.digest[:19]}…).{rest}"
        found = await read_tags(authoriser, call, limits, repository)
        count = f"{'more than ' if found.is_truncated else ''}{len(found.tags)}"
        return f"{repository} has {count} tag{'' if len(found.tags) == 1 else 's'}."

    await _step(steps, "registry", registry)
    tell(steps[-1])
    await _step(steps, "log_in", log_in)
    tell(steps[-1])
    if repository or call.access.provider == "hub":
        await _step(steps, "tags", tags)
    else:
        steps.append(TestStep("tags", "skipped", "Give a repository to try whether its tags can be read."))
    tell(steps[-1])
    return steps


def _said(call: Call, answer: Answer, challenge: Challenge | None) -> str:
    """What the answer to the first request says about the registry. Raises RegistryUnsupported."""
    host = call.access.host
    if answer.status == 200:
        return f"{host} answers and asks for no log-in."
    if answer.status == 401 and challenge is not None:
        how = "user name and password" if challenge.scheme == "basic" else "tokens"
        return f"{host} answers and works with {how}."
    if answer.status == 403:
        return f"{host} answers."
    if answer.status == 401:
        raise RegistryUnsupported(
            f"{host} wants a log-in of a kind that is not known.",
            fix="Check the address; a log-in page of a proxy in front of the registry does this too.",
            details={"host": host, "http_status": 401},
        )
    error = failure(call.access, answer, "the API of registries (/v2/)")
    if isinstance(error, NotFound):
        raise RegistryUnsupported(
            f"{host} answers, but not as a registry: there is nothing at /v2/.",
            fix="Check host and port: this may be the registry's web page, or another service.",
            details=error.details,
        )
    raise error


async def _step(steps: list[TestStep], name: str, act: Callable[[], Awaitable[str]]) -> None:
    assert name in ("registry", "log_in", "tags")  # noqa: S101
    if any(step.state == "failed" for step in steps):
        steps.append(TestStep(name, "skipped", "Not tried, as an earlier step failed."))  # type: ignore[arg-type]
        return
    started = time.monotonic()
    try:
        message = await act()
    except RegistryError as exc:
        duration_ms = round((time.monotonic() - started) * 1000)
        steps.append(TestStep(name, "failed", exc.message, exc.fix, exc.code, duration_ms))  # type: ignore[arg-type]
    else:
        steps.append(TestStep(name, "ok", message, duration_ms=round((time.monotonic() - started) * 1000)))  # type: ignore[arg-type]
