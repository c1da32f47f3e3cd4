"""The containers of all hosts by what they use: CPU, memory, network or disk I/O, the most first."""

from typing import Final

from django.db.models import F
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from containers.filters import FleetFilter
from containers.models import Container
from containers.views.fleet import filter_lists
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_view
from ssm.lib.tables import order_by, page_of, sort_of

_DEFAULT: Final = "cpu"
_COLUMNS: Final = {name: ("name", "device__name") for name in ("cpu", "memory", "network", "block", "pids")}
_RANKS: Final = {
    "cpu": F("usage__cpu_percent"),
    "memory": F("usage__memory_bytes"),
    "network": F("network_bytes_per_s"),
    "block": F("block_bytes_per_s"),
    "pids": F("usage__pids"),
}


def _sum(first: str, second: str) -> Coalesce:
    """Both together, or the one that is known."""
    return Coalesce(F(first) + F(second), F(first), F(second))


@require_GET
@allowed(can_view)
def top(request: HttpRequest) -> HttpResponse:
    """One page of the running containers that pass the filters, ranked. The number of queries is always the same."""
    chosen = FleetFilter.read(request.GET)
    sort = sort_of(request.GET, _COLUMNS, _DEFAULT)
    running = Container.objects.visible_to(request.user).present().filter(state=Container.State.RUNNING)
    ranked = (
        chosen.select(running)
        .with_usage()
        .annotate(
            network_bytes_per_s=_sum("usage__network_received_bytes_per_s", "usage__network_sent_bytes_per_s"),
            block_bytes_per_s=_sum("usage__block_read_bytes_per_s", "usage__block_written_bytes_per_s"),
        )
        .order_by(*order_by(sort, _COLUMNS, _RANKS), "pk")
    )
    lists = filter_lists(request)
    context = {
        "page": page_of(request, ranked),
        "chosen": chosen,
        "sort": sort,
        "chips": chosen.chips(request.GET, lists["device_names"].get(chosen.device, "one device")),
        **lists,
    }
    return render_page(request, "statistics/top.html", "statistics/partials/top.html", context)
