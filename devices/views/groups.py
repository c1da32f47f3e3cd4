"""The page of device groups: the log-in that devices of a group use when they have none of their own."""

from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, F, Func, TextField
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from devices.group_defaults import choose_default
from devices.models import Credential, Device, DeviceGroup
from ssm.lib.access import allowed
from ssm.lib.roles import can_administer

MOST_NAME: Final = 50


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group by its name: its devices, how many of them have no log-in of their own, and its default."""

    name: str
    device_count: int
    inheriting_count: int
    credential: Credential | None


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def group_list(request: HttpRequest) -> HttpResponse:
    """All groups with their default log-ins; a POST sets the one of ``name``."""
    if request.method == "POST":
        return _set_default(request)
    credentials = Credential.objects.visible_to(request.user).order_by("name")
    return render(request, "devices/groups.html", {"rows": _rows(request), "credentials": credentials})


def _rows(request: HttpRequest) -> list[GroupRow]:
    unnested = Func(F("groups"), function="unnest", output_field=TextField())
    devices = Device.objects.visible_to(request.user).order_by()
    names = devices.annotate(group=unnested).values("group")
    counts = {row["group"]: row["count"] for row in names.annotate(count=Count("pk"))}
    inheriting = {
        row["group"]: row["count"]
        for row in devices.filter(credential=None).annotate(group=unnested).values("group").annotate(count=Count("pk"))
    }
    defaults = {
        row.name: row.credential
        for row in DeviceGroup.objects.visible_to(request.user).select_related("credential")
        if row.credential is not None
    }
    return [
        GroupRow(name, counts.get(name, 0), inheriting.get(name, 0), defaults.get(name))
        for name in sorted({*counts, *defaults}, key=str.casefold)
    ]


def _set_default(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("name", "").strip()
    chosen = request.POST.get("credential", "")
    if not name or len(name) > MOST_NAME or "," in name or not name.isprintable():
        return HttpResponse("This is no name of a group.\n", status=400, content_type="text/plain")
    credential = None
    if chosen:
        try:
            credential = get_object_or_404(Credential.objects.visible_to(request.user), pk=chosen)
        except (ValueError, ValidationError) as exc:
            raise Http404 from exc
    choose_default(request, name, credential)
    if credential is None:
        messages.success(request, f"The group {name} has no default log-in any more.")
    else:
        messages.success(request, f"Devices of {name} without a log-in of their own use {credential.name}.")
    return redirect("devices:groups")
