"""Fixtures of all tests."""

pytest_plugins = ["tests.fleet.fixtures", "tests.people", "tests.containers.stage", "tests.registries.servers.fixtures"]
