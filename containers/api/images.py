"""Images: listed, looked at, pulled, named, copied, removed; unused ones removed after a preview."""

import uuid
from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from containers.api.asking import Asked, ask_any, ask_one, connected_devices, devices_for, require_preview
from containers.api.idempotency import idempotent
from containers.api.inventory import CREATED, SIZE, SORTS, OnDevice
from containers.api.schemas import Named, OperationEntry, Place
from containers.batches import MOST_ITEMS
from containers.image_requests import KIND, image_item, previews, prune_item, pull_item, stamp_of
from containers.models import Container, Image
from containers.rules.image_names import NameProblemError, pullable_reference, repository_reference
from devices.models import Device
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.forms import Text
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["images"])
_MOST_USERS = 1000


class ImageFilter(OnDevice):
    """Which images; all that are given must hold."""

    use: Literal["", "used", "unused", "running", "dangling"] = ""
    architecture: Text = Field("", max_length=40, examples=["arm64"])
    sort: Literal["name", "-name", "device", "-device", "size", "-size", "created", "-created"] = Field(
        "name", description="size and created: the largest and newest first."
    )


class ImageEntry(Schema):
    """An image in the store of a device's engine."""

    id: uuid.UUID
    device: Place
    engine_id: str
    tags: list[str] = Field(examples=[["nginx:1.27"]])
    digests: list[str]
    os: str
    architecture: str
    size_bytes: int | None
    shared_bytes: int | None = Field(description="Of its size, what other images of the host hold too.")
    created_at: datetime | None
    containers: int = Field(description="Containers that were created from it.")

    @classmethod
    def of(cls, image: Image) -> "ImageEntry":
        """From its row with the device and users."""
        return cls(**_entry(image))


class ImageDetail(ImageEntry):
    """All of an image."""

    labels: dict[str, Any]
    config: dict[str, Any] = Field(description="Command, user, ports, volumes …; values of variables are left out.")
    history: list[dict[str, Any]] | None = Field(description="Its layers, the newest first; null: not read yet.")
    users: list[Named]


class ImagePage(Schema):
    """Some images, and where the next page begins."""

    items: list[ImageEntry]
    next: str


class Pull(Schema):
    """What to pull where."""

    model_config = ConfigDict(extra="forbid")

    reference: str = Field(max_length=1024, examples=["nginx:1.27"])
    device: uuid.UUID
    platform: str = Field("", max_length=60, description="Such as linux/arm64; the host's own when empty.")


class NewTag(Schema):
    """Another name for an image."""

    model_config = ConfigDict(extra="forbid")

    reference: str = Field(max_length=1024, examples=["registry.example.com/web:1"])
    moves: bool = Field(False, description="Also when another image of the host has this name, which loses it.")


class Removal(Schema):
    """How to remove an image."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=640, description="Only this name of it; the image goes with its last one.")
    force: bool = Field(False, description="Also while stopped containers use it.")


class Copies(Schema):
    """Where to copy an image to, through SSM."""

    model_config = ConfigDict(extra="forbid")

    devices: list[uuid.UUID] = Field(min_length=1, max_length=MOST_ITEMS)


class ImagePruneQuery(Schema):
    """Which images would go."""

    scope: Literal["dangling", "unused"] = Field("dangling", description="Without a tag; or all that nothing uses.")
    older_than_days: Literal["", "1", "7", "30", "180"] = ""
    device: uuid.UUID | None = None
    group: Text = Field("", max_length=50)


class ImagePruneOrder(ImagePruneQuery):
    """Which images to remove: the answer to the preview, so that nothing else goes."""

    model_config = ConfigDict(extra="forbid")

    stamp: str = Field(max_length=64, description="That of the preview.")


class ImagePrunedHost(Schema):
    """What goes from one host."""

    device: Place
    count: int
    size_bytes: int = Field(description="What that frees, as far as it is known.")
    names: list[str] = Field(description="The first thousand.")


class ImagePrune(Schema):
    """What would go."""

    stamp: str = Field(description="Names exactly this; to be sent with the order.")
    count: int
    size_bytes: int
    hosts: list[ImagePrunedHost]


@router.get("", response=answers(ImagePage), operation_id="images_list")
@needs(Right.SEE)
def images_list(request: HttpRequest, filters: Query[ImageFilter], paging: Query[Paging]) -> Any:
    """Images on all devices."""
    rows = filters.of(Image.objects.visible_to(request.user)).for_page()
    rows = rows.annotate(size_order=SIZE, created_order=CREATED)
    if filters.architecture:
        rows = rows.filter(architecture=filters.architecture)
    if filters.use == "dangling":
        rows = rows.filter(repo_tags=[])
    elif filters.use:
        rows = {"used": rows.used, "unused": rows.unused, "running": rows.running}[filters.use]()
    return page(rows, SORTS, filters.sort, paging).shown(ImageEntry.of)


@router.post("/pull", response=answers(OperationEntry, 202), operation_id="images_pull")
@needs(Right.OPERATE)
@idempotent
def images_pull(request: HttpRequest, order: Pull) -> Any:
    """Pull an image on a device, with the credentials of the registry's account."""
    device = get_object_or_404(Device.objects.permitted(request.user, Right.OPERATE), pk=order.device)
    try:
        name = pullable_reference(order.reference)
    except NameProblemError as exc:
        raise FieldProblem({"reference": str(exc)}) from exc
    return ask_one(request, pull_item(device, name, order.platform))


@router.get("/prune", response=answers(ImagePrune), operation_id="images_prune_preview")
@needs(Right.OPERATE)
def images_prune_preview(request: HttpRequest, query: Query[ImagePruneQuery]) -> Any:
    """What removing unused images would take from the hosts that are connected."""
    hosts = _previews(request, query)
    told = [
        ImagePrunedHost(
            device=Place(id=host.device.pk, name=host.device.name),
            count=len(host.images),
            size_bytes=host.freed.size_bytes,
            names=[image.title for image in host.images[:1000]],
        )
        for host in hosts
    ]
    return ImagePrune(
        stamp=stamp_of(hosts),
        count=sum(host.count for host in told),
        size_bytes=sum(host.size_bytes for host in told),
        hosts=told,
    )


@router.post("/prune", response=answers(Asked, 202), operation_id="images_prune")
@needs(Right.OPERATE)
@idempotent
def images_prune(request: HttpRequest, order: ImagePruneOrder) -> Any:
    """Remove exactly what the preview with this stamp told, as far as it is still unused."""
    hosts = _previews(request, order)
    require_preview(hosts, stamp_of(hosts), order.stamp)
    count = sum(len(host.images) for host in hosts)
    title = f"Remove {count} unused images on {len(hosts)} devices"
    return ask_any(request, [prune_item(host) for host in hosts], title)


def _previews(request: HttpRequest, query: ImagePruneQuery) -> Any:
    devices = connected_devices(request, Right.OPERATE, device=query.device, group=query.group)
    return previews(list(devices.order_by("name")), query.scope, query.older_than_days)


@router.get("/{uuid:pk}", response=answers(ImageDetail), operation_id="images_get")
@needs(Right.SEE)
def images_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One image with its layers, and who uses it."""
    rows = Image.objects.visible_to(request.user).select_related("device").defer("layers").with_users()
    image = get_object_or_404(rows, pk=pk)
    users = Container.objects.visible_to(request.user).present().filter(device=image.device, image_id=image.engine_id)
    config = {name: value for name, value in (image.config or {}).items() if name != "variables"}
    return ImageDetail(
        **_entry(image),
        labels=image.labels,
        config=config,
        history=image.history,
        users=[
            Named(id=row.pk, name=row.name) for row in users.order_by("name").only("name", "device_id")[:_MOST_USERS]
        ],
    )


@router.post("/{uuid:pk}/tag", response=answers(OperationEntry, 202), operation_id="images_tag")
@needs(Right.OPERATE)
@idempotent
def images_tag(request: HttpRequest, pk: uuid.UUID, order: NewTag) -> Any:
    """Give it another name. A name that another image of the host has moves only if that is agreed to (`moves`)."""
    image = _operable(request, pk)
    try:
        name = repository_reference(order.reference)
    except NameProblemError as exc:
        raise FieldProblem({"reference": str(exc)}) from exc
    holders = Image.objects.filter(device=image.device, repo_tags__contains=[name]).exclude(pk=image.pk)
    if not order.moves and holders.exists():
        raise FieldProblem({"moves": f"Another image on {image.device.name} has this name, and would lose it."})
    return ask_one(request, image_item(image, KIND.IMAGE_TAG, {"reference": name, "moves": order.moves}))


@router.post("/{uuid:pk}/remove", response=answers(OperationEntry, 202), operation_id="images_remove")
@needs(Right.OPERATE)
@idempotent
def images_remove(request: HttpRequest, pk: uuid.UUID, order: Removal | None = None) -> Any:
    """Remove it, or one name of it. The engine refuses while a running container uses it."""
    image, order = _operable(request, pk), order or Removal(name="", force=False)
    if order.name and order.name not in [*image.repo_tags, *image.repo_digests]:
        raise FieldProblem({"name": "The image has no such name."})
    names = [order.name] if order.name and len(image.repo_tags) > 1 else []
    return ask_one(request, image_item(image, KIND.IMAGE_REMOVE, {"names": names, "force": order.force}))


@router.post("/{uuid:pk}/copy", response=answers(Asked, 202), operation_id="images_copy")
@needs(Right.OPERATE)
@idempotent
def images_copy(request: HttpRequest, pk: uuid.UUID, order: Copies) -> Any:
    """Copy it to other devices, through SSM; where it is already, that is told and nothing is sent."""
    image = _operable(request, pk)
    chosen = [device for device in devices_for(request, order.devices, Right.OPERATE) if device.pk != image.device_id]
    if not chosen:
        raise FieldProblem({"devices": "Name other devices than its own."})
    parameters = {"source": str(image.device_id), "names": image.repo_tags}
    items = [image_item(image, KIND.IMAGE_COPY, parameters, device=device) for device in chosen]
    return ask_any(request, items, f"Copy {image.title} to {len(items)} devices", in_turn=True)


def _operable(request: HttpRequest, pk: uuid.UUID) -> Image:
    return get_object_or_404(Image.objects.permitted(request.user, Right.OPERATE).for_page(), pk=pk)


def _entry(image: Image) -> dict[str, Any]:
    copied = ("engine_id", "os", "architecture", "size_bytes", "shared_bytes", "created_at")
    return {
        "id": image.pk,
        "device": Place(id=image.device_id, name=image.device.name),
        "tags": image.repo_tags,
        "digests": image.repo_digests,
        "containers": getattr(image, "container_count", 0),
        **{name: getattr(image, name) for name in copied},
    }
