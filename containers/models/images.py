"""Images on hosts, as far as we know."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from containers.querysets import ImageQuerySet
from devices.models import Device, now


class Image(models.Model):
    """An image in the store of a device's engine.

    ``engine_id`` is what the engine calls it: the digest of its config in the classic store, of its index or manifest
    in containerd's. Names change without the image being inspected again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="images")
    engine_id = models.CharField(max_length=80)
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
        ]

    def __str__(self) -> str:
        return self.repo_tags[0] if self.repo_tags else self.engine_id[:19]
