"""What of a container may change without making it anew: its name, its limits, its restart policy."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from containers.errors import OperationRefused
from containers.models import Container
from containers.operation_requests import request_operation
from containers.rules.limits import RESTART_POLICIES, limits_of, read_limits
from containers.rules.parameters import ParameterError, read_parameters
from containers.views.pages import find_container
from ssm.lib.access import allowed
from ssm.lib.roles import can_operate, can_view


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_view)
def settings(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """GET shows the forms as the container stands; POST with ``kind`` rename or configure asks for the change."""
    container = find_container(request, pk, unread=("environment",))
    errors: dict[str, str] = {}
    if request.method == "POST":
        if not can_operate(request.user):
            raise PermissionDenied
        try:
            return _change(request, container)
        except ParameterError as exc:
            errors[exc.field] = str(exc)
    limits = limits_of(container.inspect.get("HostConfig") or {})
    context = {
        "container": container,
        "tab": "settings",
        "limits": limits,
        "policies": RESTART_POLICIES,
        "errors": errors,
        "given": request.POST.dict() if errors else _given(container, limits),
    }
    return render(request, "containers/settings.html", context, status=422 if errors else 200)


def _given(container: Container, limits: Any) -> dict[str, Any]:
    """What the fields show at first: how it stands."""
    return {
        "name": container.name,
        "memory": limits.memory_text,
        "memory_reservation": limits.memory_reservation_text,
        "cpus": limits.cpus_text,
        "cpu_shares": limits.cpu_shares or "",
        "pids": limits.pids or "",
        "restart_policy": limits.restart_policy,
        "restart_tries": limits.restart_tries or "",
    }


def _change(request: HttpRequest, container: Container) -> HttpResponse:
    kind = request.POST.get("kind", "")
    if kind == "rename":
        parameters = read_parameters(kind, request.POST)
        is_same = parameters["name"] == container.name
    elif kind == "configure":
        parameters = read_limits(request.POST.dict(), limits_of(container.inspect.get("HostConfig") or {}))
        is_same = not parameters
    else:
        return HttpResponse("Unknown kind of change.\n", status=400, content_type="text/plain")
    if is_same:
        messages.info(request, "Nothing to do: it is so already.")
        return redirect("containers:settings", container.pk)
    try:
        request_operation(request.user, container, kind, parameters)
    except OperationRefused as refused:
        messages.error(request, str(refused))
        return redirect("containers:settings", container.pk)
    return redirect("containers:operations", container.pk)
