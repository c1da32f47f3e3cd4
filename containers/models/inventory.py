"""What the hosts hold, as far as we know."""

import json
import uuid
from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Concat, Lower
from django.urls import reverse

from containers.querysets import ContainerQuerySet
from devices.models import Device, now
from ssm.lib.fields import EncryptedTextField

if TYPE_CHECKING:
    from containers.models.activity import Operation


class Container(models.Model):
    """A container on a device, with its history.

    Matched by engine id, else by name on its device, so that one that is recreated under its name stays this row.
    One that is gone from its host keeps its row with ``removed_at`` set: its name may return, and a snapshot
    older than its removal must not bring it back.
    """

    class State(models.TextChoices):
        CREATED = "created", "created"
        RUNNING = "running", "running"
        PAUSED = "paused", "paused"
        RESTARTING = "restarting", "restarting"
        REMOVING = "removing", "removing"
        EXITED = "exited", "exited"
        DEAD = "dead", "dead"

    class Health(models.TextChoices):
        NONE = "none", "no health check"
        STARTING = "starting", "starting"
        HEALTHY = "healthy", "healthy"
        UNHEALTHY = "unhealthy", "unhealthy"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="containers")
    engine_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255)

    # The reference as it was written at creation, and its normal form (empty where it is an image id or unknown).
    image_reference = models.CharField(max_length=512, blank=True, default="")
    image_id = models.CharField(max_length=80, blank=True, default="")
    registry = models.CharField(max_length=255, blank=True, default="")
    repository = models.CharField(max_length=255, blank=True, default="")
    tag = models.CharField(max_length=128, blank=True, default="")
    digest = models.CharField(max_length=140, blank=True, default="")

    state = models.CharField(max_length=12, choices=State, default=State.CREATED)
    health = models.CharField(max_length=12, choices=Health, default=Health.NONE)
    exit_code = models.IntegerField(null=True, blank=True)
    oom_killed = models.BooleanField(default=False)
    restart_count = models.PositiveIntegerField(default=0)
    # A restart loop that was recognised in its events (containers.rules.loops): since when, and how often it ended.
    looping_since = models.DateTimeField(null=True, blank=True)
    loop_ends = models.PositiveIntegerField(default=0)
    restart_policy = models.CharField(max_length=40, blank=True, default="")
    status_text = models.CharField(max_length=255, blank=True, default="")
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    command = models.TextField(blank=True, default="")
    labels = models.JSONField(default=dict)
    # Lists of dicts, shapes in containers.rules.inspection: PortBinding, MountPoint, Attachment.
    ports = models.JSONField(default=list)
    # What it takes of the host's ports when it runs, bound now or not: dicts, containers.rules.inspection: PortClaim.
    port_claims = models.JSONField(default=list)
    mounts = models.JSONField(default=list)
    networks = models.JSONField(default=list)
    # The Engine's inspect answer with secrets masked; variables of the environment apart, encrypted.
    inspect = models.JSONField(default=dict)
    environment = EncryptedTextField(blank=True, default="[]")

    display_name = models.CharField(max_length=255, blank=True, default="")
    display_icon = models.CharField(max_length=120, blank=True, default="")
    compose_project = models.CharField(max_length=255, blank=True, default="")
    compose_service = models.CharField(max_length=255, blank=True, default="")
    # What a search looks into, a line each: one comparison for each of 20,000 rows in place of four.
    search_text = models.GeneratedField(
        expression=Lower(
            Concat(
                *("name", models.Value("\n"), "display_name", models.Value("\n")),
                *("image_reference", models.Value("\n"), "compose_project"),
                output_field=models.TextField(),
            )
        ),
        output_field=models.TextField(),
        db_persist=True,
    )
    # What is wrong with its labels: dicts, shape in containers.rules.labels: LabelWarning.
    label_warnings = models.JSONField(default=list)

    # Digest of the list entry that the inspect answer belongs to: an unchanged one need not be inspected again.
    list_digest = models.CharField(max_length=64, blank=True, default="")
    # Engine clock of what this row shows (ns since 1970): older news never overwrites newer.
    observed_ns = models.BigIntegerField(default=0)
    # When it came to be there, again if it had been gone.
    appeared_at = models.DateTimeField(default=now)
    changed_at = models.DateTimeField(default=now)
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = ContainerQuerySet.as_manager()

    if TYPE_CHECKING:
        active_operations: list[Operation]  # set by ContainerQuerySet.for_page

    class Meta:
        ordering = ["name", "device"]
        permissions = [
            ("operate_container", "Can start, stop and otherwise act on containers"),
            ("view_environment", "Can see the values of environment variables"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["device", "engine_id"], name="containers_container_engine_id"),
            models.UniqueConstraint(
                fields=["device", "name"],
                condition=models.Q(removed_at=None),
                name="containers_container_name",
            ),
        ]
        indexes = [
            # The fleet table, sorted by name, on any of its pages without a look at the rows before; by state.
            models.Index(
                fields=["name", "device", "id"],
                name="containers_container_by_name",
                condition=models.Q(removed_at=None),
            ),
            # All that is counted on every page: how many run, failed, need somebody.
            models.Index(
                fields=["state", "health", "exit_code", "oom_killed", "looping_since"],
                name="containers_container_counts",
                condition=models.Q(removed_at=None),
            ),
            models.Index(fields=["state"], name="containers_container_state", condition=models.Q(removed_at=None)),
            models.Index(fields=["compose_project"], name="containers_container_project"),
            # Those in a restart loop: some of a fleet.
            models.Index(
                fields=["looping_since"],
                name="containers_container_looping",
                condition=models.Q(looping_since__isnull=False),
            ),
            # What a page has missed while it was on its way to its reader.
            models.Index(fields=["-changed_at"], name="containers_container_changed"),
            # "Used by" of an image.
            models.Index(fields=["registry", "repository"], name="containers_container_image"),
            # Which containers of a host use an image.
            models.Index(
                fields=["device", "image_id"],
                name="containers_container_uses",
                condition=models.Q(removed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} on {self.device.name}"

    def get_absolute_url(self) -> str:
        """The container's page."""
        return reverse("containers:detail", args=[self.pk])

    @property
    def title(self) -> str:
        """The name to show: the label's, else the container's."""
        return self.display_name or self.name

    @property
    def is_running(self) -> bool:
        """Whether its processes exist (paused ones do)."""
        return self.state in (self.State.RUNNING, self.State.PAUSED, self.State.RESTARTING)

    @property
    def active_operation(self) -> "Operation | None":
        """The operation under way, if any; needs ``for_page()`` to be free of a query."""
        if "active_operations" in self.__dict__:
            return self.active_operations[0] if self.active_operations else None
        return self.operations.active().select_related("requested_by").first()

    @property
    def variables(self) -> list[tuple[str, str]]:
        """Name and value of each environment variable, in the Engine's order. For eyes that may see them."""
        return [(name, value) for name, value in json.loads(self.environment)]
