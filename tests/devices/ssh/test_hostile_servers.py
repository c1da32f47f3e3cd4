"""SSH servers that lie, flood and dawdle: none holds a thread beyond its time-out or fills our memory."""

import time
from collections.abc import Iterator

import pytest

from devices.connections import open_engine
from devices.errors import DeviceError
from devices.rules.host_keys import PinnedKey
from devices.rules.targets import Authentication, ConnectionTarget
from tests.devices.hostile_sshd import POLITE, RAW, HostileServers, hostile_servers
from tests.devices.memory import peak_memory
from tests.devices.waiting import no_threads_left

CONNECT_S, REQUEST_S = 1.0, 1.0
# Connecting, then one request on each of the ways to the engine and a look at why it failed, with some air.
MOST_S = 12.0
MOST_BYTES = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def servers() -> Iterator[HostileServers]:
    """All hostile servers."""
    with hostile_servers() as running:
        yield running


@pytest.mark.parametrize("behaviour", [*RAW, *POLITE])
def test_hostile_server_is_given_up_in_time_and_within_memory(servers: HostileServers, behaviour: str) -> None:
    with no_threads_left(), peak_memory() as peak:
        target = ConnectionTarget(
            device_id="device",
            name="hostile",
            address="127.0.0.1",
            port=servers.ports[behaviour],
            authentication=Authentication("op", password="guess"),
            pinned_keys=(PinnedKey(servers.key_type, servers.key_base64),),
            connect_timeout_s=CONNECT_S,
            request_timeout_s=REQUEST_S,
        )
        started = time.monotonic()
        with pytest.raises(DeviceError) as caught:
            open_engine(target)
        took_s = time.monotonic() - started

    assert took_s < MOST_S
    assert peak.grown < MOST_BYTES, f"{peak.grown >> 20} MiB"
    assert "hostile" in caught.value.message
    assert len(caught.value.message) < 700
    assert "guess" not in str(caught.value)
