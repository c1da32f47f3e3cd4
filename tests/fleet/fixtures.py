"""pytest fixtures: real hosts, brought up once and shared by all workers.

A test that only uses a host takes a shared lease; one that breaks it (cable, daemons, keys, containers of others) takes
an exclusive one, and gets the host, and leaves it, in its normal state. Leases are file locks, so they hold between
the workers of pytest-xdist too. FLEET_KEEP=1 leaves the fleet up for the next run.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.fleet import TEST_NET, Fleet, FleetError, Host, net_from_environment
from tests.fleet.locks import hold_lock, try_lock

ENGINES = ("20", "26", "28", "podman")

# The first run downloads packages during set-up, which pytest-timeout would count as the test's own time.
_TEST_TIMEOUT_S = 120

_runs = itertools.count(1)


class LeaseHost(Protocol):
    """Type of the `lease_host` fixture."""

    def __call__(self, which: int | str, *, exclusive: bool = False) -> Host:
        """A host by engine (`20`, `26`, `28`, `podman`), number or name, held until the test's end."""
        ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the fleet, and let its timeout begin after the set-up."""
    for item in items:
        if "fleet" not in getattr(item, "fixturenames", ()):
            continue
        item.add_marker(pytest.mark.fleet)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TEST_TIMEOUT_S, func_only=True))


def require_root() -> None:
    """Skip with the reason unless we are root."""
    if os.geteuid() != 0:
        pytest.skip("needs root on Linux: the hosts are made of namespaces (run the tests as root to include them)")


def users_lock(net: int) -> Path:
    """The file whose lock the users of a fleet share; it lies outside the fleet, as `down` removes that."""
    return Path(f"/run/lock/ssm-fleet-{net}.users")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Four hosts (engines 20.10, 26 and 28, podman 4) with their usual containers, and a registry.

    The last worker that used it takes it down. Without root the test is skipped with the reason; anything else that
    is missing fails the test.
    """
    require_root()
    fleet = Fleet(net_from_environment(TEST_NET))
    users = users_lock(fleet.layout.net)
    with hold_lock(users, shared=True):
        try:
            fleet.up(ENGINES)
        except FleetError as error:
            pytest.fail(f"the fleet did not come up: {error}", pytrace=False)
        yield fleet
    if os.environ.get("FLEET_KEEP", "") not in ("", "0"):
        return
    with try_lock(users) as is_last:
        if is_last:
            fleet.down()
            users.unlink()


@pytest.fixture
def lease_host(fleet: Fleet) -> Iterator[LeaseHost]:
    """Function that hands out hosts to one test; what their `run` made is removed at its end.

    Take every host at most once per test, exclusive leases before shared ones and in the order of their numbers, so
    that two workers never wait for each other.
    """
    leased: dict[int, tuple[Host, bool]] = {}
    with contextlib.ExitStack() as stack:

        def lease(which: int | str, *, exclusive: bool = False) -> Host:
            host = fleet.host(which, label=f"{os.getpid()}-{next(_runs)}")
            if host.number in leased:
                known, held_exclusive = leased[host.number]
                assert held_exclusive or not exclusive, f"{host.name} is already leased as shared"
                return known
            stack.enter_context(hold_lock(host.directory / "lease", shared=not exclusive))
            if exclusive:
                fleet.restore(host)
            stack.callback(_give_back, fleet, host, exclusive=exclusive)
            leased[host.number] = (host, exclusive)
            return host

        yield lease


def _give_back(fleet: Fleet, host: Host, *, exclusive: bool) -> None:
    if exclusive:
        fleet.restore(host)
    else:
        host.remove_runs()


@pytest.fixture
def docker_host(lease_host: LeaseHost) -> Host:
    """A host with Docker Engine 28 for tests that leave it as it is, but for containers made by its `run`."""
    return lease_host("28")


@pytest.fixture
def podman_host(lease_host: LeaseHost) -> Host:
    """The host with podman, for tests that leave it as it is, but for containers made by its `run`."""
    return lease_host("podman")


@pytest.fixture
def breakable_host(lease_host: LeaseHost) -> Host:
    """A host with Docker Engine 26 for this test alone: whatever the test does to it is put right afterwards."""
    return lease_host("26", exclusive=True)
