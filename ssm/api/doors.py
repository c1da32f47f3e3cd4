"""Who is let in to the API: programs by their token, people by their session; and how often."""

import time
from typing import Any, Final

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.throttling import BaseThrottle
from redis.exceptions import RedisError

from ssm.accounts.tokens import authenticate

_WINDOW_S: Final = 60


class Token(HttpBearer):
    """``Authorization: Bearer ssm_…``: acts as the token's user, with the token's rights alone."""

    def authenticate(self, request: HttpRequest, token: str) -> Any | None:
        """The user; TokenRefused for a token that does not count. Sets ``request.user``."""
        return authenticate(request)


class Session(APIKeyCookie):
    """The cookie of the pages, for what is called from a browser; needs the CSRF token where something changes."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self) -> None:
        super().__init__(csrf=True)

    def _get_key(self, request: HttpRequest) -> str | None:
        # Without a session there is nothing that another site could misuse: the answer is then who is missing.
        if self.param_name not in request.COOKIES:
            return None
        key: str | None = super()._get_key(request)
        return key

    def authenticate(self, request: HttpRequest, key: str | None) -> Any | None:
        """The user of the session; None when nobody is logged in."""
        return request.user if request.user.is_authenticated else None


class PerUser(BaseThrottle):
    """So many requests in each minute of the clock for each user, whatever the number of tokens.

    One object serves all threads, so it keeps nothing of a request. Redis counts; while it does not, nobody is held up:
    what the API answers is in PostgreSQL.
    """

    def __init__(self) -> None:
        self.num_requests = settings.SSM_API_REQUESTS_PER_MINUTE

    def allow_request(self, request: HttpRequest) -> bool:
        """Count the request; whether the user has some left."""
        if not request.user.is_authenticated:
            return True
        key = f"ssm-api-requests:{request.user.pk}:{int(time.time() // _WINDOW_S)}"
        try:
            cache.add(key, 0, 2 * _WINDOW_S)
            return cache.incr(key) <= self.num_requests
        except (RedisError, ValueError):  # away, or come back empty between the two
            return True

    def wait(self) -> float:
        """Seconds until the next minute begins."""
        return _WINDOW_S - time.time() % _WINDOW_S
