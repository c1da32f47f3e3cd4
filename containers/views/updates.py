"""Updates over the fleet and of one container, what users decide about them, and checks asked for now."""

import uuid
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from containers.errors import OperationRefused
from containers.filters import LONGEST_LIST
from containers.models import Container, Replacement, UpdatePolicy, UpdateStatus
from containers.rules.traces import steps_from
from containers.updates import decisions
from containers.updates.checks import latest_check, request_check
from containers.updates.decisions import Target
from containers.updates.listing import (
    KINDS,
    REASONS,
    STATES,
    UpdateFilter,
    groups_page,
    kind_counts,
    project_choices,
    used_by,
)
from containers.views.pages import find_container
from devices.models import Device, now
from registries.models import RepositoryKnowledge
from ssm.lib.access import allowed
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import Right, can_everywhere, can_operate, can_view
from ssm.lib.tables import Choice, text_of

SNOOZES: Final = (("1", "Put off for a day"), ("7", "Put off for a week"), ("30", "Put off for 30 days"))
_USED_BY: Final = 100


@require_GET
@allowed(can_view)
def updates(request: HttpRequest) -> HttpResponse:
    """What can be updated, grouped by image. The number of queries does not depend on the rows."""
    chosen = UpdateFilter.read(request.GET)
    visible = UpdateStatus.objects.visible_to(request.user)
    devices = [
        Choice(str(pk), name)
        for pk, name in Device.objects.visible_to(request.user)
        .order_by("name")
        .values_list("pk", "name")[:LONGEST_LIST]
    ]
    names = {choice.value: choice.text for choice in devices}
    page = groups_page(request, chosen.select(visible), chosen)
    counts = kind_counts(visible, chosen)
    context = {
        "page": page,
        "groups": page.object_list,
        "chosen": chosen,
        "chips": chosen.chips(request.GET, names.get(chosen.device, "one device")),
        "kinds": [
            (choice, counts[choice.value]) for choice in KINDS if counts[choice.value] or choice.value == chosen.kind
        ],
        "offers": counts["all"],
        "states": STATES,
        "reasons": REASONS,
        "devices": devices,
        "projects": project_choices(request.user, LONGEST_LIST),
        "snoozes": SNOOZES,
        "check": latest_check(device_id=uuid.UUID(chosen.device) if chosen.device else None),
        "known": visible.present().exists(),
        "decides_for_all": can_everywhere(request.user, Right.OPERATE),
    }
    return render_page(request, "updates/list.html", "updates/partials/results.html", context)


@require_GET
@allowed(can_view)
def container_updates(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Why the answer about a container's updates is as it is, and what was decided about it."""
    container = find_container(request, pk, unread=("inspect", "environment"))
    status: UpdateStatus | None = getattr(container, "update", None)
    policies: list[UpdatePolicy] = []
    knowledge = None
    if status is not None:
        own = UpdatePolicy.objects.visible_to(request.user).filter(container=container)
        shared = UpdatePolicy.objects.visible_to(request.user).filter(
            container=None, registry=status.registry, repository=status.repository, tag=status.tag
        )
        policies = list((own | shared).order_by("ended_at", "-created_at")[:50])
        knowledge = (
            RepositoryKnowledge.objects.filter(host=status.registry, path=status.repository)
            .defer("tags", "tag_dates", "local_digests")
            .first()
        )
    moment = now()
    in_force = [
        policy for policy in policies if policy.ended_at is None and not (policy.until and policy.until <= moment)
    ]
    context = {
        "container": container,
        "tab": "updates",
        "status": status,
        "steps": steps_from(status.trace) if status else [],
        "policies": in_force,
        "past": [policy for policy in policies if policy not in in_force],
        "replacements": Replacement.objects.visible_to(request.user)
        .filter(container=container)
        .select_related("operation")
        .defer("specification", "operation__output", "operation__sealed", "operation__journal")[:20],
        "knowledge": knowledge,
        "snoozes": SNOOZES,
        "check": latest_check(container_id=container.pk),
        "decides_for_all": can_everywhere(request.user, Right.OPERATE),
    }
    return render_page(request, "updates/container.html", "updates/partials/container.html", context)


@require_POST
@allowed(can_operate)
def check(request: HttpRequest) -> HttpResponse:
    """Ask the registries now: about a container, a device, or all."""
    container, device = None, None
    if text_of(request.POST, "container"):
        container = _container(request, Right.OPERATE)
    elif text_of(request.POST, "device"):
        device = get_object_or_404(Device.objects.visible_to(request.user), pk=_uuid(text_of(request.POST, "device")))
    asked = request_check(request.user, container=container, device=device)
    if is_partial(request):
        return render(request, "updates/partials/check.html", {"check": asked})
    messages.success(request, "The registries are being asked.")
    return redirect(_back(request, container))


@require_POST
@allowed(can_operate)
def decide(request: HttpRequest) -> HttpResponse:
    """Ignore a version, put updates off, stay on a line, or undo such a decision."""
    act, _colon, value = text_of(request.POST, "act").partition(":")
    container = _container(request, Right.OPERATE) if text_of(request.POST, "container") else None
    try:
        if act == "undo":
            policies = UpdatePolicy.objects.permitted(request.user, Right.OPERATE).select_related("container__device")
            decisions.undo(request.user, get_object_or_404(policies, pk=_uuid(value)))
        elif not _decide(request, act, value, _target(request, container)):
            return HttpResponse("Unknown decision.\n", status=400, content_type="text/plain")
    except OperationRefused as refused:
        if is_partial(request):
            response = HttpResponse(status=204)
            return trigger_client_event(response, "toast", {"text": str(refused), "tone": "bad"})
        messages.error(request, str(refused))
    return redirect(_back(request, container))


def _decide(request: HttpRequest, act: str, value: str, target: Target) -> bool:
    """Act on ``ignore:<version>``, ``snooze:<days>`` or ``stay:<line>``; False for anything else."""
    if act == "ignore":
        decisions.ignore(request.user, target, value)
    elif act == "snooze" and value in dict(SNOOZES):
        decisions.snooze(request.user, target, now() + timedelta(days=int(value)))
    elif act == "stay":
        decisions.stay(request.user, target, value)
    else:
        return False
    return True


def _target(request: HttpRequest, container: Container | None) -> Target:
    """The container, or the image that is named; 404 for an image that nobody runs."""
    if container is not None:
        return Target(container=container)
    if not can_everywhere(request.user, Right.OPERATE):
        raise PermissionDenied  # it would count for containers of others as well
    registry, repository = text_of(request.POST, "registry"), text_of(request.POST, "repository")
    tag = text_of(request.POST, "tag")
    statuses = UpdateStatus.objects.visible_to(request.user).present()
    if not repository or not statuses.filter(registry=registry, repository=repository, tag=tag).exists():
        raise Http404
    return Target(registry=registry, repository=repository, tag=tag)


def _container(request: HttpRequest, right: Right = Right.SEE) -> Container:
    containers = (
        Container.objects.permitted(request.user, right).select_related("device").defer("inspect", "environment")
    )
    return get_object_or_404(containers, pk=_uuid(text_of(request.POST, "container")))


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as exc:
        raise Http404 from exc


def _back(request: HttpRequest, container: Container | None) -> str:
    """The page that the button was on, if it is one of ours."""
    came_from = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure()):
        return came_from
    return reverse("containers:updates", args=[container.pk]) if container else reverse("updates:list")


@require_GET
@allowed(can_view)
def used_by_repository(request: HttpRequest) -> HttpResponse:
    """The containers that were created from a repository, as a part of that repository's page."""
    registry, repository = text_of(request.GET, "registry"), text_of(request.GET, "repository")
    statuses = used_by(request.user, registry, repository)
    context: dict[str, Any] = {
        "statuses": statuses.order_by("tag", "container__name", "pk")[:_USED_BY],
        "count": statuses.count(),
        "image": f"{registry}/{repository}",
    }
    return render_page(request, "updates/used_by.html", "updates/partials/used_by.html", context)
