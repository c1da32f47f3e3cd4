"""Which image an update leads to, and how its reference is written (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from containers.rules.specification import Specification
from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference

_COMPOSE: Final = "com.docker.compose."
# Compose compares it with the id of the image that its file names now.
COMPOSE_IMAGE: Final = f"{_COMPOSE}image"
_PROJECT: Final = f"{_COMPOSE}project"
_FILES: Final = f"{_COMPOSE}project.config_files"


class NoTargetError(ValueError):
    """The container's image has no name that a tag could be put to."""


@dataclass(frozen=True, slots=True)
class Target:
    """One image that a container may be updated to. ``change`` is major, minor, … or digest for the tag's new build."""

    tag: str
    change: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of a container's updates, in the words of its answer."""

    tag: str
    offered_tag: str
    change: str
    offered_digest: str
    in_major: str
    in_minor: str
    has_digest_update: bool
    remote_digest: str
    is_pulled: bool


def targets(offer: Offer) -> list[Target]:
    """What a container may be updated to, the offered one first; empty when there is nothing newer."""
    found = []
    if offer.offered_tag:
        found.append(Target(offer.offered_tag, offer.change, offer.offered_digest))
    for tag, change in ((offer.in_major, "minor"), (offer.in_minor, "patch")):
        if tag and tag not in {target.tag for target in found} | {offer.tag}:
            found.append(Target(tag, change))
    if offer.tag and (offer.has_digest_update or offer.is_pulled):
        found.append(Target(offer.tag, "digest", offer.remote_digest))
    return found


def retagged(written: str, fallback: ImageReference | None, target: Target) -> str:
    """The reference of a target, in the spelling that the container was created with.

    One that was pinned by a digest stays pinned, to the target's. ``fallback`` counts where an id was written.
    Raises NoTargetError.
    """
    try:
        parsed = parse_reference(written)
    except InvalidReferenceError:
        parsed = None
    if isinstance(parsed, ImageReference):
        name, is_pinned = _name_of(written), parsed.digest is not None
    elif fallback is not None:
        name, is_pinned = replace(fallback, tag=None, digest=None).familiar, False
    else:
        raise NoTargetError("It was created from an image without a name, so there is nothing to pull.")
    if is_pinned and not target.digest:
        raise NoTargetError(f"It is pinned to a digest, and that of {target.tag} is not known.")
    reference = f"{name}:{target.tag}" + (f"@{target.digest}" if is_pinned else "")
    try:
        parse_reference(reference)
    except InvalidReferenceError as exc:
        raise NoTargetError(str(exc)) from exc
    return reference


def _name_of(written: str) -> str:
    """Host and path as they were written."""
    name = written.partition("@")[0]
    before, colon, after = name.rpartition(":")
    return before if colon and "/" not in after else name


def with_image(specification: Specification, reference: str, image_id: str) -> Specification:
    """A specification for another image; what compose notes of it follows, or it would recreate needlessly."""
    found = specification.with_image(reference)
    labels = found.config.get("Labels")
    if isinstance(labels, Mapping) and COMPOSE_IMAGE in labels:
        found = replace(found, config={**found.config, "Labels": {**labels, COMPOSE_IMAGE: image_id}})
    return found


@dataclass(frozen=True, slots=True)
class Drift:
    """A compose project whose file does not know of an update; ``files`` as compose noted them."""

    project: str
    files: tuple[str, ...]


def drift_of(labels: Mapping[str, Any]) -> Drift | None:
    """The compose project that a container belongs to; None when compose did not make it."""
    project = labels.get(_PROJECT)
    if not isinstance(project, str) or not project:
        return None
    files = labels.get(_FILES)
    names = files.split(",") if isinstance(files, str) else []
    return Drift(project, tuple(name.strip() for name in names[:5] if name.strip()))
