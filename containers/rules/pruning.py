"""Which images a prune takes away, and how many bytes that frees. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from containers.rules.image_layers import Layer, freed_bytes

DANGLING: Final = "dangling"
UNUSED: Final = "unused"


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image of one host as a prune looks at it; ``layers`` None: not known."""

    key: str
    tags: tuple[str, ...]
    size_bytes: int
    created_at: datetime | None
    is_used: bool
    layers: Sequence[Layer] | None


@dataclass(frozen=True, slots=True)
class Freed:
    """What a prune frees: exactly if the layers of all are known, else at most."""

    size_bytes: int
    is_exact: bool


def candidates(
    images: Iterable[StoredImage], scope: str, *, older_than: timedelta | None, moment: datetime
) -> list[StoredImage]:
    """Images that no container uses, running or not, the largest first; with ``dangling`` only those without a tag.

    ``older_than`` leaves out what was built later than that before ``moment``, and what is of unknown age.
    """
    limit = moment - older_than if older_than else None
    found = [
        image
        for image in images
        if not image.is_used
        and (scope == UNUSED or not image.tags)
        and (limit is None or (image.created_at is not None and image.created_at <= limit))
    ]
    return sorted(found, key=lambda image: (-image.size_bytes, image.tags, image.key))


def freed(removed: Sequence[StoredImage], kept: Sequence[StoredImage]) -> Freed:
    """What the removal of some images of a host frees, layers that stay not counted."""
    known = [image.layers for image in removed if image.layers is not None]
    unknown = sum(image.size_bytes for image in removed if image.layers is None)
    size = freed_bytes(known, [image.layers for image in kept if image.layers is not None])
    is_exact = all(image.layers is not None for image in [*removed, *kept])
    return Freed(size + unknown, is_exact)
