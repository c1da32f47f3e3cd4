"""Decide for containers whether a newer image exists, write the answers that differ, and announce them.

Memory stays bounded however large the fleet: containers are taken in chunks, sorted by repository, and what is decided
once for a repository, tag and rules counts for all containers that share them.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.fields.json import KT

from containers.models import Container, Image, Replacement, UpdatePolicy, UpdateStatus
from containers.push import publish
from containers.rules.digests import LocalImage, Platform, RemoteImage, RemotePlatform
from containers.rules.image_facts import image_id
from containers.rules.labels import update_labels
from containers.rules.links import LinkFacts, link_from_template, source_link
from containers.rules.transforms import Transform
from containers.rules.updates import SEVERITY, Known, KnownTag, Preferences, Subject, Verdict, judge, resolve_reference
from devices.models import now
from registries.models import RepositoryKnowledge, TagKnowledge
from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference
from registries.services import Pair, knowledge

CHUNK: Final = 200
# Columns that people see: when one of them differs, open pages are told.
_SHOWN: Final = (
    "state",
    "reason",
    "detail",
    "registry",
    "repository",
    "tag",
    "change",
    "severity",
    "offered_tag",
    "offered_digest",
    "has_digest_update",
    "watches_digest",
    "local_digest",
    "remote_digest",
    "in_major",
    "in_minor",
    "other_variants",
    "other_best",
    "withheld",
    "notes",
    "link_current",
    "link_offered",
    "source_url",
    "snoozed_until",
    "failing_since",
    "retry_at",
)
_WRITTEN: Final = (
    *_SHOWN,
    "lookups",
    "needs_tag_list",
    "trace",
    "known_at",
    "evaluated_at",
    "changed_at",
    "good",
)


@dataclass(slots=True)
class Evaluation:
    """What an evaluation did: how many it looked at, the rows that differ, and what registries have to be asked."""

    seen: int = 0
    changed: list[uuid.UUID] = field(default_factory=list)
    asking: list[uuid.UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Case:
    container: Container
    subject: Subject
    reference: ImageReference | None
    image_labels: dict[str, Any]

    @property
    def pair(self) -> Pair | None:
        return (self.reference.registry, self.reference.repository) if self.reference else None


def evaluate(container_ids: Collection[uuid.UUID]) -> Evaluation:
    """Decide anew for these containers; those that are gone from their host are left alone.

    So are those that were replaced and are only kept for the way back: nobody wants to update them. A constant number
    of queries for each 200 containers.
    """
    done = Evaluation()
    kept = Replacement.objects.filter(
        state=Replacement.State.KEPT, device=OuterRef("device"), old_engine_id=OuterRef("engine_id")
    )
    order = (
        Container.objects.present()
        .filter(~Exists(kept), pk__in=container_ids)
        .order_by("registry", "repository", "pk")
        .values_list("pk", flat=True)
    )
    ids = list(order)
    for start in range(0, len(ids), CHUNK):
        _evaluate_chunk(ids[start : start + CHUNK], done)
    return done


def _evaluate_chunk(ids: Sequence[uuid.UUID], done: Evaluation) -> None:
    rows = list(
        Container.objects.filter(pk__in=ids)
        .select_related("device", "update")
        .defer("inspect", "environment", "mounts", "networks", "ports")
        .annotate(used_manifest=KT("inspect__ImageManifestDescriptor__digest"))
        .order_by("registry", "repository", "pk")
    )
    cases = _cases(rows)
    pairs = {case.pair for case in cases if case.pair is not None}
    found = knowledge(pairs) if pairs else {}
    known = {pair: known_of(row) for pair, row in found.items()}
    decisions = _Decisions(rows, pairs)
    statuses: list[UpdateStatus] = []
    for case in cases:
        done.seen += 1
        row = found.get(case.pair) if case.pair else None
        decided = decisions.of(case)
        verdict = judge(case.subject, known.get(case.pair) if case.pair else None, decided.preferences)
        before = getattr(case.container, "update", None)
        status = _status(case, verdict, row, decided.snoozed_until, before)
        if _differs(status, before):
            done.changed.append(case.container.pk)
        if (
            before is None
            or set(before.lookups) != set(status.lookups)
            or before.needs_tag_list != status.needs_tag_list
        ):
            done.asking.append(case.container.pk)
        statuses.append(status)
    _write(statuses, {row.pk: row for row in rows}, set(done.changed))


def _cases(rows: list[Container]) -> list[_Case]:
    """Containers with their images: by the image's id, never by its name, which may be another one's by now."""
    ids = {image_id(row.image_id) for row in rows}
    devices = {row.device_id for row in rows}
    images = {
        (image.device_id, image.engine_id): image
        for image in Image.objects.filter(device__in=devices, engine_id__in=ids)
    }
    resolved = {}
    for row in rows:
        image = images.get((row.device_id, image_id(row.image_id)))
        resolved[row.pk] = resolve_reference(row.image_reference, tuple(image.repo_tags) if image else ()).reference
    holders = _name_holders(rows, resolved)
    cases = []
    for row in rows:
        image, reference = images.get((row.device_id, image_id(row.image_id))), resolved[row.pk]
        holder = holders.get((row.device_id, _name(reference))) if reference else None
        subject = Subject(
            written=row.image_reference,
            repo_tags=tuple(image.repo_tags) if image else (),
            labels=update_labels(row.labels),
            watch_by_default=row.device.watch_by_default,
            is_stopped=not row.is_running,
            watch_stopped=row.device.watch_stopped,
            image=_local(image, row.used_manifest or "") if image else None,  # type: ignore[attr-defined]
            is_replaced=holder is not None and image is not None and holder != image.engine_id,
        )
        cases.append(_Case(row, subject, reference, image.labels if image else {}))
    return cases


def _name(reference: ImageReference) -> str:
    """Host, path and tag in normal form, without a digest."""
    return str(ImageReference(reference.registry, reference.repository, reference.tag, None))


def _name_holders(
    rows: list[Container], resolved: dict[uuid.UUID, ImageReference | None]
) -> dict[tuple[uuid.UUID, str], str]:
    """Which image holds the name that a container was created from, on its device. One query."""
    written = set()
    for reference in resolved.values():
        if reference is not None and reference.tag:
            name = ImageReference(reference.registry, reference.repository, reference.tag, None)
            written |= {str(name), name.familiar}
    images = Image.objects.filter(
        device__in={row.device_id for row in rows}, repo_tags__overlap=sorted(written)
    ).values_list("device_id", "engine_id", "repo_tags")
    holders: dict[tuple[uuid.UUID, str], str] = {}
    for device_id, engine_id, repo_tags in images if written else ():
        for tag in repo_tags:
            try:
                parsed = parse_reference(tag)
            except InvalidReferenceError:
                continue
            if isinstance(parsed, ImageReference):
                holders[device_id, _name(parsed)] = engine_id
    return holders


def _local(image: Image, used_manifest: str) -> LocalImage:
    return LocalImage(
        image_id=image.engine_id,
        repo_digests=tuple(image.repo_digests),
        platform=Platform(image.os or "linux", image.architecture, image.variant, image.os_version),
        manifest_digest=used_manifest or image.manifest_digest,
    )


def known_of(row: RepositoryKnowledge) -> Known:
    """What a registry told, in the words of the rules."""
    return Known(
        tags=tuple(row.tags) if row.tags_at is not None else None,
        by_tag={tag: _known_tag(found) for tag, found in row.tags_by_name.items()},
        error=row.last_error_code,
        message=row.last_error_message,
        was_found=row.looked_up_at is not None or row.tags_at is not None,
        is_truncated=row.tags_are_truncated,
    )


def _known_tag(found: TagKnowledge) -> KnownTag:
    platforms = tuple(
        RemotePlatform(
            Platform(
                str(entry.get("os", "")),
                str(entry.get("architecture", "")),
                str(entry.get("variant", "")),
                str(entry.get("os_version", "")),
            ),
            str(entry.get("digest", "")),
            str(entry.get("config_digest", "")),
        )
        for entry in (found.platforms if found.has_details else [])
        if isinstance(entry, dict)
    )
    is_index = not (len(platforms) == 1 and platforms[0].digest in ("", found.digest))
    image = RemoteImage(found.digest, found.media_type, platforms, is_index=is_index)
    return KnownTag(image, found.error_code, found.error_message)


@dataclass(frozen=True, slots=True)
class _Decided:
    preferences: Preferences
    snoozed_until: datetime | None


class _Decisions:
    """What users set for some containers and their images. One query."""

    def __init__(self, rows: list[Container], pairs: set[Pair]) -> None:
        policies = UpdatePolicy.objects.in_force(now()).order_by("created_at")
        own = policies.filter(container__in=rows)
        shared = policies.filter(container=None, registry__in={pair[0] for pair in pairs}).filter(
            repository__in={pair[1] for pair in pairs}
        )
        self._by_container: dict[uuid.UUID, list[UpdatePolicy]] = {}
        self._by_image: dict[tuple[str, str, str], list[UpdatePolicy]] = {}
        for policy in own | shared:
            if policy.container_id is not None:
                self._by_container.setdefault(policy.container_id, []).append(policy)
            else:
                self._by_image.setdefault((policy.registry, policy.repository, policy.tag), []).append(policy)

    def of(self, case: _Case) -> _Decided:
        """What counts for a container: its own decisions over those for its image, later ones over earlier ones."""
        reference = case.reference
        policies: list[UpdatePolicy] = []
        if reference is not None:
            policies += self._by_image.get((reference.registry, reference.repository, reference.tag or ""), [])
        policies += self._by_container.get(case.container.pk, [])
        ignored = {policy.ignored for policy in policies if policy.kind == UpdatePolicy.Kind.IGNORE}
        lines = [policy.line for policy in policies if policy.kind == UpdatePolicy.Kind.STAY]
        snoozes = [policy.until for policy in policies if policy.kind == UpdatePolicy.Kind.SNOOZE and policy.until]
        digests = frozenset(text for text in ignored if ":" in text)
        line = lines[-1] if lines else ""
        return _Decided(
            Preferences(frozenset(ignored) - digests, digests, "major" if line == "major" else "minor" if line else ""),
            max(snoozes, default=None),
        )


def _status(
    case: _Case,
    verdict: Verdict,
    row: RepositoryKnowledge | None,
    snoozed_until: datetime | None,
    before: UpdateStatus | None,
) -> UpdateStatus:
    moment = now()
    reference = verdict.reference
    offered = row.tags_by_name.get(verdict.offered_tag) if row and verdict.offered_tag else None
    current = row.tags_by_name.get(verdict.tag) if row and verdict.tag else None
    status = UpdateStatus(
        container=case.container,
        state=verdict.state,
        reason=verdict.reason,
        detail=verdict.detail,
        registry=reference.registry if reference else "",
        repository=reference.repository if reference else "",
        tag=verdict.tag,
        change=verdict.change,
        severity=SEVERITY.get(verdict.change, 0),
        offered_tag=verdict.offered_tag,
        offered_digest=offered.digest if offered else "",
        has_digest_update=verdict.has_digest_update,
        watches_digest=verdict.watches_digest,
        local_digest=verdict.local_digest,
        remote_digest=verdict.remote_digest,
        in_major=verdict.in_major,
        in_minor=verdict.in_minor,
        other_variants=verdict.other_variants,
        other_best=verdict.other_best,
        withheld=verdict.withheld,
        notes=list(verdict.notes),
        link_current=_link(case, verdict, verdict.tag),
        link_offered=_link(case, verdict, verdict.offered_tag),
        source_url=source_link((offered.labels if offered else {}) or (current.labels if current else {}))
        or source_link(case.image_labels),
        lookups=sorted(verdict.lookups),
        needs_tag_list=verdict.needs_tag_list,
        trace=list(verdict.trace),
        snoozed_until=snoozed_until,
        known_at=row.looked_up_at if row else None,
        evaluated_at=moment,
        changed_at=before.changed_at if before else moment,
        failing_since=(row.failing_since or moment) if row and verdict.state == "error" else None,
        retry_at=row.retry_at if row and verdict.state == "error" else None,
        good=before.good if before else {},
    )
    if before is None or _target(before) != _target(status):
        status.changed_at = moment
    if verdict.state in ("up_to_date", "update_available"):
        status.good = {
            "state": status.state,
            "change": status.change,
            "tag": status.tag,
            "offered_tag": status.offered_tag,
            "has_digest_update": status.has_digest_update,
            "at": (status.known_at or moment).isoformat(),
        }
    return status


def _target(status: UpdateStatus) -> tuple[str, ...]:
    """What people are told of when it changes."""
    digest = status.remote_digest if status.has_digest_update else ""
    return status.state, status.reason, status.change, status.offered_tag, digest


def _link(case: _Case, verdict: Verdict, tag: str) -> str:
    template = case.subject.labels.link_template
    if not template or not tag or verdict.reference is None:
        return ""
    bare = ImageReference(verdict.reference.registry, verdict.reference.repository, None, None)
    facts = LinkFacts(
        tag=tag,
        transformed=Transform(case.subject.labels.transform).apply(tag).result,
        container=case.container.name,
        repository=bare.familiar,
    )
    return link_from_template(template, facts).url


def _differs(status: UpdateStatus, before: UpdateStatus | None) -> bool:
    return before is None or any(getattr(status, name) != getattr(before, name) for name in _SHOWN)


def _write(statuses: list[UpdateStatus], rows: dict[uuid.UUID, Container], changed: set[uuid.UUID]) -> None:
    """Store the answers; pages hear of those that differ, device by device."""
    with transaction.atomic():
        # A container that was deleted meanwhile has no answer any more.
        alive = set(Container.objects.filter(pk__in=rows).values_list("pk", flat=True))
        UpdateStatus.objects.bulk_create(
            [status for status in statuses if status.pk in alive],
            update_conflicts=True,
            unique_fields=["container"],
            update_fields=_WRITTEN,
        )
        touched: dict[uuid.UUID, list[uuid.UUID]] = {}
        for pk in sorted(changed & alive):
            touched.setdefault(rows[pk].device_id, []).append(pk)
        for device_id, ids in touched.items():
            publish("update", device_id, ids)
