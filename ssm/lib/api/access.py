"""Who may call an endpoint: a mark below each route, so that none forgets."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from ssm.lib.roles import Right, can

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def needs(right: Right) -> Callable[[Endpoint], Endpoint]:
    """Let only those pass who hold the right somewhere; the objects are then found by ``permitted``."""

    def mark(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not can(request.user, right):
                raise PermissionDenied(f"It takes the right “{right.value}”.")
            return endpoint(request, *args, **kwargs)

        # Read by the test that goes through all endpoints.
        guarded.needed_right = right  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return mark


def for_anybody(endpoint: Endpoint) -> Endpoint:
    """Let every user pass: the endpoint is about the caller, or finds by itself what the caller may see."""
    endpoint.needed_right = None  # type: ignore[attr-defined]
    return endpoint
