"""Requests that programs may send again without having anything done twice."""

from django.conf import settings
from django.db import models

from devices.models import now


class IdempotentRequest(models.Model):
    """A request that carried an idempotency key, and what it was answered; kept for a day."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    # SHA-256 of method, path and body: the same key for another request is a mistake of the caller.
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=now)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="containers_request_once"),
        ]
        indexes = [
            # Expiry.
            models.Index(fields=["created_at"], name="containers_request_created"),
        ]

    def __str__(self) -> str:
        return f"{self.key[:20]} of {self.user_id}"
