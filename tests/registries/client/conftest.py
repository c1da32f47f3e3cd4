"""Fixtures of the client's tests."""

from collections.abc import Callable

import pytest

from registries.client import Clock, Limits, Memory, RegistryClient
from tests.registries.servers.stub import Stub

QUICK = Limits(
    # Long enough for a busy machine; tests of these limits set their own.
    connect_s=5,
    read_s=10,
    overall_s=20,
    first_backoff_s=0.01,
    token_bytes=20_000,
    manifest_bytes=50_000,
    config_bytes=50_000,
    tags_bytes=100_000,
    error_bytes=10_000,
    pages=20,
    tags=200,
)


class FakeClock:
    """Time that passes when it is slept, and no other."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        """Unix time."""
        return 1_800_000_000.0 + self.passed

    def monotonic(self) -> float:
        """Seconds."""
        return 1000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.passed += seconds


MakeClient = Callable[..., RegistryClient]


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still until it is slept."""
    return FakeClock()


@pytest.fixture
def make_client(stub: Stub) -> MakeClient:
    """A client that reaches nothing but the stub."""

    def make(limits: Limits = QUICK, clock: Clock | None = None, memory: Memory | None = None) -> RegistryClient:
        return RegistryClient(stub.connector(), limits=limits, clock=clock, memory=memory)

    return make
