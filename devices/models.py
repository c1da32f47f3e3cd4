"""Servers that SSM reaches over SSH, the credentials it logs in with, and the host keys it trusts."""

import uuid
from datetime import UTC, datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from devices.querysets import CredentialQuerySet, DeviceQuerySet
from devices.rules.schedules import DEFAULT_STATISTICS_SCHEDULE, DEFAULT_SWEEP_SCHEDULE, DEFAULT_UPDATE_SCHEDULE
from ssm.lib.fields import EncryptedTextField


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


class Credential(models.Model):
    """How to log in: a user name with a private key, a password, or both. Many devices may share one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    username = models.CharField(max_length=64, help_text="The user name on the server.")
    private_key = EncryptedTextField(blank=True, default="")
    passphrase = EncryptedTextField(blank=True, default="")
    password = EncryptedTextField(blank=True, default="")
    use_sudo = models.BooleanField(
        "use sudo",
        default=False,
        help_text="Reach the Docker socket through sudo when the user may not open it directly.",
    )
    # Public: lets messages speak of "the key ending …4f" without touching the key itself.
    key_fingerprint = models.CharField(max_length=80, blank=True, default="", editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """A server with a container engine: where it is, how it is watched, and how the connection stands."""

    class State(models.TextChoices):
        UNKNOWN = "unknown", "not yet connected"
        CONNECTING = "connecting", "connecting"
        ONLINE = "online", "online"
        UNREACHABLE = "unreachable", "unreachable"
        DISABLED = "disabled", "not watched"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    address = models.CharField(max_length=255, help_text="Host name or IP address.")
    port = models.PositiveIntegerField(default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="devices")
    groups = ArrayField(models.CharField(max_length=50), blank=True, default=list)
    docker_socket = models.CharField(max_length=255, default="/var/run/docker.sock")
    connect_timeout_s = models.PositiveSmallIntegerField(
        "connect time-out (seconds)", default=10, validators=[MinValueValidator(1), MaxValueValidator(120)]
    )
    request_timeout_s = models.PositiveSmallIntegerField(
        "request time-out (seconds)", default=30, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )
    watch_enabled = models.BooleanField("watch this device", default=True)
    sweep_schedule = models.CharField(
        "full sweep", max_length=100, default=DEFAULT_SWEEP_SCHEDULE, help_text="A cron expression, in UTC."
    )
    statistics_enabled = models.BooleanField("statistics", default=True)
    statistics_schedule = models.CharField(
        "statistics at", max_length=100, default=DEFAULT_STATISTICS_SCHEDULE, help_text="A cron expression, in UTC."
    )
    watch_by_default = models.BooleanField("watch containers for updates by default", default=True)
    watch_stopped = models.BooleanField("watch stopped containers for updates too", default=True)
    watch_events = models.BooleanField("follow the engine's events", default=True)
    update_schedule = models.CharField(
        "update check", max_length=100, default=DEFAULT_UPDATE_SCHEDULE, help_text="A cron expression, in UTC."
    )
    created_at = models.DateTimeField(default=now, editable=False)

    # How the connection stands, written by the watcher alone.
    state = models.CharField(max_length=12, choices=State, default=State.UNKNOWN, editable=False)
    state_code = models.CharField(max_length=40, blank=True, default="", editable=False)
    state_message = models.TextField(blank=True, default="", editable=False)
    state_fix = models.TextField(blank=True, default="", editable=False)
    state_since = models.DateTimeField(default=now, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    channel_kind = models.CharField(max_length=20, blank=True, default="", editable=False)

    # What the engine says of itself and of its host.
    engine_id = models.CharField(max_length=128, blank=True, default="", editable=False)
    engine_product = models.CharField(max_length=60, blank=True, default="", editable=False)
    engine_version = models.CharField(max_length=60, blank=True, default="", editable=False)
    api_version = models.CharField(max_length=20, blank=True, default="", editable=False)
    operating_system = models.CharField(max_length=120, blank=True, default="", editable=False)
    architecture = models.CharField(max_length=40, blank=True, default="", editable=False)
    kernel_version = models.CharField(max_length=120, blank=True, default="", editable=False)
    cpus = models.PositiveIntegerField(null=True, blank=True, editable=False)
    memory_bytes = models.BigIntegerField(null=True, blank=True, editable=False)

    # The inventory sweeps and the event stream.
    next_sweep_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_sweep_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_sweep_duration_ms = models.PositiveIntegerField(null=True, blank=True, editable=False)
    last_sweep_error = models.TextField(blank=True, default="", editable=False)

    # Statistics; the interval is set where a slow host is asked less often than its schedule says.
    next_statistics_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_statistics_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_statistics_duration_ms = models.PositiveIntegerField(null=True, blank=True, editable=False)
    last_statistics_error = models.TextField(blank=True, default="", editable=False)
    statistics_interval_s = models.PositiveIntegerField(null=True, blank=True, editable=False)

    # Update checks.
    next_update_check_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_update_check_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_update_check_duration_ms = models.PositiveIntegerField(null=True, blank=True, editable=False)
    last_update_check_error = models.TextField(blank=True, default="", editable=False)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [
            # The beat tick: watched devices whose sweep is due.
            models.Index(fields=["next_sweep_at"], name="devices_device_due", condition=models.Q(watch_enabled=True)),
            # The same for statistics and update checks.
            models.Index(
                fields=["next_statistics_at"],
                name="devices_device_statistics",
                condition=models.Q(watch_enabled=True, statistics_enabled=True),
            ),
            models.Index(
                fields=["next_update_check_at"],
                name="devices_device_updates",
                condition=models.Q(watch_enabled=True),
            ),
            # The group filter of the fleet pages.
            GinIndex(fields=["groups"], name="devices_device_groups"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(port__gte=1, port__lte=65535), name="devices_device_port"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The device's page."""
        return reverse("devices:detail", args=[self.pk])

    @property
    def is_online(self) -> bool:
        """Whether the last thing heard from the host is recent: its data is not marked stale."""
        return self.state == self.State.ONLINE


class HostKey(models.Model):
    """A host key that somebody accepted for a device; connections to any other key are refused."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="host_keys")
    key_type = models.CharField(max_length=64)
    key_base64 = models.TextField()
    fingerprint = models.CharField(max_length=80)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    accepted_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["device", "key_type"]
        constraints = [
            models.UniqueConstraint(fields=["device", "key_type"], name="devices_hostkey_one_of_a_type"),
        ]

    def __str__(self) -> str:
        return f"{self.key_type} {self.fingerprint}"
