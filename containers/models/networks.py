"""Networks on hosts, as far as we know."""

import uuid
from typing import TYPE_CHECKING

from django.db import models
from django.urls import reverse

from containers.querysets import NetworkQuerySet
from devices.models import Device, now

if TYPE_CHECKING:
    from containers.models.activity import Operation

# Made by the engine itself, which lets nobody remove them: of Docker, of Docker on Windows, of podman.
PREDEFINED: tuple[str, ...] = ("bridge", "host", "none", "nat", "podman")


class Network(models.Model):
    """A network of a device's engine.

    Which containers are attached is in their own rows (``Container.networks``), as only those tell it of stopped ones.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="networks")
    engine_id = models.CharField(max_length=64)
    # Docker allows two networks of one name.
    name = models.CharField(max_length=255)
    driver = models.CharField(max_length=120, blank=True, default="")
    scope = models.CharField(max_length=20, blank=True, default="")
    # Dicts, shape in containers.rules.networks: Pool.
    pools = models.JSONField(default=list, blank=True)
    ipam_driver = models.CharField(max_length=120, blank=True, default="")
    ipam_options = models.JSONField(default=dict, blank=True)
    internal = models.BooleanField(default=False)
    attachable = models.BooleanField(default=False)
    ingress = models.BooleanField(default=False)
    ipv4_enabled = models.BooleanField(default=True)
    ipv6_enabled = models.BooleanField(default=False)
    # A mere template for others (Docker's "config only"), and the name of the one that it was made from.
    config_only = models.BooleanField(default=False)
    config_from = models.CharField(max_length=255, blank=True, default="")
    options = models.JSONField(default=dict, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    compose_project = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(default=now)
    changed_at = models.DateTimeField(default=now)

    objects = NetworkQuerySet.as_manager()

    if TYPE_CHECKING:
        # Set by NetworkQuerySet.for_page.
        container_count: int
        running_count: int
        active_operations: list[Operation]

    class Meta:
        ordering = ["name", "device"]
        constraints = [
            models.UniqueConstraint(fields=["device", "engine_id"], name="containers_network_engine_id"),
        ]
        indexes = [
            # The list over all hosts, sorted by name; those of a compose project.
            models.Index(fields=["name"], name="containers_network_name"),
            models.Index(fields=["compose_project"], name="containers_network_project"),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.device.name}"

    def get_absolute_url(self) -> str:
        """The network's page."""
        return reverse("networks:detail", args=[self.pk])

    @property
    def is_predefined(self) -> bool:
        """Whether the engine made it itself and lets nobody remove it."""
        return self.ingress or (self.name in PREDEFINED and self.scope != "swarm")

    @property
    def lock(self) -> str:
        """What an operation on it holds, so that there is one at a time."""
        return f"network:{self.device_id}:{self.engine_id}"
