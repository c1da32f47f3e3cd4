"""The record of what people changed."""

from datetime import UTC, datetime

from django.db import models

from ssm.accounts.querysets import AuditQuerySet
from ssm.accounts.rules.user_agents import user_agent_in_words


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


class AuditEntry(models.Model):
    """Who did what to which object, when, from where, and what came of it.

    Rows are only ever added: a trigger in the database refuses to change or remove them. So nothing here refers to
    other rows, which may go while the record stays.
    """

    id = models.BigAutoField(primary_key=True)
    created_at = models.DateTimeField(default=now)
    user_id = models.BigIntegerField(null=True)
    user_name = models.CharField(max_length=150, blank=True, default="")
    # By which door: "page", "admin", "api" (with the token's name), "system".
    door = models.CharField(max_length=20, blank=True, default="")
    token_name = models.CharField(max_length=100, blank=True, default="")
    address = models.CharField(max_length=45, blank=True, default="")
    user_agent = models.CharField(max_length=255, blank=True, default="")
    # A verb with its object: "device.change", "user.log-in".
    action = models.CharField(max_length=60)
    object_kind = models.CharField(max_length=60, blank=True, default="")
    object_id = models.CharField(max_length=64, blank=True, default="")
    object_name = models.CharField(max_length=255, blank=True, default="")
    # Values of what changed, by the name of the field; secrets only as "stored" or "none".
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    # "" where it went as asked, else what came of it.
    outcome = models.CharField(max_length=255, blank=True, default="")

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "audit entries"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["-created_at"], name="accounts_audit_newest"),
            models.Index(fields=["user_name", "-created_at"], name="accounts_audit_user"),
            models.Index(fields=["object_kind", "object_id"], name="accounts_audit_object"),
        ]

    def __str__(self) -> str:
        return f"{self.user_name or 'SSM'}: {self.action} {self.object_name}".strip()

    @property
    def program(self) -> str:
        """What was used, in words: "Firefox 128 on Linux"."""
        return user_agent_in_words(self.user_agent)
