"""Manifests and configurations: HEAD first, and nothing believed that has not the promised digest."""

from registries.client.authorisation import Authoriser
from registries.client.exchange import Answer, Call
from registries.client.limits import Limits
from registries.client.results import ManifestHead
from registries.client.sending import Outgoing
from registries.client.verdicts import failure
from registries.errors import BadResponse, DigestMismatch
from registries.rules.digests import digest_of, has_digest, is_digest
from registries.rules.manifests import (
    ACCEPT,
    ImageConfig,
    InvalidManifestError,
    Manifest,
    parse_config,
    parse_manifest,
)
from registries.rules.texts import clean_text

# Digests are over the bytes as they are, so nothing may pack them on the way.
_HEADERS = {"Accept": ACCEPT, "Accept-Encoding": "identity"}


async def read_head(
    authoriser: Authoriser, call: Call, limits: Limits, repository: str, reference: str
) -> ManifestHead:
    """What ``reference`` points to. Asks by GET only when HEAD is not supported or gives no digest."""
    url = _manifest_url(call, repository, reference)
    answer = await authoriser.send(call, Outgoing("HEAD", url, 0, _HEADERS), repository)
    digest = answer.headers.get("docker-content-digest", "").strip()
    if answer.status == 200 and is_digest(digest):
        if is_digest(reference) and digest != reference:
            raise _mismatch(call, reference)
        return ManifestHead(digest, clean_text(answer.headers.get("content-type", "").partition(";")[0], 128))
    # HEAD has no body, so a registry that does not know it can only be told from a missing tag by asking again.
    if answer.status in (200, 405, 501) or (answer.status == 404 and call.access.provider == "custom"):
        content, digest = await _manifest_bytes(authoriser, call, limits, repository, reference)
        return ManifestHead(digest, _parsed(call, content, digest, repository, reference)[1])
    raise failure(call.access, answer, _what(repository, reference))


async def read_manifest(
    authoriser: Authoriser, call: Call, limits: Limits, repository: str, reference: str
) -> Manifest:
    """The manifest that ``reference`` points to, its digest verified."""
    content, digest = await _manifest_bytes(authoriser, call, limits, repository, reference)
    return _parsed(call, content, digest, repository, reference)[0]


async def read_config(authoriser: Authoriser, call: Call, limits: Limits, repository: str, digest: str) -> ImageConfig:
    """The image configuration with that digest."""
    if not is_digest(digest):
        raise BadResponse(f"“{clean_text(digest, 80)}” is no digest of a configuration at {call.access.host}.")
    url = f"{call.access.base_url}/v2/{repository}/blobs/{digest}"
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    answer = await authoriser.send(call, Outgoing("GET", url, limits.config_bytes, headers), repository)
    what = f"the configuration of an image of {repository}"
    if answer.status != 200:
        raise failure(call.access, answer, what)
    if not has_digest(answer.body, digest):
        raise _mismatch(call, digest)
    try:
        return parse_config(answer.body)
    except InvalidManifestError as exc:
        raise _unreadable(call, what, exc) from exc


async def _manifest_bytes(
    authoriser: Authoriser, call: Call, limits: Limits, repository: str, reference: str
) -> tuple[bytes, str]:
    url = _manifest_url(call, repository, reference)
    answer = await authoriser.send(call, Outgoing("GET", url, limits.manifest_bytes, _HEADERS), repository)
    if answer.status != 200:
        raise failure(call.access, answer, _what(repository, reference))
    return answer.body, _digest(call, answer, reference)


def _digest(call: Call, answer: Answer, reference: str) -> str:
    """The digest of the body: that of the request if it names one, else the promised one; both are checked."""
    promised = answer.headers.get("docker-content-digest", "").strip()
    # Schema 1 is signed: its digest is that of the body without the signatures, which nobody needs any more.
    is_signed = b'"signatures"' in answer.body[-65_536:] and b'"fsLayers"' in answer.body
    if is_digest(reference):
        if not has_digest(answer.body, reference) and not is_signed:
            raise _mismatch(call, reference)
        return reference
    if not is_digest(promised):
        return digest_of(answer.body)
    if not has_digest(answer.body, promised) and not is_signed:
        raise _mismatch(call, promised)
    return promised


def _parsed(call: Call, content: bytes, digest: str, repository: str, reference: str) -> tuple[Manifest, str]:
    try:
        manifest = parse_manifest(content, digest)
    except InvalidManifestError as exc:
        raise _unreadable(call, _what(repository, reference), exc) from exc
    return manifest, getattr(manifest, "media_type", "")


def _manifest_url(call: Call, repository: str, reference: str) -> str:
    return f"{call.access.base_url}/v2/{repository}/manifests/{reference}"


def _what(repository: str, reference: str) -> str:
    return f"{repository}{'@' if ':' in reference else ':'}{reference}"


def _mismatch(call: Call, digest: str) -> DigestMismatch:
    return DigestMismatch(
        f"{call.access.host} sent content that does not have the digest {digest[:19]}…: it was changed on the way, or "
        "the registry is broken.",
        details={"host": call.access.host, "digest": digest},
    )


def _unreadable(call: Call, what: str, exc: Exception) -> BadResponse:
    return BadResponse(f"What {call.access.host} sends as {what} {exc}.", details={"host": call.access.host})
