"""Who is let in to the API: programs by their token, people by their session; and how often."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.throttling import SimpleRateThrottle

from ssm.accounts.tokens import authenticate


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

    def authenticate(self, request: HttpRequest, key: str | None) -> Any | None:
        """The user of the session; None when nobody is logged in."""
        return request.user if request.user.is_authenticated else None


class PerUser(SimpleRateThrottle):
    """So many requests a minute for each user, whatever the number of tokens."""

    scope = "user"

    def __init__(self) -> None:
        super().__init__(f"{settings.SSM_API_REQUESTS_PER_MINUTE}/min")

    def get_cache_key(self, request: HttpRequest) -> str | None:
        """Where the user's requests are counted."""
        return f"ssm-api-throttle:{request.user.pk}" if request.user.is_authenticated else None
