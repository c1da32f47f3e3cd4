"""Removing unused images: what would go and how many bytes that frees, then exactly that."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from containers.filters import LONGEST_LIST, id_of
from containers.image_requests import HostPreview, previews, prune_item, stamp_of
from containers.rules.pruning import DANGLING, UNUSED
from containers.views.asking import start_all, start_one
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, can_operate
from ssm.lib.tables import Choice, choice_of, text_of

SCOPES: Final = (
    Choice(DANGLING, "Dangling: without a tag"),
    Choice(UNUSED, "All that no container uses"),
)
AGES: Final = (
    Choice("1", "Built more than a day ago"),
    Choice("7", "Built more than a week ago"),
    Choice("30", "Built more than 30 days ago"),
    Choice("180", "Built more than 180 days ago"),
)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def prune(request: HttpRequest) -> HttpResponse:
    """GET shows what would go; POST asks for it, if it is still the same that was shown."""
    given = request.POST if request.method == "POST" else request.GET
    scope = choice_of(given, "scope", [choice.value for choice in SCOPES]) or DANGLING
    age = choice_of(given, "age", [choice.value for choice in AGES])
    device_id, group = id_of(given, "device"), text_of(given, "group")
    permitted = Device.objects.permitted(request.user, Right.OPERATE)
    devices = permitted.filter(pk=device_id) if device_id else permitted
    if group:
        devices = devices.filter(groups__contains=[group])
    hosts = previews(list(devices.filter(state=Device.State.ONLINE).order_by("name")), scope, age)
    count = sum(len(host.images) for host in hosts)
    stamp = stamp_of(hosts)
    # Harm grows with the hosts, and with images that somebody gave a name to.
    phrase = f"remove {count}" if len(hosts) > 1 or scope == UNUSED else ""
    error = ""
    if request.method == "POST":
        if not hosts:
            error = "There is nothing to remove any more."
        elif request.POST.get("stamp") != stamp:
            error = "What would be removed has changed meanwhile: look at it again."
        elif request.POST.get("confirmation", "").strip() != (phrase or "yes"):
            error = f"That is not “{phrase}”."
        else:
            return _start(request, hosts, count)
    lists = list(permitted.order_by("name").values_list("pk", "name", "groups")[:LONGEST_LIST])
    context = {
        "hosts": hosts,
        "count": count,
        "size_bytes": sum(host.freed.size_bytes for host in hosts),
        "is_exact": all(host.freed.is_exact for host in hosts),
        "scope": scope,
        "scopes": SCOPES,
        "age": age,
        "ages": AGES,
        "device": device_id,
        "group": group,
        "devices": [Choice(str(pk), name) for pk, name, _groups in lists],
        "device_groups": [Choice(name, name) for name in sorted({g for _pk, _name, groups in lists for g in groups})],
        "stamp": stamp,
        "phrase": phrase,
        "error": error,
    }
    if error:
        return render(request, "images/prune.html", context, status=422)
    return render_page(request, "images/prune.html", "images/partials/prune.html", context)


def _start(request: HttpRequest, hosts: list[HostPreview], count: int) -> HttpResponse:
    items = [prune_item(host) for host in hosts]
    if len(items) == 1:
        return start_one(request, items[0], back=request.path)
    title = f"Remove {count} unused images on {len(items)} devices"
    return start_all(request, items, title=title, back=request.path)
