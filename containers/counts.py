"""How many of what, for the home page and the side bar."""

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, F, Q

from containers.models import Container, UpdateStatus
from containers.querysets import FAILED, LOOPING, NEEDING_ACTION, UNHEALTHY
from devices.models import Device, now
from ssm.lib.roles import SomeUser
from ssm.lib.together import count_together

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
    containers_needing_action: int
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

    @property
    def for_navigation(self) -> NavigationCounts:
        """Those that the side bar shows."""
        return NavigationCounts(self.devices_unreachable, self.containers_needing_action, self.updates)


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
    """What of the visible needs somebody. One query."""
    devices = Device.objects.visible_to(user).filter(state=Device.State.UNREACHABLE)
    counted = count_together(
        (devices, {"devices_needing_action": Count("pk")}),
        (Container.objects.visible_to(user).needing_action(), {"containers_needing_action": Count("pk")}),
        (UpdateStatus.objects.visible_to(user).offering(now()), {"updates": Count("pk")}),
    )
    return NavigationCounts(**counted)


def fleet_counts(user: SomeUser) -> FleetCounts:
    """Counts of all that is visible. One query."""
    devices = dict(
        devices=Count("pk"),
        devices_online=Count("pk", filter=Q(state=Device.State.ONLINE)),
        devices_unreachable=Count("pk", filter=Q(state=Device.State.UNREACHABLE)),
    )
    state, health = Container.State, Container.Health
    containers = dict(
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
        containers_needing_action=Count("pk", filter=NEEDING_ACTION),
    )
    moment = now()
    offered = Q(state="update_available") & (Q(snoozed_until=None) | Q(snoozed_until__lte=moment))
    updates = dict(
        updates=Count("pk", filter=offered),
        updates_major=Count("pk", filter=offered & Q(change="major")),
        updates_minor=Count("pk", filter=offered & Q(change="minor")),
        updates_patch=Count("pk", filter=offered & Q(change="patch")),
        updates_rebuilt=Count("pk", filter=offered & Q(has_digest_update=True)),
        updates_failed=Count("pk", filter=Q(state="error")),
    )
    counted = count_together(
        (Device.objects.visible_to(user), devices),
        (Container.objects.visible_to(user).present(), containers),
        (UpdateStatus.objects.visible_to(user).present(), updates),
    )
    return FleetCounts(**counted)
