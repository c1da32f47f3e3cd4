"""What the API tells of updates, and what it takes to check, decide and apply."""

import uuid
from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from containers import batches
from containers.api.schemas import Named, Place
from containers.models import Replacement, UpdateCheck, UpdatePolicy, UpdateStatus
from ssm.lib.api.forms import Text


class UpdateQuery(Schema):
    """Which answers; all that are given must hold. Without `state` those that offer something now."""

    q: Text = Field("", description="Part of the image, container, device or offered tag.", max_length=200)
    state: Literal["", "all", "snoozed", "up_to_date", "unknown", "error", "not_watched"] = ""
    kind: Literal["", "major", "minor", "patch", "revision", "prerelease", "unknown", "digest"] = ""
    reason: Text = Field("", max_length=40)
    device: uuid.UUID | None = None
    project: Text = Field("", max_length=255)
    image: Text = Field("", max_length=700, examples=["docker.io/library/nginx:1.27"])
    sort: Literal["image", "-image", "container", "-container", "severity", "-severity", "changed", "-changed"] = (
        "image"
    )


class UpdateEntry(Schema):
    """What is known about updates of a container."""

    container: Named
    device: Place
    image: str = Field(examples=["nginx:1.27"])
    registry: str
    repository: str
    tag: str
    state: str = Field(examples=["update_available"])
    reason: str
    text: str = Field(description="State and reason in words.")
    fix: str
    change: str = Field(description="major, minor, patch, revision, prerelease, unknown or digest.")
    offered_tag: str = Field(examples=["1.28"])
    offered_digest: str
    has_digest_update: bool = Field(description="The same tag points to a newer image.")
    in_major: str = Field(description="The newest tag within the same major version.")
    in_minor: str
    withheld: str = Field(description="What would be offered but for what users decided.")
    link: str = Field(description="Release notes of what is offered.")
    snoozed_until: datetime | None
    known_at: datetime | None = Field(description="When the registry last answered.")
    changed_at: datetime

    @classmethod
    def of(cls, status: UpdateStatus) -> "UpdateEntry":
        """From its row with container and device."""
        return cls(**facts_of(status))


class UpdatePage(Schema):
    """Some answers, and where the next page begins."""

    items: list[UpdateEntry]
    next: str


class DecisionEntry(Schema):
    """What somebody decided about updates."""

    id: uuid.UUID
    kind: str = Field(description="ignore, snooze or stay.")
    text: str
    container: uuid.UUID | None = Field(description="Null: of the image, wherever it runs.")
    image: str
    until: datetime | None
    decided_by: str
    decided_at: datetime

    @classmethod
    def of(cls, policy: UpdatePolicy) -> "DecisionEntry":
        """From its row."""
        name = f"{policy.registry}/{policy.repository}" if policy.repository else ""
        return cls(
            id=policy.pk,
            kind=policy.kind,
            text=policy.sentence,
            container=policy.container_id,
            image=f"{name}:{policy.tag}" if name and policy.tag else name,
            until=policy.until,
            decided_by=policy.created_by_name,
            decided_at=policy.created_at,
        )


class TargetEntry(Schema):
    """A version that a container may be updated to."""

    tag: str
    change: str


class ReplacementEntry(Schema):
    """What a container was before an update or another change."""

    id: uuid.UUID
    kind: str
    state: str = Field(description="kept, removed or restored.")
    old_image: str
    new_image: str
    kept_name: str
    keep_until: datetime | None
    replaced_by: str
    replaced_at: datetime
    may_go_back: bool

    @classmethod
    def of(cls, row: Replacement) -> "ReplacementEntry":
        """From its row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class UpdateDetail(UpdateEntry):
    """All that is known about updates of a container, and what can be done."""

    trace: list[Any] = Field(description="How the answer was come to.")
    targets: list[TargetEntry] = Field(description="The first one is what is offered.")
    problem: str = Field(description="Why it cannot be updated; empty when it can.")
    decisions: list[DecisionEntry]
    replacements: list[ReplacementEntry]


class CheckOrder(Schema):
    """About what the registries are asked: a container, a device's containers, or all that you may see."""

    model_config = ConfigDict(extra="forbid")

    container: uuid.UUID | None = None
    device: uuid.UUID | None = None


class CheckEntry(Schema):
    """A check asked for now, and how far it is."""

    id: uuid.UUID
    total: int = Field(description="Repositories that it is about.")
    done: int
    failed: int
    requested_by: str
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: UpdateCheck) -> "CheckEntry":
        """From its row."""
        copied = ("total", "done", "failed", "started_at", "finished_at")
        return cls(id=row.pk, requested_by=row.requested_by_name, **{name: getattr(row, name) for name in copied})


class ApplyOptions(Schema):
    """What a successor has to show, and how long the old container is kept. What is left out is as usual."""

    model_config = ConfigDict(extra="forbid")

    stable_s: int | None = Field(None, ge=0, le=86_400, description="It has to run so long before the old one goes.")
    patience_s: int | None = Field(None, ge=0, le=86_400, description="How long it may take to become healthy.")
    probe: str = Field(
        "", max_length=400, description="A question that it has to answer, such as http:80/health or tcp:5432."
    )
    keep_old_s: int | None = Field(
        None, ge=0, description="Keep the old one, stopped: 0, 3600, 86400, 604800, 2592000."
    )


class Apply(ApplyOptions):
    """Which containers are updated to what."""

    containers: list[uuid.UUID] = Field(min_length=1, max_length=batches.MOST_ITEMS)
    tag: str = Field(
        "", max_length=128, description="For a single one, any tag of its repository; empty: what is offered."
    )
    stops_on_failure: bool = Field(False, description="Begin nothing more after the first failure.")


class Decision(Schema):
    """What is decided about updates of one container, or of an image wherever it runs."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["ignore", "snooze", "stay"]
    container: uuid.UUID | None = None
    registry: str = Field("", max_length=255, examples=["docker.io"])
    repository: str = Field("", max_length=255, examples=["library/nginx"])
    tag: str = Field("", max_length=128)
    version: str = Field("", max_length=140, description="ignore: the tag or digest that is offered.")
    until: datetime | None = Field(None, description="snooze: until when, within a year.")
    line: Literal["", "major", "minor"] = Field("", description="stay: what must not change.")


class Keep(Schema):
    """How long what was replaced is kept."""

    model_config = ConfigDict(extra="forbid")

    seconds: int = Field(0, ge=0, le=366 * 24 * 3600, description="From now on; 0: until somebody removes it.")


def facts_of(status: UpdateStatus) -> dict[str, Any]:
    """What UpdateEntry tells, from a row with container and device."""
    container = status.container
    copied = (
        "image",
        "registry",
        "repository",
        "tag",
        "state",
        "reason",
        "change",
        "offered_tag",
        "offered_digest",
        "has_digest_update",
        "in_major",
        "in_minor",
        "withheld",
        "snoozed_until",
        "known_at",
        "changed_at",
    )
    return {
        "container": Named(id=container.pk, name=container.name),
        "device": Place(id=container.device_id, name=container.device.name),
        **{name: getattr(status, name) for name in copied},
        "text": status.words.text,
        "fix": status.words.fix,
        "link": status.link_offered,
    }
