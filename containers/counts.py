"""How many of what, for the home page and the side bar."""

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, F, Q

from containers.models import Container, UpdateStatus
from containers.querysets import FAILED, LOOPING, NEEDING_ACTION, UNHEALTHY
from devices.models import Device, now
from ssm.lib.roles import SomeUser

# Percent from which on a host needs attention. What Linux uses for caches counts as free memory.
NEARLY_FULL_DISK: Final = 90
NEARLY_FULL_MEMORY: Final = 95


@dataclass(frozen=True, slots=True)
class NavigationCounts:
    """What needs somebody, for the pills of the side bar."""

    devices_needing_action: int
    containers_needing_action: int
    updates: int


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Devices by connection and present containers by state."""

    devices: int
    devices_online: int
    devices_unreachable: int
    containers: int
    running: int
    healthy: int
    unhealthy: int
    restarting: int
    paused: int
    exited: int
    failed: int
    dead: int
    created: int
    updates: int
    updates_major: int
    updates_minor: int
    updates_patch: int
    updates_rebuilt: int
    updates_failed: int

    @property
    def stopped(self) -> int:
        """Containers that ended well or never began."""
        return self.exited - self.failed + self.created


@dataclass(frozen=True, slots=True)
class FullHost:
    """A host with little room left: which, and the used share in percent of what is nearly full, None for the rest."""

    device: Device
    disk_percent: float | None
    memory_percent: float | None


def full_hosts(user: SomeUser, limit: int) -> list[FullHost]:
    """Visible hosts that are online and whose disk or memory is nearly full, the fullest disk first. One query.

    The disk is that of the Engine's data. From `NEARLY_FULL_DISK` and `NEARLY_FULL_MEMORY` percent on.
    """
    disk, memory = NEARLY_FULL_DISK / 100, NEARLY_FULL_MEMORY / 100
    devices = (
        Device.objects.visible_to(user)
        .with_usage()
        .filter(state=Device.State.ONLINE, statistics_enabled=True)
        .filter(Q(disk_share__gte=disk) | Q(memory_share__gte=memory))
        .order_by(F("disk_share").desc(nulls_last=True), "name", "pk")
    )
    found = []
    for device in devices[:limit]:
        disk_share, memory_share = getattr(device, "disk_share", None) or 0, getattr(device, "memory_share", None) or 0
        found.append(
            FullHost(
                device,
                disk_share * 100 if disk_share >= disk else None,
                memory_share * 100 if memory_share >= memory else None,
            )
        )
    return found


def navigation_counts(user: SomeUser) -> NavigationCounts:
    """What of the visible needs somebody. Two queries."""
    devices = Device.objects.visible_to(user).filter(state=Device.State.UNREACHABLE).count()
    offered = Q(update__state="update_available")
    offered &= Q(update__snoozed_until=None) | Q(update__snoozed_until__lte=now())
    containers = (
        Container.objects.visible_to(user)
        .present()
        .aggregate(needing_action=Count("pk", filter=NEEDING_ACTION), updates=Count("pk", filter=offered))
    )
    return NavigationCounts(devices, containers["needing_action"], containers["updates"])


def fleet_counts(user: SomeUser) -> FleetCounts:
    """Counts of all that is visible. Three queries."""
    devices = Device.objects.visible_to(user).aggregate(
        devices=Count("pk"),
        devices_online=Count("pk", filter=Q(state=Device.State.ONLINE)),
        devices_unreachable=Count("pk", filter=Q(state=Device.State.UNREACHABLE)),
    )
    state, health = Container.State, Container.Health
    containers = (
        Container.objects.visible_to(user)
        .present()
        .aggregate(
            containers=Count("pk"),
            running=Count("pk", filter=Q(state=state.RUNNING)),
            healthy=Count("pk", filter=Q(state=state.RUNNING, health=health.HEALTHY)),
            unhealthy=Count("pk", filter=UNHEALTHY),
            restarting=Count("pk", filter=LOOPING | Q(state=state.RESTARTING)),
            paused=Count("pk", filter=Q(state=state.PAUSED)),
            exited=Count("pk", filter=Q(state=state.EXITED)),
            failed=Count("pk", filter=FAILED),
            dead=Count("pk", filter=Q(state=state.DEAD)),
            created=Count("pk", filter=Q(state=state.CREATED)),
        )
    )
    return FleetCounts(**devices, **containers, **_update_counts(user))


def _update_counts(user: SomeUser) -> dict[str, int]:
    moment = now()
    offered = Q(state="update_available") & (Q(snoozed_until=None) | Q(snoozed_until__lte=moment))
    counted: dict[str, int] = (
        UpdateStatus.objects.visible_to(user)
        .present()
        .aggregate(
            updates=Count("pk", filter=offered),
            updates_major=Count("pk", filter=offered & Q(change="major")),
            updates_minor=Count("pk", filter=offered & Q(change="minor")),
            updates_patch=Count("pk", filter=offered & Q(change="patch")),
            updates_rebuilt=Count("pk", filter=offered & Q(has_digest_update=True)),
            updates_failed=Count("pk", filter=Q(state="error")),
        )
    )
    return counted
