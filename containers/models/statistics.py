"""What containers and hosts use now. What they used before is in tables of its own: containers.statistics."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from containers.models.inventory import Container
from containers.rules.statistics import Usage
from devices.models import Device

# Figures that the fleet table draws as a small line.
RECENT_LENGTH = 30


class ContainerUsage(models.Model):
    """The latest figures of one container; a column is None where they are not available.

    Written in bulk, once per device and sample, by containers.statistics.storing alone. ``recent_cpu`` and
    ``recent_memory`` hold the last samples, oldest first, with None for gaps.
    """

    container = models.OneToOneField(Container, on_delete=models.CASCADE, primary_key=True, related_name="usage")
    sampled_at = models.DateTimeField(null=True)
    cpu_percent = models.FloatField(null=True)
    memory_bytes = models.BigIntegerField(null=True)
    memory_limit_bytes = models.BigIntegerField(null=True)
    network_received_bytes_per_s = models.FloatField(null=True)
    network_sent_bytes_per_s = models.FloatField(null=True)
    block_read_bytes_per_s = models.FloatField(null=True)
    block_written_bytes_per_s = models.FloatField(null=True)
    pids = models.BigIntegerField(null=True)
    recent_cpu = ArrayField(models.FloatField(null=True), default=list)
    recent_memory = ArrayField(models.FloatField(null=True), default=list)

    class Meta:
        verbose_name_plural = "container usage"

    def __str__(self) -> str:
        return f"usage of {self.container_id}"

    @property
    def memory_percent(self) -> float | None:
        """Share of the limit, 0 to 100."""
        return Usage(memory_bytes=self.memory_bytes, memory_limit_bytes=self.memory_limit_bytes).memory_percent


class HostUsage(models.Model):
    """The latest figures of one host; a column is None where they are not available, and ``reason`` tells why.

    ``source`` tells by which way they came: a command over SSH, or the engine, which knows the memory's size only.
    """

    class Source(models.TextChoices):
        NONE = "", "not available"
        SSH = "ssh", "read on the host over SSH"
        ENGINE = "engine", "what the engine tells"

    device = models.OneToOneField(Device, on_delete=models.CASCADE, primary_key=True, related_name="usage")
    sampled_at = models.DateTimeField(null=True)
    source = models.CharField(max_length=10, choices=Source, blank=True, default=Source.NONE)
    reason = models.TextField(blank=True, default="")
    cpu_percent = models.FloatField(null=True, help_text="Percent of all CPUs together, 0 to 100.")
    memory_used_bytes = models.BigIntegerField(null=True)
    memory_total_bytes = models.BigIntegerField(null=True)
    load_1 = models.FloatField(null=True)
    load_5 = models.FloatField(null=True)
    load_15 = models.FloatField(null=True)
    disk_used_bytes = models.BigIntegerField(null=True)
    disk_total_bytes = models.BigIntegerField(null=True)
    recent_cpu = ArrayField(models.FloatField(null=True), default=list)
    recent_memory = ArrayField(models.FloatField(null=True), default=list)

    # The folder of the engine's data, whose disk is measured, and when it was asked for.
    data_folder = models.TextField(blank=True, default="")
    asked_at = models.DateTimeField(null=True)
    # Commands were refused on this connection (a digest of how it is made): not tried again before the time.
    refused_target = models.CharField(max_length=64, blank=True, default="")
    retry_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "host usage"

    def __str__(self) -> str:
        return f"usage of host {self.device_id}"

    @property
    def memory_percent(self) -> float | None:
        """Share of the host's memory that is used, 0 to 100."""
        return _percent(self.memory_used_bytes, self.memory_total_bytes)

    @property
    def disk_percent(self) -> float | None:
        """Share of the disk of the engine's data that is used, 0 to 100."""
        return _percent(self.disk_used_bytes, self.disk_total_bytes)


def _percent(part: int | None, whole: int | None) -> float | None:
    return part / whole * 100 if part is not None and whole else None
