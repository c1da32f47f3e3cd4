"""A registry's API over contents in memory, with the habits that tests choose."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.registries.servers.images import Built, build, digest_of
from tests.registries.servers.serving import Asked, Reply

_INDICES = ("index", "manifest.list")


@dataclass(slots=True)
class Repository:
    """Tags and the content that they and digests name."""

    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)


class Contents:
    """Answers the requests below ``/v2/``, log-in left to others.

    ``page_size`` 0 sends all tags at once. ``links``: relative, absolute, next_page (opaque) or none.
    """

    def __init__(self, *, page_size: int = 0, links: str = "relative") -> None:
        self.repositories: dict[str, Repository] = {}
        self.page_size = page_size
        self.links = links
        self.has_digest_header = True
        self.knows_head = True
        self.google_map = False

    def push(self, repository: str, tags: Iterable[str], built: Built | None = None) -> Built:
        """Store an image under these tags."""
        built = built or build(repository)
        store = self.repositories.setdefault(repository, Repository())
        for image in built.images:
            store.manifests[image.digest] = (image.manifest, image.media_type)
            store.blobs[image.config_digest] = image.config
        store.manifests[built.digest] = (built.content, built.media_type)
        for tag in tags:
            store.tags[tag] = built.digest
        return built

    def answer(self, asked: Asked) -> Reply:
        """The reply to a request that is allowed to read."""
        if asked.path in ("/v2", "/v2/"):
            return Reply.json({}, Docker_Distribution_Api_Version="registry/2.0")
        for mark, reader in (("/tags/list", self._tags), ("/manifests/", self._manifest), ("/blobs/", self._blob)):
            if mark in asked.path:
                name, _, rest = asked.path.removeprefix("/v2/").partition(mark)
                store = self.repositories.get(name)
                if store is None:
                    return problem(404, "NAME_UNKNOWN", "repository name not known to registry")
                return reader(asked, name, store, rest)
        return Reply(404)

    def _tags(self, asked: Asked, name: str, store: Repository, _rest: str) -> Reply:
        tags = sorted(store.tags)
        size = self.page_size or len(tags) or 1
        mark = asked.query.get("next_page") if self.links == "next_page" else asked.query.get("last")
        start = 0
        if mark:
            last = mark.removeprefix("opaque/").removesuffix("=") if self.links == "next_page" else mark
            start = tags.index(last) + 1
        page = tags[start : start + size]
        body: dict[str, Any] = {"name": name, "tags": page or None}
        if self.google_map:
            body["child"] = []
            body["manifest"] = {
                digest: {
                    "mediaType": store.manifests[digest][1],
                    "tag": [tag for tag in tags if store.tags[tag] == digest],
                    "timeCreatedMs": "1772366400000",
                    "timeUploadedMs": "1772370000000",
                }
                for digest in set(store.tags.values())
            }
        reply = Reply.json(body)
        if start + size < len(tags) and self.links != "none":
            target = f"/v2/{name}/tags/list?last={page[-1]}&n={size}"
            if self.links == "next_page":
                target = f"/v2/{name}/tags/list?next_page=opaque%2F{page[-1]}%3D&n=50"
            if self.links == "absolute":
                target = f"https://{asked.host}{target}"
            reply.headers.append(("Link", f'<{target}>; rel="next"'))
        return reply

    def _manifest(self, asked: Asked, _name: str, store: Repository, reference: str) -> Reply:
        found = store.manifests.get(store.tags.get(reference, reference))
        if found is None:
            return problem(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if asked.method == "HEAD" and not self.knows_head:
            return Reply(405)
        content, media_type = found
        if media_type not in asked.headers.get("accept", ""):
            text = "OCI index found, but accept header does not support OCI indexes"
            return problem(404, "MANIFEST_UNKNOWN", text)
        digest = digest_of(content)
        headers = [("Content-Type", media_type), ("Etag", f'"{digest}"')]
        if self.has_digest_header:
            headers.append(("Docker-Content-Digest", digest))
        return Reply(200, content, headers)

    def _blob(self, _asked: Asked, _name: str, store: Repository, digest: str) -> Reply:
        content = store.blobs.get(digest)
        if content is None:
            return problem(404, "BLOB_UNKNOWN", "blob unknown to registry")
        return Reply(200, content, [("Content-Type", "application/octet-stream")])


def problem(status: int, code: str, message: str, *headers: tuple[str, str]) -> Reply:
    """An error as the specification has it."""
    body = {"errors": [{"code": code, "message": message, "detail": None}]}
    return Reply(status, json.dumps(body).encode(), [("Content-Type", "application/json"), *headers])
