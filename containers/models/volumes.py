"""Volumes on hosts, as far as we know, their backups, and who makes those when."""

import uuid
from typing import TYPE_CHECKING, Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse

from containers.querysets import BackupPlanQuerySet, BackupQuerySet, VolumeQuerySet
from containers.rules.retention import Retention
from devices.models import Device, now

if TYPE_CHECKING:
    from containers.models.inventory import Container

MOST_KEPT = 1000


class Volume(models.Model):
    """A volume of a device's engine. Its name is its identity there."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="volumes")
    name = models.CharField(max_length=255)
    driver = models.CharField(max_length=128, blank=True, default="")
    scope = models.CharField(max_length=20, blank=True, default="")
    mountpoint = models.CharField(max_length=1024, blank=True, default="")
    created_at = models.DateTimeField(null=True, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    # With secrets masked: those of file servers may hold passwords.
    options = models.JSONField(default=dict, blank=True)
    # Made by the engine for a container, under a name that says nothing.
    is_anonymous = models.BooleanField(default=False)
    # What the engine measured, and when: it walks all files for it, so it is asked seldom.
    size_bytes = models.BigIntegerField(null=True, blank=True)
    size_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(default=now)
    changed_at = models.DateTimeField(default=now)

    objects = VolumeQuerySet.as_manager()

    if TYPE_CHECKING:
        # Set by VolumeQuerySet.for_page and containers.volume_rows.
        is_used: bool
        backed_up_at: Any
        has_plan: bool
        users: list[Container]
        shown_users: list[Container]

    class Meta:
        ordering = ["name", "device"]
        constraints = [
            models.UniqueConstraint(fields=["device", "name"], name="containers_volume_name"),
        ]
        indexes = [
            # The list, by name; by size.
            models.Index(fields=["name"], name="containers_volume_name_i"),
            models.Index(fields=["-size_bytes"], name="containers_volume_size"),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.device.name}"

    def get_absolute_url(self) -> str:
        """The volume's page."""
        return reverse("volumes:detail", args=[self.pk])

    @property
    def title(self) -> str:
        """The name to show: the first digits of one that says nothing."""
        return f"{self.name[:12]}…" if self.is_anonymous and len(self.name) > 20 else self.name


class BackupPlan(models.Model):
    """When a volume is backed up, how, and how long that is kept. Outlives the volume's row: it goes by its name."""

    class Consistency(models.TextChoices):
        RUNNING = "running", "Leave its containers running"
        PAUSED = "paused", "Pause its containers meanwhile"
        STOPPED = "stopped", "Stop its containers meanwhile"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="backup_plans")
    volume_name = models.CharField(max_length=255)
    schedule = models.CharField(max_length=100)
    consistency = models.CharField(max_length=8, choices=Consistency, default=Consistency.RUNNING)
    keep_last = models.PositiveIntegerField(default=7, validators=[MaxValueValidator(MOST_KEPT)])
    keep_daily = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MOST_KEPT)])
    keep_weekly = models.PositiveIntegerField(default=4, validators=[MaxValueValidator(MOST_KEPT)])
    keep_monthly = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MOST_KEPT)])
    is_enabled = models.BooleanField(default=True)
    next_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    # Why the last run did not give a good backup; empty when it did.
    last_error = models.TextField(blank=True, default="")
    created_by_name = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(default=now)

    objects = BackupPlanQuerySet.as_manager()

    class Meta:
        ordering = ["volume_name", "device"]
        constraints = [
            models.UniqueConstraint(fields=["device", "volume_name"], name="containers_backupplan_volume"),
        ]
        indexes = [
            # What is due.
            models.Index(fields=["next_at"], name="containers_backupplan_due", condition=models.Q(is_enabled=True)),
        ]

    def __str__(self) -> str:
        return f"{self.volume_name} on {self.device.name}, {self.schedule}"

    @property
    def retention(self) -> Retention:
        """How long its backups are kept."""
        return Retention(self.keep_last, self.keep_daily, self.keep_weekly, self.keep_monthly)


class Backup(models.Model):
    """One backup of a volume. Good only once its archive and its manifest lie in the store, whole."""

    class State(models.TextChoices):
        RUNNING = "running", "being made"
        GOOD = "good", "good"
        FAILED = "failed", "failed"
        # Its stored archive is not what was written: found when its checksum was computed again.
        DAMAGED = "damaged", "damaged"
        # Its files are being deleted; the row goes last.
        DELETING = "deleting", "being deleted"

    class Origin(models.TextChoices):
        BACKUP = "backup", "backup"
        UPLOAD = "upload", "upload"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Both outlive the device: what was backed up can be restored elsewhere.
    device = models.ForeignKey(Device, on_delete=models.SET_NULL, null=True, blank=True, related_name="backups")
    device_name = models.CharField(max_length=100)
    volume_name = models.CharField(max_length=255)
    plan = models.ForeignKey(BackupPlan, on_delete=models.SET_NULL, null=True, blank=True, related_name="backups")
    operation = models.ForeignKey(
        "containers.Operation", on_delete=models.SET_NULL, null=True, blank=True, related_name="backups"
    )
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.BACKUP)
    consistency = models.CharField(max_length=8, blank=True, default="")
    # Containers that used the volume: dicts, shape in containers.rules.manifests.
    containers = models.JSONField(default=list, blank=True)
    driver = models.CharField(max_length=128, blank=True, default="")
    labels = models.JSONField(default=dict, blank=True)
    options = models.JSONField(default=dict, blank=True)
    engine = models.CharField(max_length=80, blank=True, default="")
    # Name in the store; its manifest has the same with .json behind it.
    file_name = models.CharField(max_length=500, blank=True, default="")
    root = models.CharField(max_length=20, blank=True, default="")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, default="")
    # What the archive holds: shape in containers.rules.archives.Contents.
    contents = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True, default="")
    # Kept by hand: no retention deletes it.
    is_kept = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True, default="")
    requested_by_name = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)

    objects = BackupQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="good") | ~models.Q(sha256="") & models.Q(finished_at__isnull=False),
                name="containers_backup_good_is_proved",
            ),
        ]
        indexes = [
            # The list, newest first; those of one volume; the last good one of each.
            models.Index(fields=["-created_at"], name="containers_backup_newest"),
            models.Index(fields=["device", "volume_name", "-created_at"], name="containers_backup_volume"),
        ]

    def __str__(self) -> str:
        return f"{self.volume_name} of {self.device_name}, {self.created_at:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        """The backup's page."""
        return reverse("backups:detail", args=[self.pk])

    @property
    def is_good(self) -> bool:
        """Whether it can be restored."""
        return self.state == self.State.GOOD

    @property
    def content_bytes(self) -> int | None:
        """Bytes of all files in it; None when not known."""
        count: int | None = self.contents.get("content_bytes")
        return count

    @property
    def file_count(self) -> int | None:
        """How many files are in it, links to them not counted; None when not known."""
        count: int | None = self.contents.get("files")
        return count
