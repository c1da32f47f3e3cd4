"""Removing unused volumes: what would go and how many bytes that frees, then exactly that."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from containers.filters import id_of
from containers.views.asking import start_all
from containers.views.volume_acts import MANAGE, device_choices, go_to
from containers.volume_prunes import HostPreview, previews, prune_item, stamp_of
from containers.volume_requests import request_prune
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.tables import Choice, choice_of

SCOPES: Final = (
    Choice("anonymous", "Anonymous: made for a container that is gone"),
    Choice("unused", "All that no container uses"),
)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def prune(request: HttpRequest) -> HttpResponse:
    """GET shows what would go; POST asks for it, if it is still the same that was shown."""
    given = request.POST if request.method == "POST" else request.GET
    scope = choice_of(given, "scope", [choice.value for choice in SCOPES]) or "anonymous"
    device_id = id_of(given, "device")
    choices = device_choices(request)
    devices = [device for device in choices if device.is_online and device_id in ("", str(device.pk))]
    hosts = previews(devices, scope)
    count = sum(len(host.volumes) for host in hosts)
    stamp = stamp_of(hosts)
    # Whatever the number of hosts: what dies here is data.
    phrase = f"remove {count}"
    error = ""
    if request.method == "POST":
        if not hosts:
            error = "There is nothing to remove any more."
        elif request.POST.get("stamp") != stamp:
            error = "What would be removed has changed meanwhile: look at it again."
        elif request.POST.get("confirmation", "").strip() != phrase:
            error = f"That is not “{phrase}”."
        else:
            return _start(request, hosts, count)
    context = {
        "hosts": hosts,
        "count": count,
        "size_bytes": sum(host.size_bytes for host in hosts),
        "unsafe_count": sum(host.unsafe_count for host in hosts),
        "scope": scope,
        "scopes": SCOPES,
        "device": device_id,
        "devices": [Choice(str(device.pk), device.name) for device in choices],
        "stamp": stamp,
        "phrase": phrase,
        "error": error,
    }
    if error:
        return render(request, "volumes/prune.html", context, status=422)
    return render_page(request, "volumes/prune.html", "volumes/partials/prune.html", context)


def _start(request: HttpRequest, hosts: list[HostPreview], count: int) -> HttpResponse:
    if len(hosts) == 1:
        names = [volume.name for volume in hosts[0].volumes]
        return go_to(request, request_prune(request.user, hosts[0].device, names).get_absolute_url())
    items = [prune_item(host) for host in hosts]
    title = f"Remove {count} unused volumes on {len(items)} devices"
    return start_all(request, items, title=title, back=request.path)
