"""Jump hosts: the servers on the way to a device."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from devices.models.credentials import Credential
from devices.models.devices import Device


class Jump(models.Model):
    """One server that the connection to ``device`` is tunnelled through, the lowest ``position`` first.

    Either another device (``via``, with its own log-in, host keys and jump hosts), or an address. An address without
    a credential is logged in to as the device itself.
    """

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="jumps")
    position = models.PositiveSmallIntegerField()
    via = models.ForeignKey(Device, on_delete=models.PROTECT, null=True, blank=True, related_name="carried")
    address = models.CharField(max_length=255, blank=True, default="")
    port = models.PositiveIntegerField(default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="jumps")

    class Meta:
        ordering = ["device", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["device", "position"], name="devices_jump_position", deferrable=models.Deferrable.DEFERRED
            ),
            models.CheckConstraint(
                condition=models.Q(via__isnull=False, address="") | models.Q(via__isnull=True) & ~models.Q(address=""),
                name="devices_jump_device_or_address",
            ),
            models.CheckConstraint(condition=~models.Q(via=models.F("device")), name="devices_jump_not_itself"),
            models.CheckConstraint(condition=models.Q(port__gte=1, port__lte=65535), name="devices_jump_port"),
        ]

    def __str__(self) -> str:
        return str(self.via) if self.via_id else self.address
