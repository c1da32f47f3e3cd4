"""What was done on the hosts, and what happened there."""

import uuid
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import models
from django.urls import reverse

from containers.models.inventory import Container
from containers.querysets import BatchQuerySet, EventQuerySet, OperationQuerySet
from devices.models import Device, now
from ssm.lib.fields import EncryptedTextField


@dataclass(frozen=True, slots=True)
class BatchStanding:
    """How far a batch is: numbers of its operations by state."""

    total: int
    waiting: int
    running: int
    succeeded: int
    failed: int
    cancelled: int

    @property
    def ended(self) -> int:
        """How many will not change any more."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def left(self) -> int:
        """How many are still to end."""
        return self.total - self.ended

    @property
    def is_final(self) -> bool:
        """Whether all have ended."""
        return self.ended == self.total


class Batch(models.Model):
    """Several operations that were asked for together, with one confirmation and one answer."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # In words: "Restart 12 containers".
    title = models.CharField(max_length=255)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150, blank=True, default="")
    # After a failure nothing more is begun: what is still queued is cancelled.
    stops_on_failure = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=now)

    objects = BatchQuerySet.as_manager()

    standing: BatchStanding | None = None  # set by containers.batches.find_batch

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """The page with a result per item."""
        return reverse("batch", args=[self.pk])


class Operation(models.Model):
    """One act on a host: recorded before it starts and after it ends. It is the audit log and the progress bar."""

    class Kind(models.TextChoices):
        START = "start", "start"
        STOP = "stop", "stop"
        RESTART = "restart", "restart"
        PAUSE = "pause", "pause"
        UNPAUSE = "unpause", "unpause"
        KILL = "kill", "kill"
        REMOVE = "remove", "remove"
        RENAME = "rename", "rename"
        CONFIGURE = "configure", "change limits of"
        CREATE = "create", "create"
        RECREATE = "recreate", "recreate"
        UPDATE = "update", "update"
        ROLLBACK = "rollback", "roll back"
        DISCARD = "discard", "discard the old one of"
        IMAGE_PULL = "image_pull", "pull"
        IMAGE_TAG = "image_tag", "tag"
        IMAGE_REMOVE = "image_remove", "remove image"
        IMAGE_PRUNE = "image_prune", "remove unused images on"
        IMAGE_COPY = "image_copy", "copy image"
        VOLUME_CREATE = "volume_create", "create volume"
        VOLUME_REMOVE = "volume_remove", "remove volume"
        VOLUME_PRUNE = "volume_prune", "remove unused volumes on"
        VOLUME_BACKUP = "volume_backup", "back up volume"
        VOLUME_RESTORE = "volume_restore", "restore volume"
        NETWORK_CREATE = "network_create", "create network"
        NETWORK_REMOVE = "network_remove", "remove network"
        NETWORK_CONNECT = "network_connect", "connect to network"
        NETWORK_DISCONNECT = "network_disconnect", "disconnect from network"
        NETWORK_PRUNE = "network_prune", "remove unused networks on"
        NETWORK_CONFIGURE = "network_configure", "configure network"
        DEVICE_TEST = "device_test", "test the connection to"
        DEVICE_SWEEP = "device_sweep", "read everything of"
        DEVICE_CHECK = "device_check", "check updates of"

    class ObjectKind(models.TextChoices):
        CONTAINER = "container", "container"
        IMAGE = "image", "image"
        VOLUME = "volume", "volume"
        NETWORK = "network", "network"
        DEVICE = "device", "device"
        BACKUP = "backup", "backup"

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        # Its worker died and the host no longer tells what became of it.
        LOST = "lost", "lost"
        # Taken back before a worker began with it, or ended half-way by the wish of its user, with all undone.
        CANCELLED = "cancelled", "cancelled"

    ACTIVE_STATES = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    device = models.ForeignKey(Device, on_delete=models.SET_NULL, null=True, related_name="operations")
    device_name = models.CharField(max_length=100)
    container = models.ForeignKey(Container, on_delete=models.SET_NULL, null=True, related_name="operations")
    object_kind = models.CharField(max_length=12, choices=ObjectKind, default=ObjectKind.CONTAINER)
    # Which one was meant: a name may be taken over by a successor before the worker gets to it.
    engine_id = models.CharField(max_length=640, blank=True, default="")
    # What nobody else may act on meanwhile, beside the container; empty: nothing.
    lock = models.CharField(max_length=800, blank=True, default="")
    target_name = models.CharField(max_length=640)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150, blank=True, default="")
    batch = models.ForeignKey(Batch, on_delete=models.SET_NULL, null=True, blank=True, related_name="operations")
    # Within a batch: begun only when all of the lower waves have ended.
    wave = models.PositiveSmallIntegerField(default=0)
    # Waves count within a lane: the whole batch, or one for each device.
    lane = models.CharField(max_length=64, blank=True, default="")
    parameters = models.JSONField(default=dict)
    # JSON of what may hold secrets, such as the environment of a container to be made.
    sealed = EncryptedTextField(blank=True, default="")
    # What a long act has done so far, so that another worker can go on or undo it.
    journal = models.JSONField(default=dict)
    # Progress by part, such as the layers of an image: [{"id", "text", "current", "total"}], in bytes.
    parts = models.JSONField(default=list)
    # What it told on its way; bounded by containers.runs.
    output = models.TextField(blank=True, default="")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.CharField(max_length=150, blank=True, default="")
    # What the host showed before the act, so that a second worker can tell whether the act took place.
    observed_before = models.JSONField(default=dict)
    progress = models.CharField(max_length=255, blank=True, default="")
    outcome = models.CharField(max_length=255, blank=True, default="")
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    error_fix = models.TextField(blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=64, blank=True, default="")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # One at a time per container, whoever asks and however many processes run.
            models.UniqueConstraint(
                fields=["container"],
                condition=models.Q(state__in=["queued", "running"]),
                name="containers_operation_one_active",
            ),
            models.UniqueConstraint(
                fields=["lock"],
                condition=models.Q(state__in=["queued", "running"]) & ~models.Q(lock=""),
                name="containers_operation_one_lock",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "running"]) | models.Q(finished_at__isnull=False),
                name="containers_operation_finished",
            ),
        ]
        indexes = [
            # Activity, newest first; of one container; of one device.
            models.Index(fields=["-created_at"], name="containers_operation_newest"),
            models.Index(fields=["container", "-created_at"], name="containers_operation_of"),
            models.Index(fields=["device", "-created_at"], name="containers_operation_device"),
            # The reaper.
            models.Index(
                fields=["state", "heartbeat_at"],
                name="containers_operation_active",
                condition=models.Q(state__in=["queued", "running"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target_name} on {self.device_name}"

    def get_absolute_url(self) -> str:
        """Its page, with progress and output."""
        return reverse("operation", args=[self.pk])

    @property
    def may_be_cancelled(self) -> bool:
        """Whether somebody may call it off: not begun yet, or of a kind that looks for it on its way."""
        if self.state == self.State.QUEUED:
            return True
        return self.state == self.State.RUNNING and self.kind in LONG_KINDS and self.cancel_requested_at is None

    @property
    def is_active(self) -> bool:
        """Whether it is still queued or running."""
        return self.state in self.ACTIVE_STATES

    @property
    def is_final(self) -> bool:
        """Whether it has ended, well or not."""
        return not self.is_active


# They move much or wait long: worked off by processes of their own, and can be called off on their way.
LONG_KINDS: Final = frozenset(
    {
        Operation.Kind.CREATE,
        Operation.Kind.RECREATE,
        Operation.Kind.UPDATE,
        Operation.Kind.ROLLBACK,
        Operation.Kind.IMAGE_PULL,
        Operation.Kind.IMAGE_COPY,
        Operation.Kind.IMAGE_PRUNE,
        Operation.Kind.VOLUME_BACKUP,
        Operation.Kind.VOLUME_RESTORE,
        Operation.Kind.NETWORK_CONFIGURE,
    }
)


class Event(models.Model):
    """One event of an engine, as it told it."""

    id = models.BigAutoField(primary_key=True)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="events")
    container = models.ForeignKey(Container, on_delete=models.SET_NULL, null=True, related_name="events")
    kind = models.CharField(max_length=20)
    action = models.CharField(max_length=120)
    actor_id = models.CharField(max_length=255, blank=True, default="")
    actor_name = models.CharField(max_length=255, blank=True, default="")
    attributes = models.JSONField(default=dict)
    # How much it matters (containers.rules.events.Severity), known when it is stored, so that pages can filter by it.
    severity = models.PositiveSmallIntegerField(default=0)
    # The Engine's clock; nanoseconds since 1970.
    time = models.DateTimeField()
    time_ns = models.BigIntegerField()
    received_at = models.DateTimeField(default=now)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-time_ns", "-id"]
        constraints = [
            # A stream that is resumed tells the last events again.
            models.UniqueConstraint(
                fields=["device", "time_ns", "kind", "action", "actor_id"], name="containers_event_once"
            ),
        ]
        indexes = [
            # Events of one device, of one container, of all, newest first; expiry.
            models.Index(fields=["device", "-time_ns"], name="containers_event_device"),
            models.Index(fields=["container", "-time_ns"], name="containers_event_container"),
            models.Index(fields=["-time_ns"], name="containers_event_newest"),
            # Warnings and failures among many that are neither.
            models.Index(fields=["-time_ns"], name="containers_event_severe", condition=models.Q(severity__gte=2)),
            # Retention.
            models.Index(fields=["received_at"], name="containers_event_received"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.action} {self.actor_name}"
