"""The live test of an account, streamed while the browser looks on."""

import json
import uuid
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from registries.forms import RegistryTestForm, provider_or_none
from registries.models import Registry
from registries.services import access_of, known_repository
from registries.services.testing import Test, Verdict, note_verdict
from registries.views.accounts import find_registry
from ssm.lib.errors import SsmError
from ssm.lib.roles import Right, can
from ssm.lib.tables import text_of


@require_POST
async def test(request: HttpRequest) -> HttpResponseBase:
    """Test what the form holds (its ``registry``'s stored secrets count), or a stored account (``registry`` alone)."""
    prepared = await sync_to_async(_prepare)(request)
    if isinstance(prepared, HttpResponse):
        return prepared
    response = StreamingHttpResponse(_lines(*prepared), content_type="application/x-ndjson")
    response.headers["Cache-Control"] = "no-store"
    # A proxy that gathers the answer would show all steps at the end.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _prepare(request: HttpRequest) -> tuple[Test, Registry | None] | HttpResponse:
    """The test, and the stored account that it is of; or the faults of the form. For administrators alone."""
    if not can(request.user, Right.MANAGE_REGISTRIES):
        raise PermissionDenied
    registry = _stored(request)
    repository = text_of(request.POST, "test_repository")
    is_form = "kind" in request.POST
    provider = provider_or_none(registry.provider if registry else request.POST.get("provider", ""))
    if provider is None:
        raise Http404
    if registry is not None and not is_form:
        try:
            return Test(access_of(registry), repository or known_repository(registry)), registry
        except SsmError as exc:
            return render(request, "registries/partials/test_errors.html", {"problem": exc}, status=422)
    form = RegistryTestForm(request.POST, instance=registry, provider=provider)
    if form.is_valid():
        return Test(form.access(), repository), None
    return render(request, "registries/partials/test_errors.html", {"form": form}, status=422)


def _stored(request: HttpRequest) -> Registry | None:
    if not request.POST.get("registry"):
        return None
    try:
        return find_registry(request, uuid.UUID(request.POST["registry"]))
    except ValueError as exc:
        raise Http404 from exc


async def _lines(test: Test, registry: Registry | None) -> AsyncIterator[bytes]:
    """Lines of JSON: ``{"key", "state", "html"}`` for each step as it changes, at last ``{"done", "ok", "html"}``."""
    async for step in test.run():
        html = render_to_string("registries/partials/step.html", {"step": step})
        yield _line({"key": step.key, "state": step.state, "html": html})
    verdict: Verdict = test.verdict()
    if registry is not None:
        await sync_to_async(note_verdict)(registry, verdict)
    html = render_to_string("registries/partials/verdict.html", {"verdict": verdict})
    yield _line({"done": True, "ok": verdict.passed, "html": html})


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
