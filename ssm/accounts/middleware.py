"""What is done around every request about its user."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import sync_and_async_middleware
from django_htmx.http import HttpResponseClientRedirect

from ssm.accounts.audit import current_request
from ssm.accounts.sessions import held_back, note_session
from ssm.lib.roles import NOTHING, set_grants

# What who is held back may open: what there is to do, and the ways out.
_DOORS: Final = {
    "password": frozenset({"account:password"}),
    "second-factor": frozenset({"account:second-factor", "login-code"}),
}
_ALWAYS: Final = frozenset({"logout", "login", "healthz", "readyz", "csp-report"})


class PeopleMiddleware:
    """Hold back who has to change the password or set up a second factor first; know the request in the audit.

    Behind the middleware that finds the user.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Answer, with the request at hand."""
        if iscoroutinefunction(self):
            return self._answer(request)
        token = current_request.set(request)
        try:
            return self._get_response(request)
        finally:
            current_request.reset(token)

    async def _answer(self, request: HttpRequest) -> Any:
        token = current_request.set(request)
        try:
            return await self._get_response(request)
        finally:
            current_request.reset(token)

    def process_view(self, request: HttpRequest, _view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        """Send who is held back to what has to be done."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return None
        reason = held_back(request.user, request.session)
        if not reason:
            return None
        request.held_back = reason  # type: ignore[attr-defined]
        # Nothing else is theirs, neither in the frame of the page that they may open.
        set_grants(request.user, NOTHING)
        name = request.resolver_match.view_name if request.resolver_match else ""
        if name in _DOORS[reason] or name in _ALWAYS:
            return None
        target = "account:password" if reason == "password" else "account:second-factor"
        if request.headers.get("HX-Request") == "true":
            return HttpResponseClientRedirect(redirect(target).url)
        return redirect(target)


@sync_and_async_middleware
def note_sessions(
    get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Keep when sessions were seen last. Around the middleware of sessions, which stores them."""
    if iscoroutinefunction(get_response):

        async def in_async(request: HttpRequest) -> HttpResponse:
            response = await cast(Awaitable[HttpResponse], get_response(request))
            if _is_known(request):
                await sync_to_async(note_session)(request)
            return response

        return in_async

    def in_sync(request: HttpRequest) -> HttpResponse:
        response = cast(HttpResponse, get_response(request))
        if _is_known(request):
            note_session(request)
        return response

    return in_sync


def _is_known(request: HttpRequest) -> bool:
    """Whether somebody is logged in, told without reading anything."""
    session = getattr(request, "session", None)
    loaded = getattr(session, "_session_cache", None)
    return loaded is not None and SESSION_KEY in loaded
