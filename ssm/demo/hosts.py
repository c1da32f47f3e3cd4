"""The demo's machines: three hosts of the fleet program, started, filled and removed."""

import concurrent.futures
import os
import sys
from collections.abc import Callable

from ssm.demo.errors import DemoError
from ssm.demo.plans import ENGINE, HOSTS, HostPlan
from tests.fleet import DEMO_NET, Fleet, FleetError, HostEntry, net_from_environment
from tests.fleet.contents import fill

_HOW_TO = "Run `make demo` with sudo on Debian, or `make run` and add servers of your own."


def start_hosts(emit: Callable[[str], None]) -> list[tuple[HostPlan, HostEntry]]:
    """Have the three hosts up with their containers; returns how to reach each. Hosts that are up stay as they are.

    Takes seconds, and on the first time as long as some 110 MB of Debian packages take. Raises DemoError.
    """
    require_root()
    try:
        fleet = Fleet(net_from_environment(DEMO_NET), emit=emit)
        fleet.up([ENGINE] * len(HOSTS), hostnames=[plan.name for plan in HOSTS], registry=False, bare=True)
        emit("starting the demo's containers")
        with concurrent.futures.ThreadPoolExecutor(len(HOSTS)) as executor:
            list(executor.map(lambda plan: _fill(fleet, plan), HOSTS))
        return [(plan, fleet.entry(plan.name)) for plan in HOSTS]
    except (FleetError, OSError) as error:
        raise DemoError(f"The demo's hosts did not start: {error}.") from error


def stop_hosts(emit: Callable[[str], None], *, keep_packages: bool = False) -> None:
    """Remove the hosts and everything on them, and the package cache unless another fleet uses it.

    `keep_packages` leaves the cache for the next start. Raises DemoError.
    """
    require_root()
    try:
        Fleet(net_from_environment(DEMO_NET), emit=emit).down(purge=not keep_packages)
    except (FleetError, OSError) as error:
        raise DemoError(f"The demo's hosts could not be removed: {error}.") from error


def require_root() -> None:
    """Raise DemoError unless this is Linux and we are root."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise DemoError("The demo needs root on Linux: its hosts are made of namespaces.", fix=_HOW_TO)


def _fill(fleet: Fleet, plan: HostPlan) -> None:
    host = fleet.host(plan.name)
    host.load(*plan.images)
    fill(host, plan.containers)
