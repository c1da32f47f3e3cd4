"""Fixtures of all tests."""

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
