"""Acts on images: name, remove, copy to other hosts, on one image or on several chosen ones."""

import uuid
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from containers import batches
from containers.errors import OperationRefused
from containers.filters import LONGEST_LIST
from containers.image_requests import image_item, pull_item
from containers.models import Container, Image
from containers.rules.image_names import NameProblemError, repository_reference
from containers.views.asking import KIND, ask_back, ids_of, refuse, start_all, start_one
from containers.views.image_filters import ImageFilter
from containers.views.images import find_image
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.roles import Right, can_operate
from ssm.lib.tables import text_of

_USERS_SHOWN: Final = 50
BULK_KINDS: Final = ("pull", "copy", "remove")


# ---- one image ---------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def tag(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Give the image another name. A name that another image of the host has moves only if that is agreed to."""
    image = find_image(request, pk, Right.OPERATE)
    typed = text_of(request.POST, "reference")
    error, holder, name = "", None, ""
    if request.method == "POST":
        try:
            name = repository_reference(typed)
        except NameProblemError as exc:
            error = str(exc)
        else:
            named = Image.objects.filter(device=image.device, repo_tags__contains=[name])
            holder = named.exclude(pk=image.pk).first()
    moves = "moves" in request.POST
    if request.method == "POST" and not error and (holder is None or moves):
        item = image_item(image, KIND.IMAGE_TAG, {"reference": name, "moves": moves})
        return start_one(request, item, back=image.get_absolute_url())
    context = {"image": image, "typed": typed, "error": error, "holder": holder}
    is_wrong = request.method == "POST"
    return ask_back(request, "images/partials/tag.html", context, title=f"Name {image.title}", is_wrong=is_wrong)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def remove(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Remove the image, or one name of it (``name``), after telling who uses it."""
    image = find_image(request, pk, Right.OPERATE)
    given = request.POST if request.method == "POST" else request.GET
    name = given.get("name", "")[:640]
    if name not in [*image.repo_tags, *image.repo_digests]:
        name = ""
    is_last = len(image.repo_tags) <= 1
    if request.method == "POST" and request.POST.get("confirmation") == "yes":
        force = "force" in request.POST
        names = [name] if name and not is_last else []
        item = image_item(image, KIND.IMAGE_REMOVE, {"names": names, "force": force})
        if request.POST.get("place") == "list":
            return start_all(request, [item], title=f"Remove {image.title}", back=reverse("images:list"))
        return start_one(request, item, back=image.get_absolute_url())
    users = (
        Container.objects.visible_to(request.user)
        .present()
        .filter(device=image.device, image_id=image.engine_id)
        .order_by("name")
        .only("name", "display_name", "state", "device_id")[:_USERS_SHOWN]
    )
    context = {
        "image": image,
        "name": name,
        "is_untag": bool(name) and not is_last,
        "users": list(users),
        "is_running": any(container.is_running for container in users),
        "place": given.get("place", ""),
    }
    return ask_back(request, "images/partials/remove.html", context, title=f"Remove {name or image.title}")


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def copy(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Copy the image to other hosts through SSM."""
    return _copy(request, [find_image(request, pk, Right.OPERATE)])


@dataclass(frozen=True, slots=True)
class Target:
    """A host that images may be copied to, and what speaks against it (empty: nothing)."""

    device: Device
    note: str
    is_possible: bool


def _copy(request: HttpRequest, images: list[Image]) -> HttpResponse:
    """Ask where to, then ask for a copy of each image on each target."""
    targets = _targets(request, images)
    possible = {target.device.pk: target.device for target in targets if target.is_possible}
    chosen = [possible[pk] for pk in ids_of(request.POST.getlist("target"), LONGEST_LIST) if pk in possible]
    is_sent = request.method == "POST" and "confirmation" in request.POST
    back = images[0].get_absolute_url() if len(images) == 1 else reverse("images:list")
    if is_sent and chosen:
        items = [
            image_item(image, KIND.IMAGE_COPY, _copied(image), device=device)
            for device in chosen
            for image in images
            if image.device_id != device.pk
        ]
        if len(items) == 1:
            return start_one(request, items[0], back=back)
        what = images[0].title if len(images) == 1 else f"{len(images)} images"
        title = f"Copy {what} to {chosen[0].name if len(chosen) == 1 else f'{len(chosen)} devices'}"
        return start_all(request, items, title=title, back=back, in_turn=True)
    context = {
        "images": images,
        "targets": targets,
        "size_bytes": sum(image.size_bytes or 0 for image in images),
        "error": "Choose at least one host." if is_sent else "",
        "address": request.path,
        "back": back,
    }
    title = f"Copy {images[0].title if len(images) == 1 else f'{len(images)} images'}"
    return ask_back(request, "images/partials/copy.html", context, title=title, is_wrong=is_sent)


def _copied(image: Image) -> dict[str, object]:
    return {"source": str(image.device_id), "names": image.repo_tags}


def _targets(request: HttpRequest, images: list[Image]) -> list[Target]:
    """Every host that the user may act on, with what speaks against copying there. Two queries."""
    devices = Device.objects.permitted(request.user, Right.OPERATE).order_by("name")[:LONGEST_LIST]
    wanted = {image.engine_id for image in images}
    having: dict[uuid.UUID, set[str]] = {}
    held = Image.objects.filter(engine_id__in=wanted).values_list("device_id", "engine_id")
    for device_id, engine_id in held:
        having.setdefault(device_id, set()).add(engine_id)
    sources = {image.device_id for image in images}
    found = []
    for device in devices:
        if sources == {device.pk}:
            continue
        if not device.is_online:
            found.append(Target(device, "not connected", is_possible=False))
        elif wanted <= having.get(device.pk, set()):
            found.append(Target(device, "has it already", is_possible=True))
        else:
            found.append(Target(device, _other_platform(device, images), is_possible=True))
    return found


# What engines call the architecture of their host, in the words of images.
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}


def _other_platform(device: Device, images: list[Image]) -> str:
    own = _ARCHITECTURES.get(device.architecture, device.architecture)
    others = sorted({image.architecture for image in images if image.architecture} - {own})
    return f"its CPU is {own}, the image is for {', '.join(others)}" if own and others else ""


# ---- several -----------------------------------------------------------------------------------------------


@require_POST
@allowed(can_operate)
def bulk(request: HttpRequest) -> HttpResponse:
    """Ask back as hard as the harm demands, then ask for the act (``kind``) on each of the chosen images."""
    kind = request.POST.get("kind", "")
    if kind not in BULK_KINDS:
        return HttpResponse("Unknown kind of operation.\n", status=400, content_type="text/plain")
    chosen = _chosen(request)
    back = reverse("images:list")
    if not chosen:
        return refuse(request, OperationRefused("None of the chosen images exists any more."), back=back)
    if len(chosen) > batches.MOST_ITEMS:
        most = f"{batches.MOST_ITEMS:,}"
        return refuse(
            request, OperationRefused(f"More than {most} images at once.", fix="Narrow the filters."), back=back
        )
    if kind == "copy":
        return _copy(request, chosen)
    if kind == "pull":
        return _pull_again(request, chosen, back)
    return _remove_all(request, chosen, back)


def _chosen(request: HttpRequest) -> list[Image]:
    """The chosen images that the user may act on, one more than allowed at most, by device and name."""
    images = Image.objects.permitted(request.user, Right.OPERATE)
    matching = request.POST.get("matching", "")[:2000]
    if matching:
        images = ImageFilter.read(QueryDict("" if matching == "all" else matching)).select(images)
    else:
        images = images.filter(pk__in=ids_of(request.POST.getlist("image"), batches.MOST_ITEMS + 1))
    rows = images.for_page().order_by("device__name", "device", "name", "pk")
    return list(rows[: batches.MOST_ITEMS + 1])


def _pull_again(request: HttpRequest, chosen: list[Image], back: str) -> HttpResponse:
    items = [pull_item(image.device, name) for image in chosen for name in image.repo_tags]
    if not items:
        refused = OperationRefused("None of them has a tag that could be pulled.", fix="Choose images with a name.")
        return refuse(request, refused, back=back)
    count = len(items)
    return start_all(request, items, title=f"Pull {count} image{'s' if count != 1 else ''}", back=back)


def _remove_all(request: HttpRequest, chosen: list[Image], back: str) -> HttpResponse:
    """Removal of several: on more than one host the act has to be typed."""
    devices = {image.device_id for image in chosen}
    phrase = f"remove {len(chosen)}" if len(devices) > 1 else ""
    is_asked = "confirmation" in request.POST
    is_wrong = is_asked and request.POST["confirmation"].strip() != (phrase or "yes")
    count = f"{len(chosen)} image{'s' if len(chosen) != 1 else ''}"
    if is_asked and not is_wrong:
        parameters = {"names": [], "force": "force" in request.POST}
        items = [image_item(image, KIND.IMAGE_REMOVE, parameters) for image in chosen]
        return start_all(request, items, title=f"Remove {count}", back=back)
    context = {
        "chosen": chosen,
        "count": count,
        "by_device": [(device, list(rows)) for device, rows in groupby(chosen, lambda image: image.device)],
        "device_count": len(devices),
        "used_count": sum(bool(getattr(image, "container_count", 0)) for image in chosen),
        "phrase": phrase,
        "is_wrong": is_wrong,
        "back": back,
    }
    return ask_back(request, "images/partials/bulk_remove.html", context, title=f"Remove {count}", is_wrong=is_wrong)
