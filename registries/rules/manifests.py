"""Reading manifests, indices and image configurations as registries send them (pure).

Content types are often wrong (`application/json`), so the body decides: its ``mediaType``, else what it holds.
Sources: OCI image specification 1.1 (manifest, image index, config), Docker image manifest V2 schema 1 and 2.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from registries.rules.digests import digest_of, is_digest
from registries.rules.texts import clean_text

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
# Always all four: with lists alone registries answer in schema 1, without the OCI types they say 404.
ACCEPT: Final = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))
_INDICES: Final = (OCI_INDEX, DOCKER_LIST)
_MAX_ENTRIES: Final = 1000
_MAX_LABELS: Final = 500
_MAX_LABEL_NAME: Final = 256
_MAX_LABEL_VALUE: Final = 4096


class InvalidManifestError(ValueError):
    """A body that is no manifest; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class PlatformEntry:
    """One image of an index. ``size_bytes`` is that of its manifest; empty texts are not given."""

    os: str
    architecture: str
    variant: str
    os_version: str
    digest: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """A list of images for several platforms; attestations are left out."""

    digest: str
    media_type: str
    platforms: tuple[PlatformEntry, ...]
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """One image. ``size_bytes`` is what its layers weigh, compressed; ``artifact_type`` is empty for real images."""

    digest: str
    media_type: str
    config_digest: str
    config_media_type: str
    size_bytes: int
    layers: int
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LegacyManifest:
    """An image in the form of before 2017 (schema 1), which modern engines no longer pull."""

    digest: str
    architecture: str
    created: datetime | None


Manifest = IndexManifest | ImageManifest | LegacyManifest


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image's configuration says about it."""

    os: str
    architecture: str
    variant: str
    os_version: str
    created: datetime | None
    labels: dict[str, str]


def parse_manifest(raw: bytes, digest: str = "") -> Manifest:
    """Read a manifest. ``digest`` is the verified one; without it the SHA-256 of the bytes. InvalidManifestError."""
    body = parse_object(raw)
    version = body.get("schemaVersion")
    name = digest or digest_of(raw)
    if version == 1 or "fsLayers" in body:
        return _legacy(body, name)
    if version != 2:
        raise InvalidManifestError("is no manifest: it has no schemaVersion 2")
    media_type = _text(body.get("mediaType"))
    if media_type in _INDICES or (not media_type and isinstance(body.get("manifests"), list)):
        return _index(body, name, media_type or OCI_INDEX)
    if isinstance(body.get("config"), dict) and isinstance(body.get("layers"), list):
        return _image(body, name, media_type or OCI_MANIFEST)
    if isinstance(body.get("manifests"), list):
        return _index(body, name, media_type)
    raise InvalidManifestError("is no manifest: it has neither manifests nor config and layers")


def parse_config(raw: bytes) -> ImageConfig:
    """Read the configuration of an image. InvalidManifestError when it is no JSON object."""
    body = parse_object(raw)
    inner = body.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    return ImageConfig(
        os=_text(body.get("os")),
        architecture=_text(body.get("architecture")),
        variant=_text(body.get("variant")),
        os_version=_text(body.get("os.version")),
        created=parse_time(body.get("created")),
        labels=_string_map(labels),
    )


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object out of bytes of a stranger: nesting and numbers without end raise InvalidManifestError too."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise InvalidManifestError("is not JSON") from exc
    if not isinstance(body, dict):
        raise InvalidManifestError("is not a JSON object")
    return body


def parse_time(value: object) -> datetime | None:
    """An RFC 3339 time, in UTC; None for anything else, and for the zero dates of reproducible builds."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    text = value.strip()
    # Python reads microseconds only; Go writes nanoseconds.
    head, dot, rest = text.partition(".")
    if dot:
        fraction = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{fraction[:6]}{rest[len(fraction) :]}" if fraction else head + rest
    try:
        parsed = datetime.fromisoformat(text)
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.year > 1980 else None


def _index(body: dict[str, Any], digest: str, media_type: str) -> IndexManifest:
    entries = body.get("manifests")
    if not isinstance(entries, list):
        raise InvalidManifestError("is an index without a list of manifests")
    if len(entries) > _MAX_ENTRIES:
        raise InvalidManifestError(f"is an index of more than {_MAX_ENTRIES} manifests")
    platforms = [entry for item in entries if (entry := _platform(item)) is not None]
    return IndexManifest(digest, media_type, tuple(platforms), _string_map(body.get("annotations")))


def _platform(item: object) -> PlatformEntry | None:
    """One entry, or None for attestations and for what is no descriptor."""
    if not isinstance(item, dict) or not is_digest(_text(item.get("digest"), 200)):
        return None
    platform = item.get("platform")
    platform = platform if isinstance(platform, dict) else {}
    annotations = item.get("annotations")
    kind = annotations.get("vnd.docker.reference.type") if isinstance(annotations, dict) else None
    os, architecture = _text(platform.get("os")), _text(platform.get("architecture"))
    if kind == "attestation-manifest" or (os, architecture) == ("unknown", "unknown"):
        return None
    return PlatformEntry(
        os=os,
        architecture=architecture,
        variant=_text(platform.get("variant")),
        os_version=_text(platform.get("os.version")),
        digest=item["digest"],
        media_type=_text(item.get("mediaType")),
        size_bytes=_size(item.get("size")),
    )


def _image(body: dict[str, Any], digest: str, media_type: str) -> ImageManifest:
    config = body["config"]
    config_digest = _text(config.get("digest"), 200)
    if not is_digest(config_digest):
        raise InvalidManifestError("names its configuration by something that is no digest")
    layers = [layer for layer in body["layers"] if isinstance(layer, dict)]
    config_type = _text(config.get("mediaType"))
    is_image = not config_type or config_type in (
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    )
    return ImageManifest(
        digest=digest,
        media_type=media_type,
        config_digest=config_digest,
        config_media_type=config_type,
        size_bytes=sum(_size(layer.get("size")) for layer in layers),
        layers=len(layers),
        artifact_type="" if is_image else _text(body.get("artifactType")) or config_type,
        annotations=_string_map(body.get("annotations")),
    )


def _legacy(body: dict[str, Any], digest: str) -> LegacyManifest:
    created = None
    history = body.get("history")
    if isinstance(history, list) and history and isinstance(history[0], dict):
        try:
            newest = parse_object(str(history[0].get("v1Compatibility", "")).encode())
            created = parse_time(newest.get("created"))
        except InvalidManifestError:
            created = None
    return LegacyManifest(digest, _text(body.get("architecture")), created)


def _string_map(value: object) -> dict[str, str]:
    """Labels or annotations, bounded in number and length; values keep their line breaks."""
    if not isinstance(value, dict):
        return {}
    pairs = [(str(name), text) for name, text in value.items() if isinstance(text, str)]
    return {_storable(name[:_MAX_LABEL_NAME]): _storable(text[:_MAX_LABEL_VALUE]) for name, text in pairs[:_MAX_LABELS]}


def _storable(text: str) -> str:
    """Without what JSON can hold and PostgreSQL can't: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _text(value: object, limit: int = 128) -> str:
    return clean_text(value, limit) if isinstance(value, str) else ""


def _size(value: object) -> int:
    is_size = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return value if is_size and isinstance(value, int) else 0
