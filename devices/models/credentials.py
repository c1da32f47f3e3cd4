"""How SSM logs in: credentials, the answers they give to questions of servers, and defaults for groups of devices."""

import uuid

from django.db import models
from django.urls import reverse

from devices.querysets import CredentialQuerySet, DeviceGroupQuerySet
from ssm.lib.clock import now
from ssm.lib.fields import EncryptedTextField


class Credential(models.Model):
    """How to log in: a user name with a key, a password, an agent's keys, several of them, or nothing at all.

    Many devices, jump hosts and proxies may share one. Secrets are write-only; what is public of a key
    (``public_key``, ``key_fingerprint``, ``certificate``) is kept beside it, so that nobody need decrypt to show it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    username = models.CharField(max_length=64, help_text="The user name on the server.")
    private_key = EncryptedTextField(blank=True, default="")
    passphrase = EncryptedTextField(blank=True, default="")
    password = EncryptedTextField(blank=True, default="")
    certificate = models.TextField(
        blank=True, default="", help_text="An OpenSSH certificate for the key: the line of its -cert.pub file."
    )
    use_agent = models.BooleanField(
        "use the SSH agent",
        default=False,
        help_text="Try the keys of the SSH agent that runs beside SSM (SSH_AUTH_SOCK).",
    )
    agent_key = models.CharField(
        "key of the agent",
        max_length=80,
        blank=True,
        default="",
        help_text="The SHA-256 fingerprint of the one key to use; empty: each of them in turn.",
    )
    passwordless = models.BooleanField(
        "the server asks for nothing",
        default=False,
        help_text="For servers that let this user in without any proof.",
    )
    use_sudo = models.BooleanField(
        "use sudo",
        default=False,
        help_text="Reach the Docker socket through sudo when the user may not open it directly.",
    )
    # Public: lets messages speak of "the key ending …4f" without touching the key itself.
    key_fingerprint = models.CharField(max_length=80, blank=True, default="", editable=False)
    public_key = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The log-in's page."""
        return reverse("devices:login", args=[self.pk])


class CredentialAnswer(models.Model):
    """What to answer when a server's log-in asks a question that matches ``prompt`` (keyboard-interactive)."""

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="answers")
    position = models.PositiveSmallIntegerField(default=0)
    prompt = models.CharField(
        max_length=200, help_text="A part of the question, any case; * stands for anything: *code*, PIN*."
    )
    answer = EncryptedTextField()

    class Meta:
        ordering = ["credential", "position", "pk"]

    def __str__(self) -> str:
        return self.prompt


class DeviceGroup(models.Model):
    """What holds for all devices of a group: the credential of those that have none of their own."""

    name = models.CharField(max_length=50, unique=True)
    credential = models.ForeignKey(
        Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="device_groups"
    )

    objects = DeviceGroupQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
