"""The fleet table: every container on every device."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from containers.filters import GROUPINGS, HEALTHS, LONGEST_LIST, STATES, FleetFilter, group_counts
from containers.models import Container
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_view
from ssm.lib.tables import Choice, narrow_page_of

_COLUMNS: Final = {"device": "device_id", "project": "compose_project"}


@require_GET
@allowed(can_view)
def fleet(request: HttpRequest) -> HttpResponse:
    """One page of the containers that pass the filters. The number of queries does not depend on the rows."""
    chosen = FleetFilter.read(request.GET)
    visible = Container.objects.visible_to(request.user).present()
    selected = chosen.select(visible)
    page = narrow_page_of(request, chosen.order(selected), lambda containers: containers.for_page())
    rows = list(page)
    counts = {}
    if chosen.by and rows:
        counts = group_counts(selected, chosen.by, {str(getattr(row, _COLUMNS[chosen.by])) for row in rows})
    lists = filter_lists(request)
    context = {
        "page": page,
        "rows": rows,
        "groups": [(str(getattr(row, _COLUMNS[chosen.by], "")), row) for row in rows] if chosen.by else [],
        "counts": counts,
        "chosen": chosen,
        "sort": chosen.sort,
        "chips": chosen.chips(request.GET, lists["device_names"].get(chosen.device, "one device")),
        **lists,
    }
    return render_page(request, "containers/list.html", "containers/partials/results.html", context)


def filter_lists(request: HttpRequest) -> dict[str, Any]:
    """What the filters offer. Two queries."""
    devices = list(
        Device.objects.visible_to(request.user).order_by("name").values_list("pk", "name", "groups")[:LONGEST_LIST]
    )
    projects = (
        Container.objects.visible_to(request.user)
        .present()
        .exclude(compose_project="")
        .order_by("compose_project")
        .values_list("compose_project", flat=True)
        .distinct()[:LONGEST_LIST]
    )
    return {
        "states": STATES,
        "healths": HEALTHS,
        "groupings": GROUPINGS,
        "device_names": {str(pk): name for pk, name, _groups in devices},
        "devices": [Choice(str(pk), name) for pk, name, _groups in devices],
        "device_groups": [Choice(name, name) for name in sorted({g for _pk, _name, groups in devices for g in groups})],
        "projects": [Choice(name, name) for name in projects],
    }
