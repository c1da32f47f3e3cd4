"""Live figures of real containers through the real ASGI application: one upstream, gaps told, nobody held up."""

import asyncio

import pytest
from channels.db import database_sync_to_async

from containers.models import Container
from containers.statistics.following import FollowLimits
from containers.statistics.live import LiveHub, LiveLimits, use_hub
from devices.connections import pool
from devices.models import Device
from devices.services import connection_target
from tests.containers.logstage import add_container, add_device, add_user, session_cookie
from tests.containers.statistics.livestage import BUSY, FiguresReader, eventually
from tests.fleet import Fleet, Host

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fleet]


class Stage:
    """A host with its row, and readers of its containers' figures."""

    def __init__(self, fleet: Fleet, host: Host) -> None:
        self.fleet = fleet
        self.host = host
        self.device: Device = add_device(fleet.entry(host.number))
        self.cookie = session_cookie(add_user("reader"))

    async def container(self, name: str, *command: str, **settings) -> Container:
        """Start a container and add its row."""
        words = list(command) or BUSY
        engine_id = await asyncio.to_thread(lambda: self.host.run(name, "demo/spam:1.0.0", command=words, **settings))
        container: Container = await database_sync_to_async(add_container)(self.device, engine_id, name)
        return container

    def reader(self, container: Container, *, acknowledges: bool = True) -> FiguresReader:
        return FiguresReader(container.pk, self.cookie, acknowledges=acknowledges)

    async def streams(self) -> int:
        """Streams that this process has open on the host."""
        target = await database_sync_to_async(connection_target)(self.device)
        return await asyncio.to_thread(lambda: pool.engine(target).stream_count)

    async def act(self, container: Container, verb: str) -> None:
        await asyncio.to_thread(lambda: self.host.api("POST", f"/containers/{container.engine_id}/{verb}"))


@pytest.fixture
def stage(fleet, docker_host) -> Stage:
    return Stage(fleet, docker_host)


@pytest.fixture
def podman(fleet, podman_host) -> Stage:
    return Stage(fleet, podman_host)


@pytest.fixture
def breakable(fleet, breakable_host) -> Stage:
    return Stage(fleet, breakable_host)


LIMITS = LiveLimits(
    linger_s=0.3, kept=10, follow=FollowLimits(look_s=0.2, first_retry_s=0.2, longest_retry_s=1.0, silence_s=5.0)
)


@pytest.fixture
async def hub():
    hub = LiveHub(LIMITS)
    use_hub(hub)
    yield hub
    await hub.close()


def cpu(reader: FiguresReader) -> list[float]:
    """The CPU figures that came."""
    return [sample["figures"]["cpu_percent"] for sample in reader.samples if sample["figures"]["cpu_percent"]]


async def test_figures_of_docker_come_every_second(stage, hub):
    container = await stage.container("busy")

    reader = await stage.reader(container).open()
    await reader.until(lambda: len(reader.samples) >= 4)

    assert [state["state"] for state in reader.states][-1] == "live"
    assert len(cpu(reader)) >= 3
    assert all(0 < value < 400 for value in cpu(reader))
    distances = [
        after["time"] - before["time"] for before, after in zip(reader.samples, reader.samples[1:], strict=False)
    ]
    assert all(0.4 < distance < 2.5 for distance in distances)
    figures = reader.samples[-1]["figures"]
    assert figures["memory_bytes"] > 0
    assert figures["pids"] >= 1
    assert not any(sample["gap"] for sample in reader.samples)
    await reader.leave()


async def test_figures_of_podman_come_every_other_second(podman, hub):
    container = await podman.container("busy")

    reader = await podman.reader(container).open()
    await reader.until(lambda: len(reader.samples) >= 3)

    assert reader.samples[-1]["time"] - reader.samples[-2]["time"] < 4
    assert cpu(reader)
    assert await podman.streams() == 0
    await reader.leave()


async def test_many_viewers_share_one_upstream_and_newcomers_get_what_is_kept(stage, hub):
    container = await stage.container("busy")
    first = await stage.reader(container).open()
    await first.until(lambda: len(first.samples) >= 3)

    others = [await stage.reader(container).open() for _ in range(20)]
    for reader in others:
        await reader.until(lambda reader=reader: len(reader.samples) >= 4)

    assert len(hub.upstreams) == 1
    assert await stage.streams() == 1
    await first.until(lambda: len(first.samples) >= len(others[0].samples))
    assert others[0].samples[:3] == first.samples[:3]
    for reader in (first, *others):
        await reader.leave()


async def test_upstream_closes_some_time_after_its_last_viewer_left(stage, hub):
    container = await stage.container("busy")
    reader = await stage.reader(container).open()
    await reader.until(lambda: reader.samples)
    (upstream,) = hub.upstreams.values()

    await reader.leave()
    again = await stage.reader(container).open()
    await again.until(lambda: again.samples)
    assert list(hub.upstreams.values()) == [upstream]
    await again.leave()

    await eventually(lambda: not hub.upstreams)
    await eventually(lambda: not upstream.is_running)
    assert await stage.streams() == 0


async def test_container_that_stops_and_starts_shows_it_and_leaves_a_gap(stage, hub):
    container = await stage.container("busy")
    reader = await stage.reader(container).open()
    await reader.until(lambda: len(cpu(reader)) >= 2)

    await stage.act(container, "stop?t=0")
    await reader.state("stopped")
    before = len(reader.samples)
    await stage.act(container, "start")
    await reader.state("live")
    await reader.until(lambda: len(reader.samples) >= before + 2)

    assert reader.samples[before]["gap"] is True
    assert reader.samples[before]["figures"]["cpu_percent"] is None
    assert max(cpu(reader)) < 400
    await reader.leave()


async def test_cut_host_shows_it_and_goes_on_with_a_gap(breakable, hub):
    container = await breakable.container("busy")
    reader = await breakable.reader(container).open()
    await reader.until(lambda: len(reader.samples) >= 2)

    await asyncio.to_thread(lambda: breakable.host.cut())
    await reader.until(lambda: reader.states[-1]["state"] == "offline", 40)
    assert reader.states[-1]["message"]
    before = len(reader.samples)
    await asyncio.to_thread(lambda: breakable.host.heal())
    await reader.until(lambda: len(reader.samples) > before, 60)

    assert reader.samples[before]["gap"] is True
    await reader.leave()


async def test_container_that_is_gone_is_told_as_such(stage, hub):
    container = await stage.container("busy")
    reader = await stage.reader(container).open()
    await reader.until(lambda: reader.samples)

    await asyncio.to_thread(lambda: stage.host.api("DELETE", f"/containers/{container.engine_id}?force=1"))

    await reader.state("removed")
    await reader.leave()


async def test_slow_viewer_gets_the_newest_figure_alone_and_holds_up_nobody(stage, hub):
    container = await stage.container("busy")
    slow = await stage.reader(container).open()
    await slow.until(lambda: slow.samples)
    slow.acknowledges = False
    await slow.until(lambda: len(slow.samples) >= 3)
    quick = await stage.reader(container).open()
    await quick.until(lambda: len(quick.samples) >= 8)

    unseen = len(slow.samples)
    slow.acknowledges = True
    await slow.acknowledge()
    await slow.acknowledge()
    await slow.until(lambda: len(slow.samples) > unseen)
    await quick.until(lambda: quick.samples[-1]["time"] >= slow.samples[unseen]["time"])

    times = [sample["time"] for sample in quick.samples]
    missed = times.index(slow.samples[unseen]["time"]) - times.index(slow.samples[unseen - 1]["time"])
    assert missed >= 3
    await slow.leave()
    await quick.leave()
