"""The pages of one container: overview, inspect, events."""

import uuid
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from containers.models import Container, Event
from containers.rules.commands import compose_file, docker_run
from containers.rules.recipe import recipe
from containers.views.events import event_page
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_view

SEE_VALUES: Final = "containers.view_environment"


def find_container(request: HttpRequest, pk: uuid.UUID, *, unread: tuple[str, ...]) -> Container:
    """The container with what its page's head shows, without the ``unread`` columns; 404 if not visible."""
    containers = Container.objects.visible_to(request.user).for_page().defer(None).defer(*unread)
    return get_object_or_404(containers, pk=pk)


@require_GET
@allowed(can_view)
def overview(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Facts, ports, mounts, networks, labels and environment."""
    container = find_container(request, pk, unread=("inspect",))
    sees_values = request.user.has_perm(SEE_VALUES)
    context = {
        "container": container,
        "tab": "overview",
        "sees_values": sees_values,
        # Values that the user may not see never reach the template.
        "variables": container.variables if sees_values else [(name, "") for name, _value in container.variables],
        "labels": sorted(container.labels.items()),
        "operations": container.operations.visible_to(request.user)[:5],
    }
    return render(request, "containers/overview.html", context)


@require_GET
@allowed(can_view)
def inspect(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The Engine's answer, with secrets masked: as a tree, or with ``?view=`` as raw text, `docker run` or compose."""
    view = request.GET.get("view", "")
    sees_values = request.user.has_perm(SEE_VALUES)
    made = view in ("run", "compose")
    container = find_container(request, pk, unread=() if made and sees_values else ("environment",))
    text = ""
    if made and container.inspect:
        text = _as_command(container, view, sees_values=sees_values)
    context = {"container": container, "tab": "inspect", "view": view, "text": text, "sees_values": sees_values}
    return render(request, "containers/inspect.html", context)


def _as_command(container: Container, view: str, *, sees_values: bool) -> str:
    """What makes the container again; values of variables only for eyes that may see them."""
    if sees_values:
        variables = container.variables
    else:
        masked = container.inspect.get("Config", {}).get("Env") or []
        variables = [(name, value) for name, _equals, value in (str(entry).partition("=") for entry in masked)]
    found = recipe(container.inspect, variables)
    return docker_run(found) if view == "run" else compose_file(found, container.compose_service)


@require_GET
@allowed(can_view)
def events(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What the Engine told of the container, newest first."""
    container = find_container(request, pk, unread=("inspect", "environment"))
    page = event_page(Event.objects.visible_to(request.user).filter(container=container), request.GET)
    context = {"container": container, "tab": "events", "page": page}
    return render_page(request, "containers/events.html", "containers/partials/events.html", context)
