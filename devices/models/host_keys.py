"""Host keys that somebody accepted; connections to any other key are refused."""

from django.conf import settings
from django.db import models

from devices.models.devices import Device
from devices.models.jumps import Jump
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

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="host_keys")

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
