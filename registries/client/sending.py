"""Sending a request until there is an answer: redirects by hand, tries with pauses, origins left alone after a 429."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin

from registries.client.exchange import Answer, Call, Exchange
from registries.client.limits import Clock, Limits, backoff_s
from registries.client.memory import Memory
from registries.errors import RateLimited, RegistryTimeout, Unavailable, Unreachable, UnsafeAddress, UnsafeRedirect
from registries.rules.error_bodies import parse_error
from registries.rules.origins import InvalidUrlError, Origin, origin_of
from registries.rules.rate_limits import unknown_wait_seconds, wait_seconds
from registries.rules.texts import clean_text
from registries.rules.times import from_unix

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_FOR_ONE_ORIGIN = ("authorization", "cookie")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to send. Only GET and HEAD are ever repeated or redirected."""

    method: str
    url: str
    max_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    follows_redirects: bool = True
    is_realm: bool = False


class Sender:
    """Wraps an exchange in patience."""

    def __init__(self, exchange: Exchange, limits: Limits, clock: Clock, memory: Memory) -> None:
        self._exchange = exchange
        self._limits = limits
        self._clock = clock
        self._memory = memory

    async def send(self, call: Call, request: Outgoing) -> Answer:
        """The answer, whatever its status below 500 but 429.

        Raises RateLimited when the origin wants to be left alone, Unavailable after too many 5xx, UnsafeRedirect, and
        what the exchange raises. The origin of a 429 is remembered with the credentials: until its time is over,
        requests to it fail at once.
        """
        origin = self._origin(call, request.url)
        tries = self._limits.tries if request.method in ("GET", "HEAD") else 1
        for attempt in range(tries):
            self._check_sleep(call, origin)
            is_last = attempt + 1 == tries
            try:
                answer = await self._redirected(call, request)
            except Unreachable as exc:
                if is_last or exc.details.get("reason") == "name_not_found":
                    raise
                await self._pause(call, backoff_s(self._limits, attempt), exc)
                continue
            if answer.status not in _AGAIN:
                if answer.status < 500:
                    self._memory.wake(answer.origin, call.credential)
                    return answer
                raise _unavailable(answer)
            if answer.status == 429:
                await self._refused(call, answer, is_last=is_last)
                continue
            if is_last or (answer.status == 500 and attempt):
                raise _unavailable(answer)
            wait = wait_seconds(answer.headers, self._clock.now())
            if wait is not None and wait > self._limits.longest_wait_s:
                raise _unavailable(answer)
            await self._pause(call, wait or backoff_s(self._limits, attempt), _unavailable(answer))
        raise AssertionError("the last try returns or raises")

    def _origin(self, call: Call, url: str) -> Origin:
        try:
            return origin_of(url)
        except InvalidUrlError:
            return call.origin  # the exchange says what is wrong

    def _check_sleep(self, call: Call, origin: Origin) -> None:
        sleep = self._memory.sleep(origin, call.credential)
        if sleep and sleep.until > self._clock.now():
            raise self._limited(origin, sleep.until, "Not asked again")

    async def _refused(self, call: Call, answer: Answer, *, is_last: bool) -> None:
        """After a 429: a short pause if that is all the registry wants, else leave it alone and raise RateLimited."""
        now = self._clock.now()
        wait = wait_seconds(answer.headers, now)
        said = parse_error(answer.body).text
        if wait is not None and not is_last and wait <= self._limits.longest_wait_s:
            until = now + wait
            if self._clock.monotonic() + wait < call.ends_at:
                await self._clock.sleep(wait)
                return
        else:
            known = self._memory.sleep(answer.origin, call.credential)
            until = now + max(wait or 0, unknown_wait_seconds(known.refusals + 1 if known else 1))
        self._memory.put_to_sleep(answer.origin, call.credential, until)
        raise self._limited(answer.origin, until, "Asked to wait", said)

    def _limited(self, origin: Origin, until: float, why: str, said: str = "") -> RateLimited:
        quoted = f" It says: {said.rstrip('.')}." if said else ""
        return RateLimited(
            f"{origin.authority} limits requests ({why.lower()}).{quoted}",
            retry_at=from_unix(until),
            fix="An account with a higher limit, or a longer interval between checks, helps.",
            details={"host": origin.authority, "http_status": 429},
        )

    async def _pause(self, call: Call, seconds: float, error: Exception) -> None:
        """Wait before the next try, or raise when the errand would be over by then."""
        if self._clock.monotonic() + seconds >= call.ends_at:
            raise error
        await self._clock.sleep(seconds)

    async def _redirected(self, call: Call, request: Outgoing) -> Answer:
        url, headers = request.url, dict(request.headers)
        seen = {url}
        for _ in range(self._limits.redirects + 1):
            try:
                answer = await self._exchange.once(
                    call, request.method, url, headers, request.max_bytes,
                    content=request.content, is_realm=request.is_realm,
                )  # fmt: skip
            except UnsafeAddress as exc:
                if url == request.url:
                    raise
                raise UnsafeRedirect(
                    f"{call.access.host} redirects to where no request may go. {exc.message}",
                    fix=exc.fix,
                    details={"host": call.access.host},
                ) from exc
            if answer.status not in _MOVED or request.method not in ("GET", "HEAD"):
                return answer
            if not request.follows_redirects:
                raise UnsafeRedirect(
                    f"The token server {answer.origin.authority} redirects, and credentials are not carried on.",
                    details={"host": answer.origin.authority},
                )
            url = self._target(call, answer)
            if url in seen:
                break
            seen.add(url)
            if origin_of(url) != answer.origin:
                # Whatever was for the registry is not for where it sends us, nor is it added again on the way.
                headers = {name: value for name, value in headers.items() if name.lower() not in _FOR_ONE_ORIGIN}
        raise UnsafeRedirect(f"{call.access.host} redirects in circles.", details={"host": call.access.host})

    def _target(self, call: Call, answer: Answer) -> str:
        location = answer.headers.get("location", "")
        try:
            url = urljoin(answer.url, location)
            origin = origin_of(url)
        except (InvalidUrlError, ValueError) as exc:
            raise UnsafeRedirect(
                f"{call.access.host} redirects to “{clean_text(location, 100)}”, and that is no address.",
                details={"host": call.access.host},
            ) from exc
        if origin.scheme == "http" and answer.origin.scheme == "https":
            raise UnsafeRedirect(
                f"{call.access.host} redirects from https to plain http ({origin.authority}).",
                details={"host": call.access.host},
            )
        return url.partition("#")[0]


def _unavailable(answer: Answer) -> Unavailable | RegistryTimeout:
    said = parse_error(answer.body).text
    host = answer.origin.authority
    details = {"host": host, "http_status": answer.status, "registry_message": said}
    if answer.status == 408:
        return RegistryTimeout(f"{host} gave up waiting for the request.", details=details)
    quoted = f": {said.rstrip('.')}" if said else ""
    return Unavailable(
        f"{host} is broken at the moment (HTTP status {answer.status}{quoted}).",
        fix="It will be asked again with the next check.",
        details=details,
    )
