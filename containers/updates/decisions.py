"""What users decide about updates: ignore a version, put it off, stay on a line; and undo it. Who and when is kept."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from containers.errors import OperationRefused
from containers.models import Container, UpdatePolicy, UpdateStatus
from containers.updates.evaluation import evaluate
from devices.models import now
from registries.rules.tags import parse_version
from ssm.lib.roles import SomeUser

LONGEST_SNOOZE: Final = timedelta(days=366)
LINES: Final = ("major", "minor")


@dataclass(frozen=True, slots=True)
class Target:
    """What a decision is about: one container, or an image (repository with the tag that runs) wherever it runs."""

    container: Container | None = None
    registry: str = ""
    repository: str = ""
    tag: str = ""

    def policies(self) -> dict[str, object]:
        """Columns that name it."""
        if self.container is not None:
            return {"container": self.container}
        return {"container": None, "registry": self.registry, "repository": self.repository, "tag": self.tag}

    def statuses(self) -> Sequence[UpdateStatus]:
        """The answers that it concerns."""
        found = UpdateStatus.objects.present().select_related("container__device").defer("trace", "lookups")
        if self.container is not None:
            return list(found.filter(container=self.container))
        return list(found.filter(registry=self.registry, repository=self.repository, tag=self.tag))


def target_of(policy: UpdatePolicy) -> Target:
    """What a decision is about."""
    return Target(policy.container, policy.registry, policy.repository, policy.tag)


def ignore(user: SomeUser, target: Target, version: str) -> UpdatePolicy:
    """Offer this tag or digest no more. Raises OperationRefused when it is not one that is offered."""
    offered = {status.offered_tag for status in target.statuses()}
    offered |= {status.remote_digest for status in target.statuses() if status.has_digest_update}
    if not version or version not in offered:
        raise OperationRefused("That version is not offered any more.", fix="Look at what is offered now.")
    return _decide(user, target, UpdatePolicy.Kind.IGNORE, ignored=version)


def snooze(user: SomeUser, target: Target, until: datetime) -> UpdatePolicy:
    """Put its updates off. Raises OperationRefused for a time that has passed, or one beyond a year."""
    if not now() < until <= now() + LONGEST_SNOOZE:
        raise OperationRefused("Updates can be put off until a time within a year.", fix="Choose a later day.")
    return _decide(user, target, UpdatePolicy.Kind.SNOOZE, until=until)


def stay(user: SomeUser, target: Target, line: str) -> UpdatePolicy:
    """Keep to the current major number, or to the current major and minor one.

    Raises OperationRefused where the tag has no such number.
    """
    tags = {status.tag for status in target.statuses()}
    versions = [parse_version(tag) for tag in tags]
    needed = 1 if line == "major" else 2
    if line not in LINES or not any(version and len(version.parts) >= needed for version in versions):
        raise OperationRefused(f"Its tag has no {line or 'such'} version to stay on.", fix="Ignore single versions.")
    return _decide(user, target, UpdatePolicy.Kind.STAY, line=line)


def undo(user: SomeUser, policy: UpdatePolicy) -> None:
    """Take a decision back; it is kept with who did that."""
    ended = UpdatePolicy.objects.filter(pk=policy.pk, ended_at=None)
    ended.update(ended_at=now(), ended_by_name=user.get_username()[:150])
    _apply(target_of(policy))


def _decide(
    user: SomeUser,
    target: Target,
    kind: UpdatePolicy.Kind,
    *,
    ignored: str = "",
    until: datetime | None = None,
    line: str = "",
) -> UpdatePolicy:
    """Record it in place of an earlier one that it makes void, and decide anew for what it concerns."""
    moment, name = now(), user.get_username()[:150]
    with transaction.atomic(durable=True):
        earlier = UpdatePolicy.objects.filter(kind=kind, ended_at=None, **target.policies())
        if kind == UpdatePolicy.Kind.IGNORE:
            earlier = earlier.filter(ignored=ignored)
        earlier.update(ended_at=moment, ended_by_name=name)
        policy = UpdatePolicy.objects.create(
            kind=kind,
            ignored=ignored,
            until=until,
            line=line,
            created_by=user if user.is_authenticated else None,
            created_by_name=name,
            **target.policies(),
        )
    _apply(target)
    return policy


def _apply(target: Target) -> None:
    ids: list[uuid.UUID] = [status.pk for status in target.statuses()]
    evaluate(ids)
