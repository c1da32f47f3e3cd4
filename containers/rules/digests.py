"""Whether the image that runs is the one that a tag points to. Pure.

Three things look alike and are never compared with one another: the digest of an index, that of one platform's
manifest, that of a config. ``RepoDigests`` hold what was pulled by: mostly an index, sometimes a manifest. An image's
id is the config's digest in the classic store, and the digest of what was pulled in containerd's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from containers.rules.traces import Trace
from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference

Outcome = Literal["same", "different", "platform_missing", "schema1", "no_answer"]

# Variants that are the same as none at all.
_USUAL_VARIANTS: Final = {"arm64": "v8", "arm": "v7"}
_SCHEMA1: Final = "prettyjws"


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, in Go's words (``linux``, ``arm64``, ``v8``); ``os_version`` counts on Windows."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class LocalImage:
    """The image of a container on its host. ``manifest_digest`` is what newer engines tell of the manifest in use."""

    image_id: str
    repo_digests: tuple[str, ...]
    platform: Platform
    manifest_digest: str = ""

    def digests_of(self, reference: ImageReference) -> frozenset[str]:
        """Digests under which it was pulled from that repository; entries of other repositories do not count."""
        found = set()
        for entry in self.repo_digests:
            try:
                parsed = parse_reference(entry)
            except InvalidReferenceError:
                continue  # "<none>@<none>" of older engines
            if (
                isinstance(parsed, ImageReference)
                and parsed.digest
                and (parsed.registry, parsed.repository) == (reference.registry, reference.repository)
            ):
                found.add(parsed.digest)
        if self.manifest_digest:
            found.add(self.manifest_digest)
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class RemotePlatform:
    """One entry of an index. Digests are empty where they are not known."""

    platform: Platform
    digest: str
    config_digest: str = ""


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """What a registry tells of a tag: ``digest`` is that of a HEAD; ``platforms`` of an index, or the single one."""

    digest: str
    media_type: str = ""
    platforms: tuple[RemotePlatform, ...] = field(default=())
    is_index: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """``local`` is the digest to show for what runs (empty when unknown), ``remote`` for what the tag points to."""

    outcome: Outcome
    local: str
    remote: str


def compare_digests(
    reference: ImageReference, local: LocalImage, remote: RemoteImage, trace: Trace, *, is_replaced: bool = False
) -> Comparison:
    """Compare what runs with what the tag points to.

    ``is_replaced``: the tag names another image on the host by now, so that equal digests of the index alone do not
    settle it.
    """
    digests = local.digests_of(reference)
    shown = sorted(digests)[0] if digests else ""
    if not remote.digest:
        trace.note("digest", "The registry's digest of the tag is not known yet.")
        return Comparison("no_answer", shown, "")
    # Containerd's store calls an image by the digest that was pulled; a config never has the digest of a manifest.
    if (remote.digest in digests or remote.digest == local.image_id) and not is_replaced:
        trace.note("digest", f"The tag still points to {short(remote.digest)}, which runs here.", outcome="kept")
        return Comparison("same", remote.digest, remote.digest)
    if _SCHEMA1 in remote.media_type:
        trace.note("schema1", "The registry has only a manifest of the old form (schema 1).", outcome="warning")
        return Comparison("schema1", shown, remote.digest)
    if remote.platforms:
        entry = best_platform(local.platform, remote.platforms) if remote.is_index else remote.platforms[0]
        if entry is None:
            known = ", ".join(sorted({str(item.platform) for item in remote.platforms})[:8])
            text = f"The tag holds no image for {local.platform}, but for {known}."
            trace.note("platform_missing", text, outcome="warning")
            return Comparison("platform_missing", shown, remote.digest)
        if _is_same(entry, local, digests, remote, trace):
            return Comparison("same", shown, remote.digest)
    trace.note(
        "digest",
        f"The tag points to {short(remote.digest)} now; here runs {short(shown or local.image_id)}.",
        outcome="result",
    )
    return Comparison("different", shown or local.image_id, remote.digest)


def _is_same(
    entry: RemotePlatform, local: LocalImage, digests: frozenset[str], remote: RemoteImage, trace: Trace
) -> bool:
    if entry.digest and (entry.digest in digests or entry.digest == local.image_id):
        text = f"The index moved to {short(remote.digest)}, but its image for {local.platform} is the one that runs."
        trace.note("platform", text, outcome="kept")
        return True
    if entry.config_digest and entry.config_digest == local.image_id:
        trace.note(
            "config", "The tag's image has the configuration of the one that runs: the same image.", outcome="kept"
        )
        return True
    return False


def best_platform(wanted: Platform, offered: Iterable[RemotePlatform]) -> RemotePlatform | None:
    """The entry of an index that this host would run: the exact variant, else the next lower one."""
    fitting = [entry for entry in offered if _fits(wanted, entry.platform)]
    return max(fitting, key=lambda entry: _variant(entry.platform), default=None)


def _fits(wanted: Platform, offered: Platform) -> bool:
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture) or offered.os == "unknown":
        return False
    if wanted.os == "windows" and wanted.os_version and offered.os_version:
        return wanted.os_version.split(".")[:3] == offered.os_version.split(".")[:3]
    return _variant(offered) <= _variant(wanted)


def _variant(platform: Platform) -> tuple[int, str]:
    """Sorts variants: ``v6`` below ``v7``; none stands for the usual one of the architecture."""
    text = platform.variant or _USUAL_VARIANTS.get(platform.architecture, "")
    digits = text.removeprefix("v")
    return (int(digits), "") if digits.isascii() and digits.isdigit() and len(digits) < 6 else (0, text)


def short(digest: str) -> str:
    """A digest as people compare it: the algorithm and twelve digits."""
    algorithm, colon, digits = digest.partition(":")
    return f"{algorithm}:{digits[:12]}" if colon else digest[:12]
