"""The pages of one container: overview, inspect, events."""

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from containers.models import Container, Event
from containers.rules.commands import compose_file, docker_run
from containers.rules.recipe import recipe
from containers.views.events import event_page
from ssm.lib.access import allowed, is_about
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, can, can_everywhere, can_view


def find_container(
    request: HttpRequest, pk: uuid.UUID, *, unread: tuple[str, ...], right: Right = Right.SEE
) -> Container:
    """The container with what its page's head shows, without the ``unread`` columns; 404 where the right is missing."""
    containers = Container.objects.permitted(request.user, right).for_page().defer(None).defer(*unread)
    return is_about(request, get_object_or_404(containers, pk=pk))


def sees_values(request: HttpRequest, pk: uuid.UUID) -> bool:
    """Whether the user may see the values of the container's environment. One query where the right is limited."""
    if can_everywhere(request.user, Right.INSPECT_ENVIRONMENT):
        return True
    if not can(request.user, Right.INSPECT_ENVIRONMENT):
        return False
    return Container.objects.permitted(request.user, Right.INSPECT_ENVIRONMENT).filter(pk=pk).exists()


@require_GET
@allowed(can_view)
def overview(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Facts, ports, mounts, networks, labels and environment."""
    container = find_container(request, pk, unread=("inspect",))
    values_shown = sees_values(request, pk)
    context = {
        "container": container,
        "tab": "overview",
        "sees_values": values_shown,
        # Values that the user may not see never reach the template.
        "variables": container.variables if values_shown else [(name, "") for name, _value in container.variables],
        "labels": sorted(container.labels.items()),
        "operations": container.operations.visible_to(request.user)[:5],
    }
    return render(request, "containers/overview.html", context)


@require_GET
@allowed(can_view)
def inspect(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The Engine's answer, with secrets masked: as a tree, or with ``?view=`` as raw text, `docker run` or compose."""
    view = request.GET.get("view", "")
    values_shown = sees_values(request, pk)
    made = view in ("run", "compose")
    container = find_container(request, pk, unread=() if made and values_shown else ("environment",))
    text = ""
    if made and container.inspect:
        text = _as_command(container, view, values_shown=values_shown)
    context = {"container": container, "tab": "inspect", "view": view, "text": text, "sees_values": values_shown}
    return render(request, "containers/inspect.html", context)


def _as_command(container: Container, view: str, *, values_shown: bool) -> str:
    """What makes the container again; values of variables only for eyes that may see them."""
    if values_shown:
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
