"""How SSM proves itself to engines that are reached over TLS, and whose certificates it trusts there."""

import uuid

from django.db import models

from devices.querysets import TlsIdentityQuerySet
from ssm.lib.clock import now
from ssm.lib.fields import EncryptedTextField


class TlsIdentity(models.Model):
    """A client certificate with its key, and the authorities of the servers. Many devices may share one.

    All three texts are encrypted and write-only; what people need in order to tell identities apart (whose
    certificate, until when) is kept beside them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    # Without authorities of its own, those of SSM's machine count; without a certificate, SSM shows none.
    ca_pem = EncryptedTextField(blank=True, default="")
    certificate_pem = EncryptedTextField(blank=True, default="")
    private_key = EncryptedTextField(blank=True, default="")

    subject = models.CharField(max_length=200, blank=True, default="", editable=False)
    fingerprint = models.CharField(max_length=100, blank=True, default="", editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    ca_subject = models.CharField(max_length=200, blank=True, default="", editable=False)
    ca_fingerprint = models.CharField(max_length=100, blank=True, default="", editable=False)
    ca_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TlsIdentityQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = "TLS identity"
        verbose_name_plural = "TLS identities"

    def __str__(self) -> str:
        return self.name
