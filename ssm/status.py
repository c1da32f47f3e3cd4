"""The status page: how the installation itself stands, for who runs it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from ssm.lib.access import allowed
from ssm.lib.roles import Right, holds
from ssm.readings import standing


# Hosts, sizes and versions are for those who run SSM, not for managers of some devices.
@require_GET
@allowed(holds(Right.MANAGE_USERS))
def status(request: HttpRequest) -> HttpResponse:
    """Processes, queues, ticks, leases and stores, read now."""
    return render(request, "status/index.html", {"standing": standing()})
