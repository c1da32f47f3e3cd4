"""What HTMX asks for, and how a view answers it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails


class HtmxHttpRequest(HttpRequest):
    """A request that went through django-htmx's middleware."""

    htmx: HtmxDetails


def is_partial(request: HttpRequest) -> bool:
    """Whether only a part of the page is wanted: asked by HTMX, and neither boosted nor a history restore."""
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and headers.get("HX-Boosted") != "true"
        and headers.get("HX-History-Restore-Request") != "true"
    )


def render_page(
    request: HttpRequest, page: str, partial: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render the whole page, or its part alone when HTMX asked for it; both share one URL, so caches must tell."""
    response = render(request, partial if is_partial(request) else page, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
