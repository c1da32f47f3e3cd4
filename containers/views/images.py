"""Pages of images: the list over all hosts, one image, and those of one device."""

import uuid
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from containers.image_sync import refresh_image
from containers.models import Container, Image, Operation
from containers.rules.image_layers import HistoryStep, Instruction, instruction
from containers.updates.image_tags import ask_about, tag_standings
from containers.views.image_filters import ImageFilter, group_sums, image_lists
from devices.connections import pool
from devices.errors import DeviceError
from devices.models import Device
from devices.services import connection_target
from ssm.lib.access import allowed, is_about
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import Right, can_operate, can_view
from ssm.lib.tables import page_of

_COLUMNS: Final = {"device": "device_id", "image": "name"}
_USERS_SHOWN: Final = 100
_ELSEWHERE_SHOWN: Final = 50
_LATEST: Final = 8


@require_GET
@allowed(can_view)
def image_list(request: HttpRequest) -> HttpResponse:
    """One page of the images that pass the filters. The number of queries does not depend on the rows."""
    chosen = ImageFilter.read(request.GET)
    return render_page(request, "images/list.html", "images/partials/results.html", _listed(request, chosen))


def _listed(request: HttpRequest, chosen: ImageFilter) -> dict[str, Any]:
    visible = Image.objects.visible_to(request.user)
    selected = chosen.select(visible)
    page = page_of(request, chosen.order(selected.for_page()))
    rows = list(page)
    sums = {}
    if chosen.by and rows:
        sums = group_sums(selected, chosen.by, {str(getattr(row, _COLUMNS[chosen.by])) for row in rows})
    lists = image_lists(request)
    return {
        "page": page,
        "rows": rows,
        "groups": [(str(getattr(row, _COLUMNS[chosen.by])), row) for row in rows] if chosen.by else [],
        "sums": sums,
        "chosen": chosen,
        "sort": chosen.sort,
        "chips": chosen.chips(request.GET, lists["device_names"].get(chosen.device, "one device")),
        **lists,
    }


@require_GET
@allowed(can_view)
def device_images(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The images of one device, as a tab of its page."""
    devices = Device.objects.visible_to(request.user).select_related("credential", "usage")
    device = get_object_or_404(devices, pk=pk)
    query = request.GET.copy()
    query["device"] = str(device.pk)
    context = _listed(request, ImageFilter.read(query))
    context["chips"] = [chip for chip in context["chips"] if chip.name != "Device"]
    context |= {"device": device, "tab": "images"}
    return render_page(request, "images/device.html", "images/partials/results.html", context)


def find_image(request: HttpRequest, pk: uuid.UUID, right: Right = Right.SEE) -> Image:
    """The image with its device, if the user holds the right on it; else 404."""
    images = Image.objects.permitted(request.user, right).select_related("device__credential").with_users()
    return is_about(request, get_object_or_404(images, pk=pk))


class Step(NamedTuple):
    """A step of how an image was built, for the page."""

    instruction: Instruction
    size_bytes: int
    created_at: datetime | None
    comment: str


@require_GET
@allowed(can_view)
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One image: its names and who uses it, its layers, its configuration, where else it is.

    With ``?part=layers`` its layers alone, asked from the host if they were not read yet.
    """
    image = find_image(request, pk)
    if request.GET.get("part") == "layers":
        return _layers(request, image)
    users = (
        Container.objects.visible_to(request.user)
        .present()
        .filter(device=image.device, image_id=image.engine_id)
        .select_related("device")
        .defer("inspect", "environment")
        .order_by("name")
    )
    same = Q(engine_id=image.engine_id)
    if image.name:
        same |= Q(name=image.name)
    elsewhere = Image.objects.visible_to(request.user).exclude(pk=image.pk).filter(same).for_page()
    operations = Operation.objects.visible_to(request.user).filter(
        device=image.device, object_kind=Operation.ObjectKind.IMAGE, engine_id__in=[image.engine_id, *image.repo_tags]
    )
    context = {
        "image": image,
        "standings": tag_standings(image),
        "users": users[:_USERS_SHOWN],
        "elsewhere": elsewhere.order_by("device__name", "pk")[:_ELSEWHERE_SHOWN],
        "steps": _steps(image),
        "config": image.config,
        "labels": sorted(image.labels.items()),
        "operations": operations[:_LATEST],
    }
    return render_page(request, "images/detail.html", "images/detail.html", context)


def _layers(request: HttpRequest, image: Image) -> HttpResponse:
    """The layers; the host is asked when HTMX asks, as its answer may take."""
    context: dict[str, Any] = {"image": image}
    if image.history is None and is_partial(request):
        try:
            engine = pool.engine(connection_target(image.device))
            image = refresh_image(image.device, engine, image.engine_id) or image
        except DeviceError as error:
            context["error"] = error
    context |= {"image": image, "steps": _steps(image)}
    return render(request, "images/partials/layers.html", context)


def _steps(image: Image) -> list[Step]:
    """The steps, the first one first."""
    steps: list[HistoryStep] = image.history or []
    return [
        Step(
            instruction(step["created_by"]),
            step["size_bytes"],
            datetime.fromisoformat(step["created"]) if step["created"] else None,
            step["comment"],
        )
        for step in reversed(steps)
    ]


@require_POST
@allowed(can_operate)
def check(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Have the registries asked now whether newer images are behind the tags of this one."""
    image = find_image(request, pk, Right.OPERATE)
    if ask_about([image]):
        messages.success(request, "The registries are being asked: what they say appears beside the names.")
    else:
        messages.error(request, "It has no name that a registry could be asked about.")
    return redirect(image)
