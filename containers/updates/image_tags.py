"""Whether newer images are known behind the tags of an image on a host, from what registries told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from containers.models import Image
from registries.models import RepositoryKnowledge
from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference
from registries.services import Pair, Wanted, knowledge, want

State = Literal["current", "newer", "unknown", "failed"]
_MOST: Final = 30


@dataclass(frozen=True, slots=True)
class TagStanding:
    """One name of an image: whether its registry has another image under it by now.

    ``repository`` is None when no registry was asked about it yet; ``told_at`` when it last answered.
    """

    name: str
    state: State
    repository: RepositoryKnowledge | None
    told_at: datetime | None
    error: str = ""
    is_being_asked: bool = False


def tag_standings(image: Image) -> list[TagStanding]:
    """How each tag of the image stands. Two queries; nothing is asked of a registry."""
    references = {name: _reference(name) for name in image.repo_tags[:_MOST]}
    pairs = {(found.registry, found.repository) for found in references.values() if found is not None}
    known = knowledge(pairs) if pairs else {}
    return [_standing(image, name, found, known) for name, found in references.items()]


def _standing(
    image: Image, name: str, reference: ImageReference | None, known: dict[Pair, RepositoryKnowledge]
) -> TagStanding:
    repository = known.get((reference.registry, reference.repository)) if reference else None
    row = repository.tags_by_name.get(reference.tag or "") if repository and reference else None
    if repository is None or row is None:
        return TagStanding(name, "unknown", repository, None)
    is_asked = row.due_at is not None
    if row.error_code and not row.digest:
        return TagStanding(name, "failed", repository, row.attempted_at, row.error_message, is_asked)
    if not row.digest:
        return TagStanding(name, "unknown", repository, None, is_being_asked=is_asked)
    state: State = "current" if row.digest in _digests(image) else "newer"
    if state == "newer" and not image.repo_digests:
        # Built or loaded on the host: no registry knows it, so what the tag points to there is another matter.
        state = "unknown"
    return TagStanding(name, state, repository, row.checked_at, row.error_message, is_asked)


def _digests(image: Image) -> set[str]:
    """All that a registry may call this image: what it was pulled by, its manifest, its id in containerd's store."""
    pulled = {digest.rpartition("@")[2] for digest in image.repo_digests}
    return {*pulled, image.manifest_digest, image.engine_id} - {""}


def _reference(name: str) -> ImageReference | None:
    try:
        found = parse_reference(name)
    except InvalidReferenceError:
        return None
    return found if isinstance(found, ImageReference) else None


def ask_about(images: Sequence[Image]) -> int:
    """Have the registries asked now about the tags of these images; how many repositories that are."""
    wanted = [
        Wanted(
            registry=found.registry,
            repository=found.repository,
            tags=frozenset([found.tag]),
            needs_tag_list=False,
            local_digests=frozenset(digest for digest in _digests(image) if digest.startswith("sha256:")),
        )
        for image in images
        for found in map(_reference, image.repo_tags[:_MOST])
        if found is not None and found.tag
    ]
    return want(wanted, urgent=True, max_age=timedelta(0))
