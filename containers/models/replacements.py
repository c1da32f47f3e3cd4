"""Containers that were replaced by others under their name, and what it takes to go back."""

import json
import uuid
from typing import Any, Final

from django.db import models

from containers.models.activity import Operation
from containers.models.inventory import Container
from containers.querysets import ReplacementQuerySet
from devices.models import Device, now
from ssm.lib.fields import EncryptedTextField

_NOUNS: Final = {
    "update": "Update",
    "recreate": "Recreated",
    "rollback": "Rollback",
    "network_configure": "Networks changed",
}


class Replacement(models.Model):
    """One container that another took the place of: its complete configuration, and whether it is still there."""

    class State(models.TextChoices):
        # Still on the host, stopped, under ``kept_name``.
        KEPT = "kept", "kept"
        # Removed; it can be made anew from its configuration and image, without what was written inside it.
        REMOVED = "removed", "removed"
        # Back in its place.
        RESTORED = "restored", "restored"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The row that goes on as the successor.
    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="replacements")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    operation = models.OneToOneField(
        Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="replacement"
    )
    # update, recreate, rollback or network_configure: kinds of Operation.
    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=255)
    old_engine_id = models.CharField(max_length=64)
    new_engine_id = models.CharField(max_length=64)
    kept_name = models.CharField(max_length=255, blank=True, default="")
    # References as they were written at creation, ids of images, and the digests by which the old one can be pulled.
    old_image = models.CharField(max_length=512, blank=True, default="")
    old_image_id = models.CharField(max_length=80, blank=True, default="")
    old_digests = models.JSONField(default=list)
    new_image = models.CharField(max_length=512, blank=True, default="")
    new_image_id = models.CharField(max_length=80, blank=True, default="")
    # JSON of containers.rules.specification: values of environment variables are in it.
    specification = EncryptedTextField(blank=True, default="")
    restart_policy = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State)
    keep_until = models.DateTimeField(null=True, blank=True)
    replaced_by = models.CharField(max_length=150, blank=True, default="")
    replaced_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = ReplacementQuerySet.as_manager()

    class Meta:
        ordering = ["-replaced_at"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="kept") | ~models.Q(kept_name=""), name="containers_replacement_kept"
            ),
        ]
        indexes = [
            # Of one container, newest first.
            models.Index(fields=["container", "-replaced_at"], name="containers_replacement_of"),
            # What has been kept for long enough.
            models.Index(fields=["keep_until"], name="containers_replacement_due", condition=models.Q(state="kept")),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.old_image} by {self.new_image}"

    @property
    def kind_words(self) -> str:
        """What was done, as a noun."""
        return _NOUNS.get(self.kind, self.kind)

    @property
    def is_kept(self) -> bool:
        """Whether the old container still exists, as far as we know."""
        return self.state == self.State.KEPT

    @property
    def may_go_back(self) -> bool:
        """Whether the old container may take its place again."""
        return self.state in (self.State.KEPT, self.State.REMOVED)

    @property
    def specification_json(self) -> dict[str, Any]:
        """The old container's specification as JSON; empty when it is not known. Raises UndecryptableSecretError."""
        text = self.specification
        found = json.loads(text) if text else {}
        return found if isinstance(found, dict) else {}
