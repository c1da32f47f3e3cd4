"""Accounts at registries, what is known of the repositories there, and how each registry stands to us."""

import json
import uuid
from datetime import UTC, datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from registries.querysets import OriginQuerySet, RegistryQuerySet, RepositoryQuerySet
from ssm.lib.fields import EncryptedTextField


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


class Registry(models.Model):
    """An account at a registry, or how to reach a registry that SSM does not know by itself.

    It counts for the images whose host equals ``host`` and whose path is at or below ``path_prefix``; of several that
    fit the one with the longest prefix. Without any, a host is asked anonymously at its usual address.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    # An id of registries.providers.
    provider = models.CharField(max_length=20)
    # As in image references: docker.io, registry.example.com:5050.
    host = models.CharField(max_length=255)
    path_prefix = models.CharField(max_length=255, blank=True, default="")
    # Where the registry listens: scheme, host, port. Empty: the provider's own address.
    base_url = models.CharField(max_length=300, blank=True, default="")
    is_enabled = models.BooleanField("use this account", default=True)

    # Names of the provider's fields that the way to log in consists of, joined by "+"; empty: anonymous.
    kind = models.CharField("way to log in", max_length=80, blank=True, default="")
    # What of the credentials is public (user name, region), by the provider's names, and what is not: JSON too.
    public_values = models.JSONField(default=dict, blank=True)
    secrets = EncryptedTextField(blank=True, default="")

    auth_host = models.CharField(max_length=255, blank=True, default="")
    allow_http = models.BooleanField(default=False)
    insecure_tls = models.BooleanField(default=False)
    ca_pem = models.TextField(blank=True, default="")
    client_certificate = models.TextField(blank=True, default="")
    client_key = EncryptedTextField(blank=True, default="")

    # Empty: only when a device's schedule asks.
    poll_schedule = models.CharField(max_length=100, blank=True, default="")
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    # The last test of the account as it is stored.
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_passed = models.BooleanField(null=True, blank=True, editable=False)
    test_message = models.TextField(blank=True, default="", editable=False)
    test_fix = models.TextField(blank=True, default="", editable=False)

    objects = RegistryQuerySet.as_manager()

    class Meta:
        ordering = ["host", "path_prefix", "name"]
        verbose_name_plural = "registries"
        constraints = [
            # Two that fit equally well would leave open whose credentials are used.
            models.UniqueConstraint(
                fields=["host", "path_prefix"],
                condition=models.Q(is_enabled=True),
                name="registries_registry_one_in_use",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The account's page."""
        return reverse("registries:detail", args=[self.pk])

    @property
    def covers(self) -> str:
        """What it counts for, as the beginning of image references."""
        return f"{self.host}/{self.path_prefix}" if self.path_prefix else self.host

    @property
    def is_anonymous(self) -> bool:
        """Whether no credentials go with it."""
        return not self.kind

    def secret_values(self) -> dict[str, str]:
        """The secrets by the provider's names. Raises UndecryptableSecretError."""
        stored: dict[str, str] = json.loads(self.secrets) if self.secrets else {}
        return stored

    def set_secrets(self, values: dict[str, str]) -> None:
        """Put secrets in place of all that were stored; empty ones are left out."""
        kept = {name: value for name, value in values.items() if value}
        self.secrets = json.dumps(kept) if kept else ""  # type: ignore[assignment]


class Origin(models.Model):
    """How a registry's host stands to one account (or to nobody): its quota, its rest, how the last poll went."""

    host = models.CharField(max_length=255)
    account = models.ForeignKey(Registry, on_delete=models.CASCADE, null=True, blank=True, related_name="origins")

    quota_limit = models.BigIntegerField(null=True, blank=True)
    quota_remaining = models.BigIntegerField(null=True, blank=True)
    quota_window_s = models.BigIntegerField(null=True, blank=True)
    quota_source = models.CharField(max_length=120, blank=True, default="")
    quota_seen_at = models.DateTimeField(null=True, blank=True)

    # It refused for too many requests: not asked before this time.
    sleeping_until = models.DateTimeField(null=True, blank=True)

    # One run at a time asks it, so that its requests at once stay few whatever the number of workers.
    claimed_until = models.DateTimeField(null=True, blank=True)
    next_poll_at = models.DateTimeField(null=True, blank=True)
    last_poll_at = models.DateTimeField(null=True, blank=True)
    last_good_at = models.DateTimeField(null=True, blank=True)
    last_error_code = models.CharField(max_length=40, blank=True, default="")
    last_error_message = models.TextField(blank=True, default="")
    last_error_fix = models.TextField(blank=True, default="")
    failing_since = models.DateTimeField(null=True, blank=True)

    objects = OriginQuerySet.as_manager()

    class Meta:
        ordering = ["host"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "account"], nulls_distinct=False, name="registries_origin_one_of_a_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host} ({self.account.name if self.account else 'anonymous'})"

    def is_sleeping(self, moment: datetime) -> bool:
        """Whether it must not be asked yet."""
        return self.sleeping_until is not None and self.sleeping_until > moment

    @property
    def quota_low(self) -> int:
        """Below this much the quota is kept for pulls."""
        return max(10, (self.quota_limit or 0) // 10)


class RepositoryKnowledge(models.Model):
    """What a registry told of one repository. An error leaves what was known, with its age.

    ``changed_at`` moves on with every look-up, whatever it found: who evaluates asks for what moved since.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    path = models.CharField(max_length=255)

    # All tags, in the registry's order; when they were read; None: never.
    tags = ArrayField(models.CharField(max_length=128), blank=True, default=list)
    tag_count = models.PositiveIntegerField(default=0)
    tags_are_truncated = models.BooleanField(default=False)
    # When each tag was pushed (ISO text), where the registry tells it.
    tag_dates = models.JSONField(default=dict, blank=True)
    tags_at = models.DateTimeField(null=True, blank=True)
    tags_attempted_at = models.DateTimeField(null=True, blank=True)

    # Digests that hosts run: a tag that points to one of them needs no details.
    local_digests = ArrayField(models.CharField(max_length=140), blank=True, default=list)
    needs_tag_list = models.BooleanField(default=False)
    wanted_at = models.DateTimeField(default=now)

    # None: nothing to look up. Of the tag list alone; tags have their own.
    due_at = models.DateTimeField(null=True, blank=True)
    tags_due_at = models.DateTimeField(null=True, blank=True)
    is_urgent = models.BooleanField(default=False)
    claimed_until = models.DateTimeField(null=True, blank=True)

    attempted_at = models.DateTimeField(null=True, blank=True)
    looked_up_at = models.DateTimeField(null=True, blank=True)
    last_error_code = models.CharField(max_length=40, blank=True, default="")
    last_error_message = models.TextField(blank=True, default="")
    last_error_fix = models.TextField(blank=True, default="")
    failing_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(default=now)
    created_at = models.DateTimeField(default=now)

    objects = RepositoryQuerySet.as_manager()

    class Meta:
        ordering = ["host", "path"]
        verbose_name_plural = "repository knowledge"
        constraints = [
            models.UniqueConstraint(fields=["host", "path"], name="registries_repository_one_of_a_name"),
        ]
        indexes = [
            # The poll's tick.
            models.Index(fields=["due_at"], name="registries_repository_due", condition=models.Q(due_at__isnull=False)),
            # What moved since an evaluation.
            models.Index(fields=["changed_at"], name="registries_repository_changed"),
            # What nobody wants any more.
            models.Index(fields=["wanted_at"], name="registries_repository_wanted"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The repository's page."""
        return reverse("registries:repository", args=[self.pk])

    @property
    def short_path(self) -> str:
        """The path as Docker's users know it."""
        is_official = self.host == "docker.io" and self.path.count("/") == 1
        return self.path.removeprefix("library/") if is_official else self.path

    @property
    def name(self) -> str:
        """Host and path as in image references, in the short form that Docker's users know."""
        return self.short_path if self.host == "docker.io" else f"{self.host}/{self.path}"

    @property
    def is_being_looked_up(self) -> bool:
        """Whether a look-up is due or under way."""
        return self.due_at is not None and self.due_at <= now()

    @property
    def tags_by_name(self) -> "dict[str, TagKnowledge]":
        """What is known of single tags; free of a query after ``prefetch_related("tag_rows")``."""
        return {row.tag: row for row in self.tag_rows.all()}


class TagKnowledge(models.Model):
    """What a registry told of one tag that somebody runs or may be offered."""

    repository = models.ForeignKey(RepositoryKnowledge, on_delete=models.CASCADE, related_name="tag_rows")
    tag = models.CharField(max_length=128)

    # What a HEAD tells: of an image for several platforms this is the index. Empty: not known.
    digest = models.CharField(max_length=140, blank=True, default="")
    media_type = models.CharField(max_length=120, blank=True, default="")
    checked_at = models.DateTimeField(null=True, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)

    # What the manifests of that digest tell; details_digest says of which digest these are.
    details_digest = models.CharField(max_length=140, blank=True, default="")
    # [{os, architecture, variant, os_version, digest, config_digest}]
    platforms = models.JSONField(default=list, blank=True)
    size_bytes = models.BigIntegerField(null=True, blank=True)
    created = models.DateTimeField(null=True, blank=True)
    labels = models.JSONField(default=dict, blank=True)

    wanted_at = models.DateTimeField(default=now)
    due_at = models.DateTimeField(null=True, blank=True)
    attempted_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    error_fix = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["repository", "tag"]
        verbose_name_plural = "tag knowledge"
        constraints = [
            models.UniqueConstraint(fields=["repository", "tag"], name="registries_tag_one_of_a_name"),
        ]
        indexes = [
            models.Index(fields=["wanted_at"], name="registries_tag_wanted"),
        ]

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def short_digest(self) -> str:
        """The digest as people compare it."""
        return self.digest.removeprefix("sha256:")[:12]

    @property
    def sorted_labels(self) -> list[tuple[str, str]]:
        """Labels by name."""
        return sorted(self.labels.items())

    @property
    def has_details(self) -> bool:
        """Whether platforms, labels and date belong to the digest that the tag has now."""
        return bool(self.digest) and self.details_digest == self.digest
