"""Doors to device rows: what a user may see, and what is due."""

from typing import TYPE_CHECKING, Any, Self

from django.contrib.postgres.aggregates import StringAgg
from django.db.models import Count, Exists, F, FloatField, Func, Model, OuterRef, Q, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import MD5, Cast, NullIf

from ssm.lib.roles import Limit, Right
from ssm.lib.scopes import NO_ROWS, ScopedQuerySet, in_groups, labelled

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


def _holding(model: type[Model], limit: Limit) -> Q:
    """Devices with a container that has one of the labels; the container's class by way of the relation."""
    if not limit.labels:
        return Q()
    containers: Any = model._meta.get_field("containers").related_model
    return Q(Exists(containers.objects.filter(labelled(limit), device=OuterRef("pk"), removed_at=None)))


def _of_devices(model: type[Model], limit: Limit) -> Q:
    """Rows of devices within the limit."""
    devices: Any = model._meta.get_field("device").related_model
    return Q(device__in=devices.objects.filter(devices.objects.all().within(limit)))


def _used_within(model: type[Model], limit: Limit) -> Q:
    """Rows that devices within the limit use, and nothing else does.

    Who manages some devices could otherwise send the secrets of others to a server of their choice.
    """
    if limit.labels:
        return NO_ROWS
    used, elsewhere = NO_ROWS, NO_ROWS
    for relation in model._meta.related_objects:
        users: Any = relation.related_model
        names = {field.name for field in users._meta.get_fields()}
        if "groups" in names:
            inside = in_groups(limit, "")
        elif "device" in names:
            inside = in_groups(limit)
        elif users._meta.model_name == "devicegroup":
            inside = Q(name__in=limit.device_groups)
        else:
            continue
        of_row = users._default_manager.filter(**{relation.field.name: OuterRef("pk")})
        used |= Q(Exists(of_row.filter(inside)))
        elsewhere |= Q(Exists(of_row.exclude(inside)))
    return used & ~elsewhere


class DeviceQuerySet(ScopedQuerySet["Device"]):
    """Devices."""

    labels_only_show = True

    def within(self, limit: Limit) -> Q:
        """In one of the groups; where labels limit, with a container that has one."""
        return in_groups(limit, "") & _holding(self.model, limit)

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


class CredentialQuerySet(ScopedQuerySet["Credential"]):
    """Credentials."""

    seen_by = Right.MANAGE_DEVICES

    def within(self, limit: Limit) -> Q:
        """Used by devices within the limit and by no other."""
        return _used_within(self.model, limit)


class DeviceGroupQuerySet(ScopedQuerySet["DeviceGroup"]):
    """Defaults of groups of devices."""

    seen_by = Right.MANAGE_DEVICES

    def within(self, limit: Limit) -> Q:
        """The groups that the limit names."""
        return NO_ROWS if limit.labels else Q(name__in=limit.device_groups)


class TlsIdentityQuerySet(ScopedQuerySet["TlsIdentity"]):
    """Certificates and authorities for engines behind TLS."""

    seen_by = Right.MANAGE_DEVICES

    def within(self, limit: Limit) -> Q:
        """Used by devices within the limit and by no other."""
        return _used_within(self.model, limit)


class HostKeyQuerySet(ScopedQuerySet["HostKey"]):
    """Accepted keys of devices."""

    labels_only_show = True

    def within(self, limit: Limit) -> Q:
        """Of devices within the limit."""
        return _of_devices(self.model, limit)


class ShownKeyQuerySet(ScopedQuerySet["ShownKey"]):
    """Keys that were refused and wait for a decision."""

    labels_only_show = True

    def within(self, limit: Limit) -> Q:
        """Of devices within the limit."""
        return _of_devices(self.model, limit)


class HostKeyRuleQuerySet(ScopedQuerySet["HostKeyRule"]):
    """Authorities of host keys, and keys that are never trusted."""

    # They say whom SSM trusts, for all devices: a limited role does not reach them.
    seen_by = Right.MANAGE_DEVICES
