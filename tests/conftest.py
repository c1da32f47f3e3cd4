"""Fixtures of all tests."""

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fleet.fixtures",
    "tests.people",
    "tests.api.caller",
    "tests.append_only",
    "tests.containers.stage",
    "tests.registries.servers.fixtures",
]

# A busy machine is slow; that is no failure of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What `--dist loadgroup` keeps on one worker: all that wait for the same hosts; else a file."""
    for item in items:
        uses_fleet = "fleet" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("fleet" if uses_fleet else item.location[0]))
