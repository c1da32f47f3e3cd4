"""Engines that lie, flood and dawdle: none holds a thread beyond its time-out or fills our memory."""

import time
from collections.abc import Iterator, Mapping

import pytest

from containers.sync import take_snapshot
from devices.connections import open_engine
from devices.errors import DeviceError
from devices.rules.targets import Authentication, ConnectionTarget
from tests.devices.hostile_engine import BEHAVIOURS, hostile_engines
from tests.devices.memory import peak_memory
from tests.devices.waiting import no_threads_left

REQUEST_S = 1.0
# The body's limit of 32 MiB, as it is read, put together and looked at.
MOST_BYTES = 160 * 1024 * 1024


@pytest.fixture(scope="module")
def ports() -> Iterator[Mapping[str, int]]:
    """Ports of hostile engines."""
    with hostile_engines() as running:
        yield running


@pytest.mark.parametrize("behaviour", list(BEHAVIOURS))
def test_hostile_answer_is_refused_in_time_and_within_memory(ports: Mapping[str, int], behaviour: str) -> None:
    target = ConnectionTarget(
        device_id="device",
        name="hostile",
        address="127.0.0.1",
        port=ports[behaviour],
        authentication=Authentication(""),
        connect_timeout_s=2.0,
        request_timeout_s=REQUEST_S,
        transport="tcp",
    )
    with no_threads_left(), peak_memory() as peak:
        engine = open_engine(target)
        started = time.monotonic()
        with pytest.raises(DeviceError) as caught:
            take_snapshot(engine)
        took_s = time.monotonic() - started
        engine.close()

    assert took_s < REQUEST_S + 2.0
    assert peak.grown < MOST_BYTES, f"{peak.grown >> 20} MiB"
    assert "hostile" in caught.value.message
    assert len(caught.value.message) < 400
