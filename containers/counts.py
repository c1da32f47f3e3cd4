"""How many of what, for the home page and the side bar."""

from dataclasses import dataclass

from django.db.models import Count, Q

from containers.models import Container
from containers.querysets import FAILED, UNHEALTHY
from devices.models import Device
from ssm.lib.roles import SomeUser


@dataclass(frozen=True, slots=True)
class NavigationCounts:
    """What needs somebody, for the pills of the side bar."""

    devices_needing_action: int
    containers_needing_action: int


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

    @property
    def stopped(self) -> int:
        """Containers that ended well or never began."""
        return self.exited - self.failed + self.created


def navigation_counts(user: SomeUser) -> NavigationCounts:
    """What of the visible needs somebody. Two queries."""
    devices = Device.objects.visible_to(user).filter(state=Device.State.UNREACHABLE).count()
    return NavigationCounts(devices, Container.objects.visible_to(user).needing_action().count())


def fleet_counts(user: SomeUser) -> FleetCounts:
    """Counts of all that is visible. Two queries."""
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
            restarting=Count("pk", filter=Q(state=state.RESTARTING)),
            paused=Count("pk", filter=Q(state=state.PAUSED)),
            exited=Count("pk", filter=Q(state=state.EXITED)),
            failed=Count("pk", filter=FAILED),
            dead=Count("pk", filter=Q(state=state.DEAD)),
            created=Count("pk", filter=Q(state=state.CREATED)),
        )
    )
    return FleetCounts(**devices, **containers)
