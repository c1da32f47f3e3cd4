"""What the API tells of containers, operations, batches and events."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from containers.models import Batch, BatchStanding, Container, Event, Operation
from containers.rules.events import describe

ActKind = Literal["start", "stop", "restart", "pause", "unpause", "kill", "remove"]


class Named(Schema):
    """An object by id and name."""

    id: UUID
    name: str


class Place(Schema):
    """The device that something is on, by id (null once it was removed from SSM) and name."""

    id: UUID | None
    name: str


class ImageName(Schema):
    """What a container was made from: as written, and taken apart."""

    reference: str = Field(examples=["nginx:1.27"])
    registry: str = Field(examples=["docker.io"])
    repository: str = Field(examples=["library/nginx"])
    tag: str
    digest: str
    id: str = Field(description="What the engine calls the image.")


class Offer(Schema):
    """What is known about updates of a container."""

    state: str = Field(examples=["update_available"])
    reason: str
    change: str = Field(description="major, minor, patch, revision, prerelease, unknown or digest.")
    tag: str = Field(description="The offered tag; empty where the same tag points to a newer image.")
    digest: str


class Figures(Schema):
    """What a container uses, as last read; null where it is not available."""

    sampled_at: datetime | None
    cpu_percent: float | None = Field(description="100 is one core.")
    memory_bytes: int | None
    memory_limit_bytes: int | None
    network_received_bytes_per_s: float | None
    network_sent_bytes_per_s: float | None
    block_read_bytes_per_s: float | None
    block_written_bytes_per_s: float | None
    pids: int | None


class ContainerEntry(Schema):
    """A container in a list."""

    id: UUID
    name: str
    title: str = Field(description="The name to show: that of the label `wud.display.name`, else `name`.")
    device: Place
    engine_id: str
    image: ImageName
    state: str = Field(examples=["running"])
    health: str = Field(examples=["healthy"])
    exit_code: int | None
    oom_killed: bool
    restart_count: int
    restart_policy: str
    compose_project: str
    compose_service: str
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    changed_at: datetime = Field(description="When SSM last saw anything of it change.")
    is_stale: bool = Field(description="Whether its device is not heard now, so that this is what it was.")
    update: Offer | None
    usage: Figures | None

    @classmethod
    def of(cls, container: Container) -> "ContainerEntry":
        """From a row of ``for_page()``."""
        return cls(**_container(container))


class Variable(Schema):
    """An environment variable; the value is null for those who may not see it."""

    name: str
    value: str | None


class ContainerDetail(ContainerEntry):
    """All of a container."""

    command: str
    labels: dict[str, str]
    ports: list[dict[str, Any]]
    mounts: list[dict[str, Any]]
    networks: list[dict[str, Any]]
    environment: list[Variable]
    error: str
    looping_since: datetime | None

    @classmethod
    def with_all(cls, container: Container, *, sees_values: bool) -> "ContainerDetail":
        """From a row of ``for_page()`` with its environment loaded."""
        return cls(
            **_container(container),
            command=container.command,
            labels=container.labels,
            ports=container.ports,
            mounts=container.mounts,
            networks=container.networks,
            environment=[
                Variable(name=name, value=value if sees_values else None) for name, value in container.variables
            ],
            error=container.error,
            looping_since=container.looping_since,
        )


def _container(container: Container) -> dict[str, Any]:
    update, usage = getattr(container, "update", None), getattr(container, "usage", None)
    return {
        **{name: getattr(container, name) for name in _COPIED},
        "device": Place(id=container.device_id, name=container.device.name),
        "image": ImageName(
            reference=container.image_reference,
            registry=container.registry,
            repository=container.repository,
            tag=container.tag,
            digest=container.digest,
            id=container.image_id,
        ),
        "is_stale": not container.device.is_online,
        "update": None
        if update is None
        else Offer(
            state=update.state,
            reason=update.reason,
            change=update.change,
            tag=update.offered_tag,
            digest=update.offered_digest,
        ),
        "usage": None if usage is None else Figures(**{name: getattr(usage, name) for name in Figures.model_fields}),
    }


_COPIED = (
    "id",
    "name",
    "title",
    "engine_id",
    "state",
    "health",
    "exit_code",
    "oom_killed",
    "restart_count",
    "restart_policy",
    "compose_project",
    "compose_service",
    "created_at",
    "started_at",
    "finished_at",
    "changed_at",
)


class Failure(Schema):
    """Why an operation failed, and what to do."""

    code: str
    message: str
    fix: str


class OperationEntry(Schema):
    """One act on a host, before it starts, while it runs, and after it has ended."""

    id: UUID
    kind: str = Field(examples=["restart"])
    state: str = Field(description="queued, running, succeeded, failed, lost or cancelled.", examples=["running"])
    is_final: bool = Field(description="Whether it has ended.")
    object_kind: str = Field(examples=["container"])
    target: str = Field(description="The name of what it is about.", examples=["nginx"])
    device: Place
    container: UUID | None
    batch: UUID | None
    requested_by: str
    progress: str
    parts: list[dict[str, Any]] = Field(description="Progress by part, such as layers: id, text, current, total.")
    outcome: str
    error: Failure | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, operation: Operation) -> "OperationEntry":
        """From its row."""
        return cls(**_operation(operation))


class OperationDetail(OperationEntry):
    """One act with what it told."""

    output: str
    parameters: dict[str, Any]

    @classmethod
    def with_all(cls, operation: Operation) -> "OperationDetail":
        """From its row."""
        return cls(**_operation(operation), output=operation.output, parameters=operation.parameters)


def _operation(operation: Operation) -> dict[str, Any]:
    failure = None
    if operation.error_code:
        failure = Failure(code=operation.error_code, message=operation.error_message, fix=operation.error_fix)
    return {
        "id": operation.pk,
        "kind": operation.kind,
        "state": operation.state,
        "is_final": operation.is_final,
        "object_kind": operation.object_kind,
        "target": operation.target_name,
        "device": Place(id=operation.device_id, name=operation.device_name),
        "container": operation.container_id,
        "batch": operation.batch_id,
        "requested_by": operation.requested_by_name,
        "progress": operation.progress,
        "parts": operation.parts,
        "outcome": operation.outcome,
        "error": failure,
        "created_at": operation.created_at,
        "started_at": operation.started_at,
        "finished_at": operation.finished_at,
    }


class BatchEntry(Schema):
    """Several acts that were asked for together, and how many have ended how."""

    id: UUID
    title: str
    requested_by: str
    created_at: datetime
    stops_on_failure: bool
    total: int
    waiting: int
    running: int
    succeeded: int
    failed: int
    cancelled: int

    @classmethod
    def of(cls, batch: Batch, standing: BatchStanding) -> "BatchEntry":
        """From its row and standing."""
        return cls(
            id=batch.pk,
            title=batch.title,
            requested_by=batch.requested_by_name,
            created_at=batch.created_at,
            stops_on_failure=batch.stops_on_failure,
            total=standing.total,
            waiting=standing.waiting,
            running=standing.running,
            succeeded=standing.succeeded,
            failed=standing.failed,
            cancelled=standing.cancelled,
        )


class EventEntry(Schema):
    """One event of an engine."""

    id: int
    time: datetime
    device: Place
    container: UUID | None
    kind: str = Field(examples=["container"])
    action: str = Field(examples=["die"])
    name: str
    actor_id: str
    severity: int = Field(description="0 to 3: how much it matters.")
    sentence: str = Field(description="What happened, in words.")
    attributes: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> "EventEntry":
        """From its row with the device."""
        return cls(
            id=event.pk,
            time=event.time,
            device=Place(id=event.device_id, name=event.device.name),
            container=event.container_id,
            kind=event.kind,
            action=event.action,
            name=event.actor_name,
            actor_id=event.actor_id,
            severity=event.severity,
            sentence=describe(event).text,
            attributes=event.attributes,
        )


def aware(moment: datetime | None) -> datetime | None:
    """A time that a caller gave, in UTC where no zone is told."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
