"""Reading pages of a tag list (pure)."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from registries.rules.digests import is_digest
from registries.rules.manifests import InvalidManifestError, parse_object, parse_time
from registries.rules.times import from_unix

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Signatures, attestations and bills of materials are stored as tags of this form.
_ARTIFACT = re.compile(r"sha256-[0-9a-f]{64}(?:\.[A-Za-z0-9_-]{1,16})?")


@dataclass(frozen=True, slots=True)
class TagPage:
    """One page: ``named`` counts every entry, ``tags`` holds the real ones. Dates and digests where they are told."""

    tags: tuple[str, ...]
    named: int
    dates: dict[str, datetime] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


def parse_tag_page(raw: bytes) -> TagPage:
    """Read the body of ``/v2/<name>/tags/list``. Raises InvalidManifestError when it is none.

    ``tags`` may be null (an empty repository), and some registries list null or digests among them.
    """
    body = parse_object(raw)
    listed = body.get("tags")
    if listed is None and ("tags" in body or "name" in body):
        return TagPage((), 0)
    if not isinstance(listed, list):
        raise InvalidManifestError("holds no list of tags")
    tags = tuple(tag for tag in listed if isinstance(tag, str) and is_tag(tag))
    dates, digests = _google(body.get("manifest"))
    return TagPage(tags, len(listed), dates, digests)


def parse_hub_page(raw: bytes) -> TagPage:
    """Read a page of Docker Hub's own list of tags, newest first. Raises InvalidManifestError when it is none."""
    results = parse_object(raw).get("results")
    if not isinstance(results, list):
        raise InvalidManifestError("holds no list of results")
    tags, dates, digests = [], {}, {}
    for entry in results:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not is_tag(name):
            continue
        tags.append(name)
        if pushed := parse_time(entry.get("tag_last_pushed")) or parse_time(entry.get("last_updated")):
            dates[name] = pushed
        if isinstance(digest := entry.get("digest"), str) and is_digest(digest):
            digests[name] = digest
    return TagPage(tuple(tags), len(results), dates, digests)


def is_tag(text: str) -> bool:
    """Whether this is a tag of an image: of the right form, and no signature or attestation."""
    return bool(_TAG.fullmatch(text)) and not _ARTIFACT.fullmatch(text)


def _google(manifests: Any) -> tuple[dict[str, datetime], dict[str, str]]:
    """Google's registries add a map from digest to tags and times, in milliseconds as text."""
    dates: dict[str, datetime] = {}
    digests: dict[str, str] = {}
    if not isinstance(manifests, dict):
        return dates, digests
    for digest, entry in manifests.items():
        if not isinstance(entry, dict) or not is_digest(digest) or not isinstance(entry.get("tag"), list):
            continue
        uploaded = entry.get("timeUploadedMs")
        is_time = isinstance(uploaded, str) and uploaded.isascii() and uploaded.isdecimal() and len(uploaded) <= 15
        for tag in entry["tag"]:
            if isinstance(tag, str) and is_tag(tag):
                digests[tag] = digest
                if is_time and isinstance(uploaded, str) and int(uploaded) > 0:
                    dates[tag] = from_unix(int(uploaded) / 1000)
    return dates, digests
