"""How people and programs come in: what SSM notes of accounts, open sessions, tokens."""

import uuid
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.models import Session
from django.db import models

from ssm.accounts.models.audit import now
from ssm.accounts.querysets import TokenQuerySet
from ssm.accounts.rules.user_agents import user_agent_in_words
from ssm.lib.roles import Limit, Right


class Account(models.Model):
    """What SSM notes of a user besides Django's columns."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="account"
    )
    # Set where somebody else knows the password.
    must_change_password = models.BooleanField(default=False)
    password_changed_at = models.DateTimeField(null=True, blank=True)
    # Whatever the roles say.
    demands_second_factor = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.user)


class OpenSession(models.Model):
    """Where somebody is logged in. Goes with the session itself."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, primary_key=True, related_name="open_session")
    # The session's own key must not be shown: this names it in pages.
    id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="open_sessions")
    address = models.CharField(max_length=45, blank=True, default="")
    user_agent = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(default=now)
    last_seen_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["-last_seen_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"session of {self.user}"

    @property
    def program(self) -> str:
        """What was used, in words: "Firefox 128 on Linux"."""
        return user_agent_in_words(self.user_agent)


class ApiToken(models.Model):
    """Lets a program act as a user, with some of the user's rights, until a day. Only its digest is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    # The public part, by which people tell tokens apart.
    prefix = models.CharField(max_length=12, unique=True)
    # SHA-256 of the secret part, hexadecimal: it is random and long, so nothing slower is needed.
    digest = models.CharField(max_length=64)
    rights = ArrayField(models.CharField(max_length=30, choices=[(right.value, right.value) for right in Right]))
    device_groups = ArrayField(models.CharField(max_length=50), blank=True, default=list)
    labels = ArrayField(models.CharField(max_length=255), blank=True, default=list)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_address = models.CharField(max_length=45, blank=True, default="")

    objects = TokenQuerySet.as_manager()

    class Meta:
        ordering = ["name", "created_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.name

    @property
    def limit(self) -> Limit:
        """The part of the fleet it is for."""
        return Limit(tuple(self.device_groups), tuple(self.labels))

    def is_valid(self, moment: datetime) -> bool:
        """Whether it counts: neither over nor revoked."""
        return self.revoked_at is None and moment < self.expires_at

    @property
    def is_over(self) -> bool:
        """Whether its last day has passed."""
        return now() >= self.expires_at
