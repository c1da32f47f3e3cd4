"""What is known about updates of containers, and what users decided about them."""

import uuid
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from containers.models.inventory import Container
from containers.querysets import UpdateCheckQuerySet, UpdatePolicyQuerySet, UpdateStatusQuerySet
from containers.rules.reasons import Words, words_of
from devices.models import Device, now


class UpdateStatus(models.Model):
    """The answer for one container: whether a newer image exists, or why that cannot be said.

    An error keeps the last good answer (``good``, with its time). ``changed_at`` moves when state, change or target
    do, not with every evaluation.
    """

    class State(models.TextChoices):
        UP_TO_DATE = "up_to_date", "up to date"
        UPDATE_AVAILABLE = "update_available", "update available"
        UNKNOWN = "unknown", "unknown"
        NOT_WATCHED = "not_watched", "not watched"
        ERROR = "error", "error"

    container = models.OneToOneField(Container, on_delete=models.CASCADE, related_name="update", primary_key=True)
    state = models.CharField(max_length=20, choices=State, default=State.UNKNOWN)
    # A code of containers.rules.reasons, and the sentence of the one who refused.
    reason = models.CharField(max_length=40, blank=True, default="")
    detail = models.TextField(blank=True, default="")

    # The reference that counts: what the container was created from, or its image's only name.
    registry = models.CharField(max_length=255, blank=True, default="")
    repository = models.CharField(max_length=255, blank=True, default="")
    tag = models.CharField(max_length=128, blank=True, default="")

    # major, minor, patch, revision, prerelease or unknown for an offered tag; digest when only the digest moved.
    change = models.CharField(max_length=12, blank=True, default="")
    severity = models.PositiveSmallIntegerField(default=0)
    offered_tag = models.CharField(max_length=128, blank=True, default="")
    offered_digest = models.CharField(max_length=140, blank=True, default="")
    has_digest_update = models.BooleanField(default=False)
    watches_digest = models.BooleanField(default=False)
    local_digest = models.CharField(max_length=140, blank=True, default="")
    remote_digest = models.CharField(max_length=140, blank=True, default="")
    in_major = models.CharField(max_length=128, blank=True, default="")
    in_minor = models.CharField(max_length=128, blank=True, default="")
    other_variants = models.PositiveIntegerField(default=0)
    other_best = models.CharField(max_length=128, blank=True, default="")
    # What would be offered but for what users set.
    withheld = models.CharField(max_length=128, blank=True, default="")
    notes = ArrayField(models.CharField(max_length=40), default=list, blank=True)

    link_current = models.URLField(max_length=2100, blank=True, default="")
    link_offered = models.URLField(max_length=2100, blank=True, default="")
    source_url = models.URLField(max_length=2100, blank=True, default="")

    # Tags that the registry is asked about, and whether its list is needed.
    lookups = ArrayField(models.CharField(max_length=128), default=list, blank=True)
    needs_tag_list = models.BooleanField(default=False)
    # Steps of containers.rules.traces.
    trace = models.JSONField(default=list, blank=True)

    snoozed_until = models.DateTimeField(null=True, blank=True)
    # When the registry last answered; when it was last asked; since when it fails.
    known_at = models.DateTimeField(null=True, blank=True)
    evaluated_at = models.DateTimeField(default=now)
    changed_at = models.DateTimeField(default=now)
    failing_since = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    # The last answer that was no error: {state, reason, change, tag, offered_tag, has_digest_update, at}.
    good = models.JSONField(default=dict, blank=True)

    objects = UpdateStatusQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "update statuses"
        indexes = [
            # The Updates page by group, and "used by" of a repository.
            models.Index(fields=["registry", "repository", "tag"], name="containers_update_image"),
            models.Index(fields=["state"], name="containers_update_state"),
        ]

    def __str__(self) -> str:
        return f"{self.container_id}: {self.state}"

    @property
    def image(self) -> str:
        """The reference in the short form that Docker's users know."""
        name = self.repository if self.registry == "docker.io" else f"{self.registry}/{self.repository}"
        if self.registry == "docker.io" and name.count("/") == 1:
            name = name.removeprefix("library/")
        return f"{name}:{self.tag}" if self.tag else name

    @property
    def is_snoozed(self) -> bool:
        """Whether somebody put it off until later."""
        return self.snoozed_until is not None and self.snoozed_until > now()

    @property
    def words(self) -> Words:
        """State and reason for people, with what to do."""
        return words_of(self.state, self.reason)

    @property
    def good_at(self) -> datetime | None:
        """When the last good answer was given."""
        text = self.good.get("at")
        return datetime.fromisoformat(text) if isinstance(text, str) else None


class UpdatePolicy(models.Model):
    """What a user decided about updates of one container, or of an image wherever it runs. Undone ones are kept."""

    class Kind(models.TextChoices):
        IGNORE = "ignore", "ignore a version"
        SNOOZE = "snooze", "later"
        STAY = "stay", "stay on this line"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    # Of one container, else of an image: a repository with the tag that runs.
    container = models.ForeignKey(
        Container, on_delete=models.CASCADE, null=True, blank=True, related_name="update_policies"
    )
    registry = models.CharField(max_length=255, blank=True, default="")
    repository = models.CharField(max_length=255, blank=True, default="")
    tag = models.CharField(max_length=128, blank=True, default="")

    # ignore: the tag or the digest; snooze: until when; stay: the part that must not change.
    ignored = models.CharField(max_length=140, blank=True, default="")
    until = models.DateTimeField(null=True, blank=True)
    line = models.CharField(max_length=10, blank=True, default="", choices=[("major", "major"), ("minor", "minor")])

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_by_name = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by_name = models.CharField(max_length=150, blank=True, default="")

    objects = UpdatePolicyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "update policies"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(container__isnull=False) | ~models.Q(repository=""),
                name="containers_policy_of_something",
            ),
        ]
        indexes = [
            # What counts now for an image.
            models.Index(
                fields=["registry", "repository"], name="containers_policy_image", condition=models.Q(ended_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def sentence(self) -> str:
        """What it does, in words."""
        if self.kind == self.Kind.IGNORE:
            shown = self.ignored[:19] if self.ignored.startswith("sha256:") else self.ignored
            return f"{shown} is ignored"
        if self.kind == self.Kind.SNOOZE and self.until is not None:
            return f"put off until {self.until:%Y-%m-%d %H:%M} UTC"
        return f"stays on its {self.line} version"


class UpdateCheck(models.Model):
    """A "check now": which repositories it waits for, and how many were looked up since."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # What was asked about: a container, a device, or all.
    container = models.ForeignKey(Container, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    repositories = ArrayField(models.UUIDField(), default=list)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    requested_by_name = models.CharField(max_length=150, blank=True, default="")
    started_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = UpdateCheckQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        indexes = [
            # The tick of those under way, and the latest one of a page.
            models.Index(fields=["started_at"], name="containers_check_open", condition=models.Q(finished_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.done} of {self.total} looked up"

    @property
    def scope(self) -> str:
        """The key of what was asked about, as its line on a page is called."""
        return str(self.container_id or self.device_id or "all")
