"""The filters of the list of images, as its address holds them."""

from dataclasses import dataclass
from typing import Any, Final, Self

from django.db.models import Count, F, Q, Sum
from django.http import HttpRequest, QueryDict

from containers.filters import LONGEST_LIST, id_of
from containers.models import Image
from containers.querysets import ImageQuerySet
from devices.models import Device
from ssm.lib.tables import Chip, Choice, chips, choice_of, order_by, sort_of, text_of

USES: Final = (
    Choice("used", "Used by a container"),
    Choice("running", "Used by a running one"),
    Choice("unused", "Unused"),
    Choice("dangling", "Dangling (no tag)"),
)
GROUPINGS: Final = (Choice("device", "By device"), Choice("image", "By image"))
_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "device__name"),
    "device": ("device__name", "name"),
    "size": ("name", "device__name"),
    "shared": ("name", "device__name"),
    "age": ("name", "device__name"),
    "users": ("name", "device__name"),
}
_RANKS: Final = {
    "size": F("size_bytes"),
    "shared": F("shared_bytes"),
    "age": F("created_at"),
    "users": F("container_count"),
}


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """What the list shows; empty fields filter nothing. ``device`` is an id, ``group`` a label of devices."""

    q: str
    use: str
    device: str
    group: str
    platform: str
    by: str
    sort: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            use=choice_of(query, "use", (choice.value for choice in USES)),
            device=id_of(query, "device"),
            group=text_of(query, "group"),
            platform=text_of(query, "platform"),
            by=choice_of(query, "by", (choice.value for choice in GROUPINGS)),
            sort=sort_of(query, _SORTS, "name"),
        )

    def select(self, images: ImageQuerySet) -> ImageQuerySet:
        """The images that pass, unsorted."""
        if self.q:
            found = Q(repo_tags__icontains=self.q) | Q(name__icontains=self.q) | Q(device__name__icontains=self.q)
            identity = self.q.lower().removeprefix("sha256:")
            found |= Q(engine_id__startswith=f"sha256:{identity}") | Q(repo_digests__icontains=self.q)
            images = images.filter(found)
        if self.device:
            images = images.filter(device__pk=self.device)
        if self.group:
            images = images.filter(device__groups__contains=[self.group])
        if self.platform:
            images = images.filter(architecture=self.platform)
        if self.use == "used":
            return images.used()
        if self.use == "unused":
            return images.unused()
        if self.use == "running":
            return images.running()
        return images.filter(repo_tags=[]) if self.use == "dangling" else images

    def order(self, images: ImageQuerySet) -> ImageQuerySet:
        """Sorted, groups first; the id last, so that equal rows never swap pages."""
        first = {"device": ["device__name", "device"], "image": ["name"]}.get(self.by, [])
        return images.order_by(*first, *order_by(self.sort, _SORTS, _RANKS), "pk")

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        words = {choice.value: choice.text for choice in USES}
        active = [
            ("q", "Search", self.q),
            ("use", "Use", words.get(self.use, "")),
            ("device", "Device", device_name if self.device else ""),
            ("group", "Group", self.group),
            ("platform", "Platform", self.platform),
        ]
        return chips(query, active)


@dataclass(frozen=True, slots=True)
class ImageGroup:
    """How many images a group has, and their bytes together (None: not known of any)."""

    total: int
    size_bytes: int | None


def group_sums(images: ImageQuerySet, by: str, keys: set[str]) -> dict[str, ImageGroup]:
    """Sums of the groups with these keys (device ids or names) among the given images. One query."""
    column = "device" if by == "device" else "name"
    rows = (
        Image.objects.filter(pk__in=images.order_by().values("pk"), **{f"{column}__in": keys})
        .order_by()
        .values_list(column)
        .annotate(total=Count("pk"), size=Sum("size_bytes"))
    )
    return {str(key): ImageGroup(total, size) for key, total, size in rows}


def image_lists(request: HttpRequest) -> dict[str, Any]:
    """What the filters offer. Two queries."""
    devices = list(
        Device.objects.visible_to(request.user).order_by("name").values_list("pk", "name", "groups")[:LONGEST_LIST]
    )
    platforms = (
        Image.objects.visible_to(request.user)
        .exclude(architecture="")
        .order_by("architecture")
        .values_list("architecture", flat=True)
        .distinct()[:LONGEST_LIST]
    )
    return {
        "uses": USES,
        "groupings": GROUPINGS,
        "device_names": {str(pk): name for pk, name, _groups in devices},
        "devices": [Choice(str(pk), name) for pk, name, _groups in devices],
        "device_groups": [Choice(name, name) for name in sorted({g for _pk, _name, groups in devices for g in groups})],
        "platforms": [Choice(name, name) for name in platforms],
    }
