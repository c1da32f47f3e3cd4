"""Headers that every answer carries."""

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

# No inline script or style, nothing from elsewhere. `connect-src 'self'` covers the page's own WebSocket (CSP 3).
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # Not report-to: browsers that know it ignore this one for it, tell a minute later, and over HTTPS alone.
        "report-uri /csp-report",
    )
)
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

# Django's middlewares set these too, but not where one of them refuses a request before the others saw it.
FURTHER = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _mark(response: HttpResponse) -> HttpResponse:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Permissions-Policy", PERMISSIONS)
    # No page of another site may load anything of ours, nor learn by an image or a script whether it is there.
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    for name, value in FURTHER.items():
        response.headers.setdefault(name, value)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        # A page shows what its user may see: no shared cache may keep it, and "back" after a log-out finds nothing.
        response.headers.setdefault("Cache-Control", "no-store")
    return response


@sync_and_async_middleware
def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Add the Content-Security-Policy, and forbid storing pages."""
    if iscoroutinefunction(get_response):

        async def in_async(request: HttpRequest) -> HttpResponse:
            return _mark(await cast(Awaitable[HttpResponse], get_response(request)))

        return in_async

    def in_sync(request: HttpRequest) -> HttpResponse:
        return _mark(cast(HttpResponse, get_response(request)))

    return in_sync
