"""Images on hosts, as far as we know."""

import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from containers.querysets import ImageQuerySet
from containers.rules.image_layers import Layer
from devices.models import Device, now


class Image(models.Model):
    """An image in the store of a device's engine.

    ``engine_id`` is what the engine calls it: the digest of its config in the classic store, of its index or manifest
    in containerd's. Names change without the image being inspected again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="images")
    engine_id = models.CharField(max_length=80)
    # What it is called in lists, and sorted by: its first tag, else the first digest it was pulled by; empty: neither.
    name = models.CharField(max_length=640, blank=True, default="")
    repo_tags = ArrayField(models.CharField(max_length=512), default=list, blank=True)
    repo_digests = ArrayField(models.CharField(max_length=640), default=list, blank=True)
    os = models.CharField(max_length=40, blank=True, default="")
    architecture = models.CharField(max_length=40, blank=True, default="")
    variant = models.CharField(max_length=40, blank=True, default="")
    os_version = models.CharField(max_length=40, blank=True, default="")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    # Of the manifest in use, where the engine tells it (API 1.48 and later).
    manifest_digest = models.CharField(max_length=140, blank=True, default="")
    # Shapes in containers.rules.image_facts (config) and image_layers (history: HistoryStep, layers: Layer.as_json).
    config = models.JSONField(default=dict, blank=True)
    # Never changes for an image. None: not read yet.
    history = models.JSONField(null=True, blank=True)
    # Empty: not read yet, or the engine's answers do not fit together.
    layers = models.JSONField(default=list, blank=True)
    # Of its size, what other images of the host hold too. None: not known for all of them.
    shared_bytes = models.BigIntegerField(null=True, blank=True)
    seen_at = models.DateTimeField(default=now)
    changed_at = models.DateTimeField(default=now)

    objects = ImageQuerySet.as_manager()

    class Meta:
        ordering = ["device", "engine_id"]
        constraints = [
            models.UniqueConstraint(fields=["device", "engine_id"], name="containers_image_engine_id"),
        ]
        indexes = [
            # What moved since an evaluation.
            models.Index(fields=["changed_at"], name="containers_image_changed"),
            # The list over all hosts, sorted by name; the largest first.
            models.Index(fields=["name"], name="containers_image_name"),
            models.Index(fields=["-size_bytes"], name="containers_image_size"),
        ]

    def __str__(self) -> str:
        return self.repo_tags[0] if self.repo_tags else self.engine_id[:19]

    def get_absolute_url(self) -> str:
        """The image's page."""
        return reverse("images:detail", args=[self.pk])

    @property
    def short_id(self) -> str:
        """The id as people compare it."""
        return self.engine_id.removeprefix("sha256:")[:12]

    @property
    def title(self) -> str:
        """The name to show: its own, else the short id."""
        return self.name or self.short_id

    @property
    def is_dangling(self) -> bool:
        """Whether no tag names it, as the engine's own prune understands it."""
        return not self.repo_tags

    @property
    def unique_bytes(self) -> int | None:
        """What its removal alone would free; None when it is not known."""
        if self.size_bytes is None or self.shared_bytes is None:
            return None
        return max(0, self.size_bytes - self.shared_bytes)

    @property
    def layer_list(self) -> list[Layer] | None:
        """Its layers, the lowest first; None when they are not known."""
        kept: list[Any] = self.layers
        return [Layer.from_json(item) for item in kept] if kept else None

    @property
    def platform(self) -> str:
        """Such as linux/arm64/v8; empty when the engine does not tell."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
