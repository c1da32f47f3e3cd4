"""Servers that SSM reaches."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from devices.models.credentials import Credential
from devices.models.tls import TlsIdentity
from devices.querysets import DeviceQuerySet
from devices.rules.schedules import DEFAULT_STATISTICS_SCHEDULE, DEFAULT_SWEEP_SCHEDULE, DEFAULT_UPDATE_SCHEDULE
from ssm.lib.clock import now


class Device(models.Model):
    """A server with a container engine: where it is, how it is watched, and how the connection stands."""

    class State(models.TextChoices):
        UNKNOWN = "unknown", "not yet connected"
        CONNECTING = "connecting", "connecting"
        ONLINE = "online", "online"
        UNREACHABLE = "unreachable", "unreachable"
        DISABLED = "disabled", "not watched"

    class Transport(models.TextChoices):
        SSH = "ssh", "SSH"
        TLS = "tls", "TCP with TLS"
        TCP = "tcp", "TCP without encryption"
        LOCAL = "local", "local socket"

    class AddressFamily(models.TextChoices):
        ANY = "any", "IPv4 and IPv6"
        IPV4 = "ipv4", "IPv4 only"
        IPV6 = "ipv6", "IPv6 only"

    class ProxyKind(models.TextChoices):
        NONE = "none", "none"
        SOCKS5 = "socks5", "SOCKS5"
        HTTP = "http", "HTTP (CONNECT)"

    class Become(models.TextChoices):
        AS_LOGIN = "", "as its log-in says"
        NONE = "none", "never"
        SUDO = "sudo", "sudo"
        DOAS = "doas", "doas"

    class ChannelKind(models.TextChoices):
        ANY = "", "whichever works"
        STREAMLOCAL = "streamlocal", "straight to the socket"
        DIAL_STDIO = "dial-stdio", "through the docker command"
        DIAL_STDIO_SUDO = "dial-stdio-sudo", "through the docker command, with sudo or doas"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    address = models.CharField(max_length=255, help_text="Host name or IP address.")
    port = models.PositiveIntegerField(default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    # Without one of its own a device uses the credential of the first of its groups that has one.
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="devices")
    groups = ArrayField(models.CharField(max_length=50), blank=True, default=list)
    docker_socket = models.CharField(max_length=255, default="/var/run/docker.sock")
    connect_timeout_s = models.PositiveSmallIntegerField(
        "connect time-out (seconds)", default=10, validators=[MinValueValidator(1), MaxValueValidator(120)]
    )
    request_timeout_s = models.PositiveSmallIntegerField(
        "request time-out (seconds)", default=30, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )

    # The way there.
    transport = models.CharField(max_length=8, choices=Transport, default=Transport.SSH)
    tls = models.ForeignKey(
        TlsIdentity,
        verbose_name="TLS identity",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="devices",
        help_text="Whose certificates are trusted, and which one SSM shows.",
    )
    tls_server_name = models.CharField(
        "name in the certificate",
        max_length=255,
        blank=True,
        default="",
        help_text="If the server's certificate is made out to another name than the address.",
    )
    trust_sshfp = models.BooleanField(
        "accept the first host key by DNS",
        default=False,
        help_text="If an SSHFP record that was validated by DNSSEC names it. Later changes need a person all the same.",
    )
    address_family = models.CharField(max_length=8, choices=AddressFamily, default=AddressFamily.ANY)
    proxy_kind = models.CharField(max_length=8, choices=ProxyKind, default=ProxyKind.NONE)
    proxy_address = models.CharField(max_length=255, blank=True, default="")
    proxy_port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    proxy_credential = models.ForeignKey(
        Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="proxied_devices"
    )
    keepalive_s = models.PositiveSmallIntegerField(
        "keepalive (seconds)",
        default=60,
        validators=[MaxValueValidator(3600)],
        help_text="Ask a silent host for a sign of life after so many seconds; 0: never.",
    )
    legacy_algorithms = models.BooleanField(
        "allow outdated algorithms",
        default=False,
        help_text="For servers too old for today's encryption. Weakens the connection to this device.",
    )
    compression = models.BooleanField(default=False, help_text="For slow links; costs processor time on both sides.")
    become = models.CharField("change user with", max_length=8, choices=Become, default=Become.AS_LOGIN, blank=True)
    become_user = models.CharField(
        max_length=64, blank=True, default="", help_text="Whom to become; empty: the administrator (root)."
    )
    docker_credential = models.ForeignKey(
        Credential,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="docker_devices",
        help_text="Its password is given to sudo or doas in place of the log-in's.",
    )
    forced_channel_kind = models.CharField(max_length=20, choices=ChannelKind, default=ChannelKind.ANY, blank=True)
    # When anything changed that a connection is made by, here or in a row it refers to: watchers then connect anew.
    configured_at = models.DateTimeField(default=now, editable=False)

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

    # What the way to the engine allows, as the last look at it found: see rules.grades.
    access_grade = models.CharField(max_length=12, blank=True, default="", editable=False)
    access_abilities = ArrayField(models.CharField(max_length=30), blank=True, default=list, editable=False)
    access_checked_at = models.DateTimeField(null=True, blank=True, editable=False)

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
