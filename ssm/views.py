"""Pages that belong to no app: home, the search of Ctrl+K, and those of errors."""

from typing import Any, Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views import defaults
from django.views.decorators.http import require_GET

from containers.counts import fleet_counts, full_hosts
from containers.filters import RECENT
from containers.models import Container, Operation
from devices.models import Device, now
from registries.models import Origin
from ssm.lib.access import allowed
from ssm.lib.database import database_work
from ssm.lib.log_context import current_context
from ssm.lib.roles import Right, can, can_administer, can_view
from ssm.lib.tables import text_of

# Longer lists of what needs somebody end in a link to the filtered table.
_FIRST: Final = 10
_FOUND: Final = 8


# The pages of errors show the frame, which reads the database, and Django renders them in threads that it never
# tidies up: without this each would keep its connection, and a dead one after PostgreSQL was restarted.


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The page for what the user's role does not allow."""
    with database_work():
        return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The page for what is not there, or is not for this user's eyes."""
    with database_work():
        return defaults.page_not_found(request, exception)


def server_error(_request: HttpRequest) -> HttpResponse:
    """The page for a fault of SSM; it names the request, by which its log tells more. Asks no store."""
    known = current_context().get("request")
    where = f", at request={known}" if known else ""
    text = f"The server failed to answer; its log says why{where}. Nothing is half done: what was begun is in Activity."
    return HttpResponse(render_to_string("500.html", {"text": text}), status=500)


@require_GET
@allowed(can_view)
def home(request: HttpRequest) -> HttpResponse:
    """What needs somebody, then how many of what."""
    user = request.user
    failed = Operation.objects.visible_to(user).filter(state__in=["failed", "lost"], created_at__gte=now() - RECENT)
    looked_at = Container.objects.visible_to(user).needing_action().for_page().order_by("-changed_at", "pk")
    counts = fleet_counts(user)
    context = {
        "counts": counts,
        # Counted once for the page and its frame.
        "navigation": counts.for_navigation,
        "devices": Device.objects.visible_to(user)
        .filter(state=Device.State.UNREACHABLE)
        .order_by("-state_since")[:_FIRST],
        "full_hosts": full_hosts(user, _FIRST),
        "containers": looked_at[:_FIRST],
        "operations": failed.select_related("device")[:_FIRST],
        "failing_registries": Origin.objects.visible_to(user)
        .failing()
        .select_related("account")
        .defer("account__secrets", "account__client_key")[:_FIRST],
    }
    return render(request, "home/index.html", context)


@require_GET
@allowed(can_view)
def search(request: HttpRequest) -> JsonResponse:
    """Devices, containers and pages whose name holds ``q``, for the palette: eight of each at most."""
    q = text_of(request.GET, "q")
    devices = Device.objects.visible_to(request.user).filter(Q(name__icontains=q) | Q(address__icontains=q))
    named = Q(name__icontains=q) | Q(display_name__icontains=q) | Q(image_reference__icontains=q)
    containers = Container.objects.visible_to(request.user).present().filter(named).select_related("device")
    groups = [
        {"title": "Pages", "items": [page for page in _pages(request) if q.lower() in page["title"].lower()]},
        {
            "title": "Containers",
            "items": [
                _item(row.title, row.device.name, row.get_absolute_url(), "box")
                for row in containers.only("name", "display_name", "device__name").order_by("name", "pk")[:_FOUND]
            ],
        },
        {
            "title": "Devices",
            "items": [
                _item(row.name, row.address, row.get_absolute_url(), "server")
                for row in devices.order_by("name")[:_FOUND]
            ],
        },
    ]
    return JsonResponse({"groups": groups[1:] + groups[:1] if q else groups})


def _item(title: str, detail: str, url: str, icon: str) -> dict[str, str]:
    return {"title": title, "detail": detail, "url": url, "icon": icon}


def _pages(request: HttpRequest) -> list[dict[str, Any]]:
    pages = [
        _item("Home", "", reverse("home"), "house"),
        _item("Devices", "", reverse("devices:list"), "server"),
        _item("Containers", "", reverse("containers:list"), "box"),
        _item("Containers that need attention", "", reverse("containers:list") + "?state=attention", "triangle-alert"),
        _item("Top: what uses most", "", reverse("containers:top"), "chart-line"),
        _item("Images", "", reverse("images:list"), "layers"),
        _item("Unused images", "", reverse("images:list") + "?use=unused", "layers"),
        _item("Networks", "", reverse("networks:list"), "network"),
        _item("Map of networks", "Which containers meet where", reverse("networks:map"), "git-branch"),
        _item("Ports in use", "", reverse("networks:ports"), "list-tree"),
        _item("Registries", "", reverse("registries:list"), "warehouse"),
        _item("Logs", "Several containers as one", reverse("logs:merged"), "scroll-text"),
        _item("Search in logs", "", reverse("logs:find"), "search"),
        _item("Activity", "", reverse("activity"), "activity"),
    ]
    if can_administer(request.user):
        pages.append(_item("Add a device", "", reverse("devices:add"), "plus"))
        pages.append(_item("Devices as a file", "Export and import", reverse("devices:transfer"), "server"))
    if can(request.user, Right.MANAGE_REGISTRIES):
        pages.append(_item("Add a registry account", "", reverse("registries:add"), "plus"))
        pages.append(_item("Registries as a file", "Export and import", reverse("registries:transfer"), "warehouse"))
    if can(request.user, Right.MANAGE_USERS):
        pages.append(_item("Status", "Of SSM itself", reverse("status"), "monitor"))
    return pages
