"""Answer single cases of the rules, given as JSON: so that anyone can try them on cases of their own. Pure.

A case is ``{"id", "kind", "input"}``; the kinds are candidate, transform, label, digest and reference. What is missing
from an input counts as not given.
"""

from collections.abc import Mapping
from typing import Any, Final

from containers.rules.candidates import Rules, choose_tag, seen_to_float
from containers.rules.digests import LocalImage, Platform, RemoteImage, RemotePlatform
from containers.rules.labels import display, label_warnings, update_labels
from containers.rules.links import LinkFacts, link_from_template
from containers.rules.traces import Step, Trace
from containers.rules.transforms import Transform
from containers.rules.updates import (
    Known,
    KnownTag,
    Preferences,
    Subject,
    is_watched,
    judge,
    resolve_reference,
    watches_digest,
)
from registries.rules.references import ImageId, InvalidReferenceError, parse_reference
from registries.rules.tags import parse_version

Answer = dict[str, Any]

_ERRORS: Final = {401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "rate_limited"}


class UnknownCaseError(ValueError):
    """A case that cannot be read; the text says what is wrong with it."""


def answer_case(case: Any) -> tuple[Answer, list[Step]]:
    """The answer in the words of ``expect``, and the steps that led to it. Raises UnknownCaseError."""
    if not isinstance(case, Mapping) or not isinstance(case.get("input"), Mapping):
        raise UnknownCaseError("A case must be an object with “id”, “kind” and “input”.")
    answer = _KINDS.get(str(case.get("kind")))
    if answer is None:
        raise UnknownCaseError(f"The kind “{case.get('kind')}” is not known; known are {', '.join(_KINDS)}.")
    trace = Trace()
    try:
        return answer(case["input"], trace), trace.steps
    except (KeyError, TypeError, AttributeError) as exc:
        raise UnknownCaseError(f"The input of a {case['kind']} case is not complete: {exc!s:.100}.") from exc


def _candidate(given: Mapping[str, Any], trace: Trace) -> Answer:
    rules = Rules(
        include=str(given.get("include") or ""),
        exclude=str(given.get("exclude") or ""),
        transform=str(given.get("transform") or ""),
    )
    choice = choose_tag(given["current_tag"], given["tags"], rules, trace)
    answer: Answer = {"update": choice.update or None, "change": choice.change}
    if choice.reason:
        answer["reason"] = choice.reason
    return answer


def _transform(given: Mapping[str, Any], trace: Trace) -> Answer:
    done = Transform(str(given.get("transform") or "")).apply(given["tag"])
    trace.note("transform", done.warning or f"“{given['tag']}” → “{done.result}”.")
    return {"result": done.result, "warning": bool(done.warning)}


def _label(given: Mapping[str, Any], trace: Trace) -> Answer:
    labels = {str(key): str(value) for key, value in given["labels"].items()}
    read = update_labels(labels)
    warnings = label_warnings(labels)
    for warning in warnings:
        trace.note("label", f"{warning['label']}: {warning['text']}", outcome="warning")
    watched, _decided_by = is_watched(read, watch_by_default=given.get("watch_by_default", True) is not False)
    shown = display(labels)
    icon_set, _colon, icon_name = shown.icon.partition(":")
    name = str(given.get("container_name") or "").lstrip("/")
    answer: Answer = {
        "watched": watched,
        "display_name": shown.name or name,
        "icon_set": icon_set,
        "icon_name": icon_name,
        "include": read.include or None,
        "exclude": read.exclude or None,
        "transform": read.transform or None,
    }
    tag = given.get("current_tag") or given.get("tag")
    if tag is not None:
        transformed = Transform(read.transform).apply(str(tag)).result
        version = parse_version(transformed)
        floats_by = seen_to_float(version, given.get("tags") or (), Transform(read.transform)) if version else ""
        answer["watch_digest"] = watches_digest(read, version, floats_by)[0]
        link = link_from_template(
            read.link_template, LinkFacts(str(tag), transformed, name, str(given.get("repository") or ""))
        )
        answer["link"] = link.url or None
        choice = choose_tag(str(tag), given.get("tags") or (), Rules(read.include, read.exclude, read.transform), trace)
        if choice.reason in ("invalid_include", "invalid_exclude"):
            answer |= {"state": "unknown", "reason": choice.reason}
    answer["warning"] = bool(warnings)
    return answer


def _digest(given: Mapping[str, Any], trace: Trace) -> Answer:
    labels = {str(key): str(value) for key, value in (given.get("labels") or {}).items()}
    subject = Subject(
        written=given["image"],
        repo_tags=tuple(given.get("repo_tags") or ()),
        labels=update_labels(labels),
        watch_by_default=given.get("watch_by_default", True) is not False,
        is_stopped=False,
        watch_stopped=True,
        image=_local(given),
        is_replaced=given.get("container_image_id", given["image_id"]) != given["image_id"],
    )
    remote = given.get("remote")
    known = _known(subject, remote) if isinstance(remote, Mapping) else None
    verdict = judge(subject, known, Preferences())
    trace.steps += verdict.trace
    answer: Answer = {"state": verdict.state}
    if verdict.reason:
        answer["reason"] = verdict.reason
    if verdict.change:
        answer["kind"] = verdict.change
    if verdict.notes:
        answer["notes"] = list(verdict.notes)
    return answer


def _local(given: Mapping[str, Any]) -> LocalImage:
    """The image that the container runs: where that is another than the tagged one, it is among the others."""
    image_id = given.get("container_image_id", given["image_id"])
    digests = given.get("repo_digests") or ()
    if image_id != given["image_id"]:
        others = [other for other in given.get("other_images") or () if other.get("id") == image_id]
        digests = others[0].get("repo_digests") or () if others else ()
    descriptor = given.get("manifest_descriptor") or {}
    return LocalImage(
        image_id=image_id,
        repo_digests=tuple(digests),
        platform=_platform(str(given.get("platform") or "linux/amd64"), str(given.get("os_version") or "")),
        manifest_digest=str(given.get("manifest_digest") or descriptor.get("digest") or ""),
    )


def _platform(text: str, os_version: str = "") -> Platform:
    os, architecture, variant = (*text.split("/", 2), "", "")[:3]
    return Platform(os, architecture, variant, os_version)


def _known(subject: Subject, remote: Mapping[str, Any]) -> Known:
    reference = resolve_reference(subject.written, subject.repo_tags).reference
    tag = (reference.tag if reference else "") or ""
    if (error := remote.get("error")) is not None:
        code = _ERRORS.get(error, "bad_response") if isinstance(error, int) else str(error)
        return Known(tags=None, by_tag={}, error=code, message=f"The registry answered with {error}.")
    digest = str(remote.get("digest") or "")
    is_index = remote.get("type") == "index" or "manifests" in remote
    entries = remote.get("manifests") or [] if is_index else [remote]
    platforms = tuple(
        RemotePlatform(
            _platform(str(entry.get("platform") or ""), str(entry.get("os_version") or entry.get("os.version") or "")),
            str(entry.get("digest") or ""),
            str(entry.get("config_digest") or ""),
        )
        for entry in entries
        if is_index or entry.get("config_digest")
    )
    media_type = str(remote.get("media_type") or "")
    if remote.get("type") == "schema1":
        media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    image = RemoteImage(digest, media_type, platforms, is_index=is_index)
    return Known(tags=(tag,), by_tag={tag: KnownTag(image)})


def _reference(given: Mapping[str, Any], trace: Trace) -> Answer:
    try:
        parsed = parse_reference(given["reference"])
    except InvalidReferenceError as exc:
        trace.note("reference", str(exc), outcome="warning")
        return {"valid": False, "error": exc.problem}
    if isinstance(parsed, ImageId):
        return {"valid": True, "image_id": parsed.digest}
    return {
        "valid": True,
        "registry": parsed.registry,
        "repository": parsed.repository,
        "tag": parsed.tag,
        "digest": parsed.digest,
        "familiar": parsed.familiar,
    }


_KINDS: Final = {
    "candidate": _candidate,
    "transform": _transform,
    "label": _label,
    "digest": _digest,
    "reference": _reference,
}
