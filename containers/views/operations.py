"""Acts on a container, and the list of all acts."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import reswap, retarget, trigger_client_event

from containers.errors import OperationRefused
from containers.filters import LONGEST_LIST, OPERATION_KINDS, OPERATION_STATES, ActivityFilter
from containers.models import Container, Operation
from containers.operation_requests import request_operation
from containers.rules.actions import find_action, is_confirmed
from containers.rules.parameters import SIGNALS, ParameterError, read_parameters
from containers.views.pages import find_container
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import can_operate, can_view
from ssm.lib.tables import Choice, page_of

_HEAVY = ("inspect", "environment")
DIALOG = "#remote-dialog"


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_view)
def operations(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """GET lists what was done to the container; POST with ``kind`` asks for an act on it."""
    container = find_container(request, pk, unread=_HEAVY)
    if request.method == "POST":
        return _act(request, container)
    page = page_of(request, Operation.objects.visible_to(request.user).filter(container=container))
    context = {"container": container, "tab": "operations", "page": page}
    return render_page(request, "containers/operations.html", "activity/partials/results.html", context)


def _act(request: HttpRequest, container: Container) -> HttpResponse:
    """Ask back where harm is near, else record the operation and show the container as it is now."""
    if not can_operate(request.user):
        raise PermissionDenied
    action = find_action(request.POST.get("kind", ""))
    if action is None:
        return HttpResponse("Unknown kind of operation.\n", status=400, content_type="text/plain")
    is_asked = "confirmation" in request.POST
    errors: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    try:
        parameters = read_parameters(action.kind, request.POST) if is_asked else {}
    except ParameterError as exc:
        errors[exc.field] = str(exc)
    is_wrong = not is_confirmed(action, container.name, request.POST.get("confirmation", ""))
    if is_wrong or errors:
        context = {
            "container": container,
            "action": action,
            "place": _place(request),
            "errors": errors,
            "given": {**request.POST.dict(), "asked": is_asked},
            "signals": SIGNALS,
            "is_wrong": is_asked and is_wrong,
            "back": _back(request, container),
        }
        status = 422 if is_asked else 200
        if not is_partial(request):
            return render(request, "containers/confirm.html", context, status=status)
        response = render(request, "containers/partials/confirm.html", context, status=status)
        return reswap(retarget(response, DIALOG), "innerHTML")
    error = None
    operation = None
    try:
        operation = request_operation(request.user, container, action.kind, parameters)
    except OperationRefused as refused:
        error = refused
    if not is_partial(request):
        if error is not None:
            messages.error(request, str(error))
        return HttpResponseRedirect(_back(request, container))
    return _answer(request, container, operation, error)


def _place(request: HttpRequest) -> str:
    """Whether the button is in the container's row or in the head of its page."""
    target = request.POST.get("place") or request.headers.get("HX-Target", "").rpartition("-")[2]
    return "header" if target == "header" else "row"


def _answer(
    request: HttpRequest, container: Container, operation: Operation | None, error: OperationRefused | None
) -> HttpResponse:
    """The row or the head that the button sits in, as it is now; a refusal as a note besides."""
    fresh = find_container(request, container.pk, unread=_HEAVY)
    context: dict[str, Any] = {"container": fresh, "place": _place(request), "operation": operation}
    response = render(request, "containers/partials/acted.html", context)
    trigger_client_event(response, "dialog-close", {})
    if error is not None:
        trigger_client_event(response, "toast", {"text": str(error), "tone": "bad"})
    return response


def _back(request: HttpRequest, container: Container) -> str:
    """The page that the button was on, if it is one of ours; else the container's."""
    came_from = request.POST.get("back") or request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure()):
        return came_from
    return container.get_absolute_url()


@require_GET
@allowed(can_view)
def activity(request: HttpRequest) -> HttpResponse:
    """All operations, newest first, filtered by the address."""
    chosen = ActivityFilter.read(request.GET)
    visible = Operation.objects.visible_to(request.user)
    devices = [
        Choice(str(pk), name)
        for pk, name in Device.objects.visible_to(request.user).values_list("pk", "name")[:LONGEST_LIST]
    ]
    people = (
        visible.exclude(requested_by_name="").order_by("requested_by_name").values_list("requested_by_name", flat=True)
    )
    names = {choice.value: choice.text for choice in devices}
    context = {
        "page": page_of(request, chosen.select(visible)),
        "chosen": chosen,
        "chips": chosen.chips(request.GET, names.get(chosen.device, "one device")),
        "states": OPERATION_STATES,
        "kinds": OPERATION_KINDS,
        "devices": devices,
        "people": [Choice(name, name) for name in people.distinct()[:LONGEST_LIST]],
    }
    return render_page(request, "activity/list.html", "activity/partials/results.html", context)
