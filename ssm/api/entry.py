"""The API with all its routers; what goes wrong anywhere is answered in one form."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, cast

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from containers.api import (
    activity,
    backups,
    creation,
    images,
    logs,
    networks,
    plans,
    statistics,
    updates,
    volumes,
)
from devices.api import credentials, devices, host_keys, importing, tls
from registries.api import accounts, repositories
from ssm.accounts.api import audit, me, users
from ssm.api.described import DescribedAPI
from ssm.api.doors import PerUser, Session, Token
from ssm.lib.api.errors import FieldProblem, problem
from ssm.lib.errors import SsmError
from ssm.lib.log_context import current_context

logger = logging.getLogger(__name__)

VERSION: Final = "1.0.0"
_DESCRIPTION: Final = (
    "Everything that the pages do. Authenticate with `Authorization: Bearer ssm_…`; make a token on the page of your "
    "account. Acts on hosts answer `202` with an operation: `GET /operations/{id}/follow` tells how it goes. Send "
    "`Idempotency-Key` with what must not be done twice. Lists are paged: pass `next` as `cursor`. Errors are "
    "`{code, message, fix, fields}`."
)

api = DescribedAPI(
    title="SSM",
    version=VERSION,
    description=_DESCRIPTION,
    urls_namespace="api",
    auth=[Token(), Session()],
    throttle=[PerUser()],
    # The page with the description is SSM's own: the usual ones need inline scripts.
    docs_url=None,
    openapi_url="openapi.json",
)
api.add_router("/containers", creation.router)
api.add_router("/containers", updates.of_container)
api.add_router("/updates", updates.router)
api.add_router("/replacements", updates.replacement_router)
api.add_router("/containers", logs.router)
api.add_router("", statistics.router)
api.add_router("/devices", devices.router)
api.add_router("/devices", importing.router)
api.add_router("/device-groups", credentials.group_router)
api.add_router("/credentials", credentials.router)
api.add_router("/tls-identities", tls.router)
api.add_router("/host-keys", host_keys.router)
api.add_router("/host-key-rules", host_keys.rule_router)
api.add_router("/images", images.router)
api.add_router("/volumes", volumes.router)
api.add_router("/volumes", plans.router)
api.add_router("/backup-plans", plans.plan_router)
api.add_router("/backups", backups.router)
api.add_router("/networks", networks.router)
api.add_router("/registries", accounts.router)
api.add_router("/repositories", repositories.router)
api.add_router("/me", me.router)
api.add_router("/tokens", me.token_router)
api.add_router("/users", users.router)
api.add_router("/roles", users.role_router)
api.add_router("/audit", audit.router)
api.add_router("/operations", activity.operation_router)
api.add_router("/batches", activity.batch_router)
api.add_router("/events", activity.event_router)


def _answer(request: HttpRequest, status: int, body: dict[str, Any]) -> HttpResponse:
    response = api.create_response(request, body, status=status)
    response["Cache-Control"] = "no-store"
    return response


@api.exception_handler(SsmError)
def on_error(request: HttpRequest, exc: Exception) -> HttpResponse:
    """An error with a sentence for the user."""
    assert isinstance(exc, SsmError)  # noqa: S101 - ninja types handlers by the base
    fields = exc.fields if isinstance(exc, FieldProblem) else {}
    return _answer(request, exc.status, problem(exc.code, exc.message, fix=exc.fix, fields=fields))


@api.exception_handler(ValidationError)
def on_invalid(request: HttpRequest, exc: Exception) -> HttpResponse:
    """A request that does not fit its description."""
    fields = {}
    for error in getattr(exc, "errors", []):
        place = [str(part) for part in error.get("loc", ()) if part not in ("query", "body", "path")]
        fields[".".join(place[1:] or place)] = str(error.get("msg", "is not valid"))
    return _answer(request, 422, problem("invalid", "The request cannot be used.", fields=fields))


@api.exception_handler(Http404)
def on_missing(request: HttpRequest, _exc: Exception) -> HttpResponse:
    """Nothing there, or nothing that the caller may see."""
    return _answer(request, 404, problem("not_found", "There is no such thing, or you may not see it."))


@api.exception_handler(PermissionDenied)
def on_forbidden(request: HttpRequest, exc: Exception) -> HttpResponse:
    """The caller may not do that."""
    message = str(exc) or "You may not do that."
    return _answer(request, 403, problem("forbidden", message, fix="Ask an administrator for the right."))


@api.exception_handler(AuthenticationError)
def on_stranger(request: HttpRequest, _exc: Exception) -> HttpResponse:
    """Nobody who is known."""
    response = _answer(
        request,
        401,
        problem("unauthenticated", "Say who you are.", fix="Send Authorization: Bearer with a token of yours."),
    )
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(Throttled)
def on_throttled(request: HttpRequest, exc: Exception) -> HttpResponse:
    """Too many requests in the last minute."""
    wait = getattr(exc, "wait", None) or 60
    response = _answer(
        request, 429, problem("rate_limited", "Too many requests.", fix=f"Wait {int(wait) + 1} seconds, then go on.")
    )
    response["Retry-After"] = str(int(wait) + 1)
    return response


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, exc: Exception) -> HttpResponse:
    """What the framework itself refuses, such as a body that is no JSON."""
    status = int(getattr(exc, "status_code", 400))
    return _answer(request, status, problem("bad_request" if status < 500 else "error", str(exc)))


@api.exception_handler(Exception)
def on_failure(request: HttpRequest, exc: Exception) -> HttpResponse:
    """A fault of SSM."""
    logger.error("request to the API failed", exc_info=exc, extra={"path": request.path[:200]})
    known = current_context().get("request")
    fix = f"Its log tells why, at request={known}." if known else "See its log."
    return _answer(request, 500, problem("error", f"SSM failed at this request ({type(exc).__name__}).", fix=fix))


def on_nothing(request: HttpRequest, rest: str) -> HttpResponse:
    """A path below the API's root that is none."""
    message = f"The API has nothing at {request.path[:200]}."
    return _answer(request, 404, problem("not_found", message, fix="See /api/v1/openapi.json for what there is."))


def _told(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view, which says in the API's form that it does not know a method."""

    @wraps(view)
    def told(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if response.status_code != 405:
            return response
        known = response.headers.get("Allow", "")
        answer = _answer(request, 405, problem("method_not_allowed", f"{request.method} is not for this.", fix=known))
        answer["Allow"] = known
        return answer

    return told


def urls() -> tuple[Any, ...]:
    """The API's routes. They let in by `auth` above: the pages' log-in, which answers with a form, is not theirs."""
    patterns, app_name, namespace = api.urls
    for pattern in patterns:
        # Marks the view itself; what it gives back is the same one.
        pattern.callback = login_not_required(_told(cast(Any, pattern.callback)))
    return [*patterns, path("<path:rest>", csrf_exempt(login_not_required(on_nothing)))], app_name, namespace
