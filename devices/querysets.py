"""Doors to device rows: what a user may see, and what is due."""

from typing import TYPE_CHECKING, Self

from django.db.models import Count, Q, QuerySet

from ssm.lib.roles import SomeUser, can_administer, can_view

if TYPE_CHECKING:
    from devices.models import Credential, Device  # noqa: F401 - in the quoted bases below


class DeviceQuerySet(QuerySet["Device"]):
    """Devices."""

    def visible_to(self, user: SomeUser) -> Self:
        """The devices that the user may see; none for somebody without a role."""
        return self.all() if can_view(user) else self.none()

    def watched(self) -> Self:
        """Devices that are to be connected to and followed."""
        return self.filter(watch_enabled=True)

    def with_counts(self) -> Self:
        """Adds ``container_count`` and ``running_count`` of present containers."""
        present = Q(containers__removed_at=None)
        return self.annotate(
            container_count=Count("containers", filter=present),
            running_count=Count("containers", filter=present & Q(containers__state="running")),
        )


class CredentialQuerySet(QuerySet["Credential"]):
    """Credentials."""

    def visible_to(self, user: SomeUser) -> Self:
        """Names and fingerprints, for administrators alone."""
        return self.all() if can_administer(user) else self.none()
