"""Doors to device rows: what a user may see, and what is due."""

from typing import TYPE_CHECKING, Self

from django.contrib.postgres.aggregates import StringAgg
from django.db.models import Count, F, FloatField, Func, Q, QuerySet, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import MD5, Cast, NullIf

from ssm.lib.roles import SomeUser, can_administer, can_view

if TYPE_CHECKING:
    from devices.models import (  # noqa: F401 - in the quoted bases below
        Credential,
        Device,
        DeviceGroup,
        HostKey,
        HostKeyRule,
        ShownKey,
        TlsIdentity,
    )


def _share(part: str, whole: str) -> Combinable:
    return Cast(F(part), FloatField()) / NullIf(Cast(F(whole), FloatField()), 0.0)


class DeviceQuerySet(QuerySet["Device"]):
    """Devices."""

    def visible_to(self, user: SomeUser) -> Self:
        """The devices that the user may see; none for somebody without a role."""
        return self.all() if can_view(user) else self.none()

    def watched(self) -> Self:
        """Devices that are to be connected to and followed."""
        return self.filter(watch_enabled=True)

    def fingerprint(self, *columns: str) -> str:
        """A digest of these columns of all rows, made in the database: the same as long as none of them changes."""
        row = Func(Value("|"), *(F(column) for column in columns), function="CONCAT_WS", output_field=TextField())
        digest = MD5(StringAgg(row, delimiter=",", ordering="pk"))
        return str(self.order_by().aggregate(digest=digest)["digest"])

    def with_counts(self) -> Self:
        """Adds ``container_count`` and ``running_count`` of present containers."""
        present = Q(containers__removed_at=None)
        return self.annotate(
            container_count=Count("containers", filter=present),
            running_count=Count("containers", filter=present & Q(containers__state="running")),
        )

    def with_usage(self) -> Self:
        """Selects what each host uses now; adds ``memory_share`` and ``disk_share``: parts of 1, None if unknown."""
        return self.select_related("usage").annotate(
            memory_share=_share("usage__memory_used_bytes", "usage__memory_total_bytes"),
            disk_share=_share("usage__disk_used_bytes", "usage__disk_total_bytes"),
        )


class CredentialQuerySet(QuerySet["Credential"]):
    """Credentials."""

    def visible_to(self, user: SomeUser) -> Self:
        """Names and fingerprints, for administrators alone."""
        return self.all() if can_administer(user) else self.none()


class DeviceGroupQuerySet(QuerySet["DeviceGroup"]):
    """Defaults of groups of devices."""

    def visible_to(self, user: SomeUser) -> Self:
        """For administrators alone, as credentials."""
        return self.all() if can_administer(user) else self.none()


class TlsIdentityQuerySet(QuerySet["TlsIdentity"]):
    """Certificates and authorities for engines behind TLS."""

    def visible_to(self, user: SomeUser) -> Self:
        """For administrators alone, as credentials."""
        return self.all() if can_administer(user) else self.none()


class HostKeyQuerySet(QuerySet["HostKey"]):
    """Accepted keys of devices."""

    def visible_to(self, user: SomeUser) -> Self:
        """Public keys: for whoever sees the device."""
        return self.all() if can_view(user) else self.none()


class ShownKeyQuerySet(QuerySet["ShownKey"]):
    """Keys that were refused and wait for a decision."""

    def visible_to(self, user: SomeUser) -> Self:
        """For whoever sees the device."""
        return self.all() if can_view(user) else self.none()


class HostKeyRuleQuerySet(QuerySet["HostKeyRule"]):
    """Authorities of host keys, and keys that are never trusted."""

    def visible_to(self, user: SomeUser) -> Self:
        """For administrators alone: they say whom SSM trusts."""
        return self.all() if can_administer(user) else self.none()
