"""Small real images: layers, configurations, manifests and indices, and how they get into a registry."""

import base64
import gzip
import hashlib
import io
import json
import ssl
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DEFAULT_CREATED = "2026-03-01T12:00:00Z"


def digest_of(content: bytes) -> str:
    """The SHA-256 digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """One image of one platform."""

    platform: str
    manifest: bytes
    media_type: str
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """Of the manifest."""
        return digest_of(self.manifest)

    @property
    def config_digest(self) -> str:
        """Of the configuration; engines call it the image's id."""
        return digest_of(self.config)


@dataclass(frozen=True, slots=True)
class Built:
    """What a tag points to: one image, or an index of several."""

    images: tuple[BuiltImage, ...]
    index: bytes = b""
    index_media_type: str = ""

    @property
    def content(self) -> bytes:
        """The manifest that the tag names."""
        return self.index or self.images[0].manifest

    @property
    def media_type(self) -> str:
        """Its type."""
        return self.index_media_type or self.images[0].media_type

    @property
    def digest(self) -> str:
        """What HEAD on the tag says."""
        return digest_of(self.content)

    @property
    def platforms(self) -> dict[str, str]:
        """The manifest's digest for each platform (``os/architecture[/variant]``)."""
        return {image.platform: image.digest for image in self.images}


def build(
    content: str = "hello",
    *,
    platforms: Iterable[str] = ("linux/amd64",),
    labels: Mapping[str, str] | None = None,
    created: str = DEFAULT_CREATED,
    docker: bool = False,
    attested: bool = False,
) -> Built:
    """An image whose digest follows from the arguments; with several platforms (or ``attested``) an index.

    ``docker``: Docker's own media types instead of OCI's. ``attested``: with an attestation, as buildx adds.
    """
    images = tuple(_image(content, platform, labels or {}, created, docker=docker) for platform in platforms)
    if len(images) == 1 and not attested:
        return Built(images)
    entries = [_entry(image) for image in images]
    if attested:
        entries.append(
            {
                "mediaType": OCI_MANIFEST,
                "digest": digest_of(b"attestation of " + images[0].manifest),
                "size": 500,
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
            }
        )
    media_type = DOCKER_LIST if docker else OCI_INDEX
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return Built(images, json.dumps(index).encode(), media_type)


def _image(content: str, platform: str, labels: Mapping[str, str], created: str, *, docker: bool) -> BuiltImage:
    os, architecture, variant = (*platform.split("/"), "")[:3]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        data = f"{content} on {platform}\n".encode()
        member = tarfile.TarInfo("content.txt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    layer = gzip.compress(raw.getvalue(), 6, mtime=0)
    about: dict[str, Any] = {
        "created": created,
        "os": os,
        "architecture": architecture,
        "config": {"Labels": dict(labels) or None, "Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(raw.getvalue())]},
        "history": [{"created": created, "created_by": "test"}],
    }
    if variant:
        about["variant"] = variant
    config = json.dumps(about).encode()
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(config, DOCKER_CONFIG if docker else OCI_CONFIG),
        "layers": [_descriptor(layer, DOCKER_LAYER if docker else OCI_LAYER)],
    }
    return BuiltImage(platform, json.dumps(manifest).encode(), media_type, config, layer)


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(content), "digest": digest_of(content)}


def _entry(image: BuiltImage) -> dict[str, Any]:
    os, architecture, variant = (*image.platform.split("/"), "")[:3]
    platform = {"os": os, "architecture": architecture, **({"variant": variant} if variant else {})}
    return {**_descriptor(image.manifest, image.media_type), "platform": platform}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to push: base URL, CA and log-in of a registry."""

    url: str
    ca_pem: str = ""
    username: str = ""
    password: str = ""
    token: str = field(default="", repr=False)


def push(target: Target, repository: str, tags: Iterable[str], built: Built) -> Built:
    """Upload blobs and manifests by HTTP and name them by these tags. Raises AssertionError when refused."""
    context: ssl.SSLContext | bool = ssl.create_default_context(cadata=target.ca_pem) if target.ca_pem else True
    headers = {}
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    elif target.username:
        pair = f"{target.username}:{target.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    with httpx.Client(base_url=target.url, headers=headers, verify=context, trust_env=False, timeout=20) as client:
        for image in built.images:
            _put_blob(client, repository, image.config)
            _put_blob(client, repository, image.layer)
            if built.index:
                _put_manifest(client, repository, image.digest, image.manifest, image.media_type)
        for tag in tags:
            _put_manifest(client, repository, tag, built.content, built.media_type)
    return built


def _put_blob(client: httpx.Client, repository: str, content: bytes) -> None:
    digest = digest_of(content)
    if client.head(f"/v2/{repository}/blobs/{digest}").status_code == 200:
        return
    started = client.post(f"/v2/{repository}/blobs/uploads/")
    assert started.status_code == 202, started.text
    place = httpx.URL(started.headers["location"]).copy_merge_params({"digest": digest})
    answer = client.put(place, content=content, headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 201, answer.text


def _put_manifest(client: httpx.Client, repository: str, reference: str, content: bytes, media_type: str) -> None:
    answer = client.put(
        f"/v2/{repository}/manifests/{reference}", content=content, headers={"Content-Type": media_type}
    )
    assert answer.status_code == 201, answer.text
