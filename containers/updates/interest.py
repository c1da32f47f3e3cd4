"""What registries have to be asked for some containers: one entry for each repository, however many use it."""

from collections.abc import Iterable, Iterator

from containers.models import Image
from containers.querysets import UpdateStatusQuerySet
from containers.rules.image_facts import image_id
from registries.services import Pair, Wanted

_CHUNK = 1000


def wanted_for(statuses: UpdateStatusQuerySet) -> Iterator[Wanted]:
    """Repositories with the tags that the answers depend on, and the digests that hosts run.

    Images that were built locally, what is not watched and what names no repository ask for nothing.
    """
    tags: dict[Pair, set[str]] = {}
    lists: set[Pair] = set()
    digests: dict[Pair, set[str]] = {}
    rows = (
        statuses.present()
        .exclude(lookups=[])
        .exclude(repository="")
        .values_list(
            "registry", "repository", "lookups", "needs_tag_list", "container__device_id", "container__image_id"
        )
    )
    images: dict[tuple[object, str], set[Pair]] = {}
    for registry, repository, lookups, needs_tag_list, device_id, used in rows.iterator(_CHUNK):
        pair = (registry, repository)
        tags.setdefault(pair, set()).update(lookups)
        if needs_tag_list:
            lists.add(pair)
        images.setdefault((device_id, image_id(used)), set()).add(pair)
    for owner, engine_id, repo_digests in _images(images):
        for pair in images.get((owner, engine_id), ()):
            digests.setdefault(pair, set()).update(
                entry.partition("@")[2] for entry in repo_digests if entry.count("@") == 1
            )
    for pair, names in tags.items():
        yield Wanted(
            registry=pair[0],
            repository=pair[1],
            tags=frozenset(names),
            needs_tag_list=pair in lists,
            local_digests=frozenset(digests.get(pair, ())),
        )


def _images(used: Iterable[tuple[object, str]]) -> Iterator[tuple[object, str, list[str]]]:
    keys = sorted({engine_id for _device, engine_id in used if engine_id})
    for start in range(0, len(keys), _CHUNK):
        found = Image.objects.filter(engine_id__in=keys[start : start + _CHUNK])
        yield from found.values_list("device_id", "engine_id", "repo_digests").iterator(_CHUNK)
