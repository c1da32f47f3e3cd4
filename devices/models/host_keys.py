"""Host keys that somebody accepted; connections to any other key are refused."""

from django.conf import settings
from django.db import models

from devices.models.devices import Device
from devices.models.jumps import Jump
from devices.querysets import HostKeyQuerySet, HostKeyRuleQuerySet, ShownKeyQuerySet
from ssm.lib.clock import now


class AcceptedKey(models.Model):
    """A public host key, who accepted it, and when."""

    key_type = models.CharField(max_length=64)
    key_base64 = models.TextField()
    fingerprint = models.CharField(max_length=80)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    accepted_at = models.DateTimeField(default=now)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.key_type} {self.fingerprint}"


class HostKey(AcceptedKey):
    """A key of a device."""

    class Source(models.TextChoices):
        COMPARED = "", "compared by a person"
        KNOWN_HOSTS = "known_hosts", "known_hosts file"
        DNS = "dns", "validated SSHFP record"

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="host_keys")
    source = models.CharField(max_length=12, choices=Source, default=Source.COMPARED, blank=True, editable=False)

    objects = HostKeyQuerySet.as_manager()

    class Meta:
        ordering = ["device", "key_type"]
        constraints = [
            models.UniqueConstraint(fields=["device", "key_type"], name="devices_hostkey_one_of_a_type"),
        ]


class JumpKey(AcceptedKey):
    """A key of a jump host that is no device of its own."""

    jump = models.ForeignKey(Jump, on_delete=models.CASCADE, related_name="host_keys")

    class Meta:
        ordering = ["jump", "key_type"]
        constraints = [
            models.UniqueConstraint(fields=["jump", "key_type"], name="devices_jumpkey_one_of_a_type"),
        ]


class ShownKey(models.Model):
    """The key that a device showed last and that was refused: a person has to decide about it.

    One per device, so that a host that shows another key each time fills nothing.
    """

    device = models.OneToOneField(Device, on_delete=models.CASCADE, related_name="shown_key")
    key_type = models.CharField(max_length=64)
    key_base64 = models.TextField()
    fingerprint = models.CharField(max_length=80)
    first_shown_at = models.DateTimeField(default=now)
    last_shown_at = models.DateTimeField(default=now)

    objects = ShownKeyQuerySet.as_manager()

    class Meta:
        ordering = ["device"]

    def __str__(self) -> str:
        return f"{self.key_type} {self.fingerprint}"


class HostKeyRule(models.Model):
    """What holds for the keys of all hosts whose name matches: an authority that signs them, or a key never trusted.

    The same as lines of known_hosts that begin with @cert-authority and @revoked.
    """

    class Kind(models.TextChoices):
        AUTHORITY = "cert-authority", "signs host keys"
        REVOKED = "revoked", "never trusted"

    kind = models.CharField(max_length=16, choices=Kind, default=Kind.AUTHORITY)
    # As in known_hosts: names with * and ?, separated by commas, ! in front of one excludes.
    patterns = models.CharField(max_length=1000)
    key_type = models.CharField(max_length=64)
    key_base64 = models.TextField()
    fingerprint = models.CharField(max_length=80)
    comment = models.CharField(max_length=200, blank=True, default="")
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    added_at = models.DateTimeField(default=now)

    objects = HostKeyRuleQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "patterns"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "patterns", "fingerprint"], name="devices_hostkeyrule_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.patterns} {self.fingerprint}"
