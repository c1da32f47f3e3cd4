"""Pages of compose projects: the list over all hosts, and one project with its services, networks and volumes."""

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from containers.models import Container, Operation
from containers.projects import (
    STATES,
    Project,
    ProjectFilter,
    devices_with_projects,
    files_of,
    networks_of,
    project_of,
    services_of,
    volumes_of,
)
from containers.querysets import NEEDING_ACTION
from containers.rules.actions import BULK_ACTIONS
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_view
from ssm.lib.tables import page_of, text_of

_LATEST = 8
_MOST = 500


@require_GET
@allowed(can_view)
def project_list(request: HttpRequest) -> HttpResponse:
    """One page of the projects that pass the filters. The number of queries does not depend on the rows."""
    chosen = ProjectFilter.read(request.GET)
    page = page_of(request, chosen.select(request.user))
    devices = devices_with_projects(request.user)
    names = {choice.value: choice.text for choice in devices}
    context = {
        "page": page,
        "rows": [project_of(row) for row in page],
        "chosen": chosen,
        "sort": chosen.sort,
        "states": STATES,
        "devices": devices,
        "chips": chosen.chips(request.GET, names.get(chosen.device, "one device")),
        "actions": BULK_ACTIONS,
    }
    return render_page(request, "projects/list.html", "projects/partials/results.html", context)


@require_GET
@allowed(can_view)
def project(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The project ``name`` on a device; 404 when nothing visible belongs to it."""
    device = get_object_or_404(Device.objects.visible_to(request.user), pk=pk)
    name = text_of(request.GET, "name")
    visible = Container.objects.visible_to(request.user).present().filter(device=device, compose_project=name)
    containers = list(visible.for_page().order_by("name", "pk")[:_MOST]) if name else []
    if not containers:
        raise Http404
    services = services_of(containers)
    directory, files = files_of(containers)
    found = Project(
        device_id=device.pk,
        device_name=device.name,
        is_online=device.is_online,
        name=name,
        total=len(containers),
        running=sum(service.running for service in services),
        needing=visible.filter(NEEDING_ACTION).count(),
        services=len([service for service in services if service.name]),
        updates=sum(_offers_update(container) for container in containers),
        changed=max(container.changed_at for container in containers),
    )
    operations = Operation.objects.visible_to(request.user).filter(container__in=[row.pk for row in containers])
    context = {
        "project": found,
        "device": device,
        "services": services,
        "directory": directory,
        "files": files,
        "networks": networks_of(request.user, device, name, containers),
        "volumes": volumes_of(request.user, device, name, containers),
        "operations": operations.select_related("device", "container")[:_LATEST],
        "actions": BULK_ACTIONS,
    }
    return render_page(request, "projects/detail.html", "projects/partials/body.html", context)


def _offers_update(container: Container) -> bool:
    update = getattr(container, "update", None)
    return update is not None and update.state == "update_available"
