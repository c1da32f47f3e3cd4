"""Logs of real containers through the real ASGI application: nothing lost, nothing twice, nobody held up."""

import asyncio
import time
from collections.abc import Callable

import pytest
from channels.db import database_sync_to_async

from containers.logs.hub import LogHub, use_hub
from containers.logs.limits import LogLimits
from containers.models import Container
from devices.connections import pool
from devices.models import Device
from devices.services import connection_target
from tests.containers.logstage import LogReader, add_container, add_device, add_user, eventually, session_cookie
from tests.fleet import Fleet, Host

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fleet]

# Numbered lines for ever, about 200 a second, every tenth to standard error.
COUNTER = (
    'i=0; while :; do i=$((i+1)); if [ $((i%10)) = 0 ]; then echo "line $i" >&2; else echo "line $i"; fi; '
    "usleep 4000; done"
)
GATED = (
    'until [ -e /go ]; do usleep 20000; done; exec awk -v n=$0 "BEGIN { for (i = 1; i <= n; i++) print \\"line \\" i }"'
)


class Stage:
    """A host with its row, and readers of its containers' logs."""

    def __init__(self, host: Host, device: Device, cookie: str) -> None:
        self.host = host
        self.device = device
        self.cookie = cookie

    async def container(self, name: str, *command: str, image: str = "demo/spam:1.0.0", **settings) -> Container:
        """Start a container and add its row."""
        engine_id = await asyncio.to_thread(
            lambda: self.host.run(name, image, command=list(command) or None, **settings)
        )
        container: Container = await database_sync_to_async(add_container)(self.device, engine_id, name)
        return container

    def reader(self, container: Container, *, acknowledges: bool = True) -> LogReader:
        """A browser that is not connected yet."""
        return LogReader(container.pk, self.cookie, acknowledges=acknowledges)

    async def streams(self) -> int:
        """Streams that this process has open on the host."""
        target = await database_sync_to_async(connection_target)(self.device)
        return await asyncio.to_thread(lambda: pool.engine(target).stream_count)


def make_stage(fleet: Fleet, host: Host) -> Stage:
    return Stage(host, add_device(fleet.entry(host.number)), session_cookie(add_user("reader")))


@pytest.fixture
def stage(fleet, docker_host) -> Stage:
    return make_stage(fleet, docker_host)


@pytest.fixture
def breakable(fleet, breakable_host) -> Stage:
    return make_stage(fleet, breakable_host)


@pytest.fixture
async def hub():
    hub = LogHub(LogLimits(linger_s=0.3, first_retry_s=0.2, longest_retry_s=1.0, look_s=0.2))
    use_hub(hub)
    yield hub
    await hub.close()


def numbers(reader: LogReader) -> list[int]:
    """The n of each "line n"."""
    return [int(text.removeprefix("line ")) for text in reader.texts if text.startswith("line ")]


def assert_gapless(reader: LogReader) -> None:
    found = sorted(numbers(reader))
    assert found == list(range(found[0], found[0] + len(found)))
    assert [line.number for line in reader.lines] == list(
        range(reader.lines[0].number, reader.lines[0].number + len(reader.lines))
    )


async def started(stage: Stage, name: str = "counter") -> Container:
    container = await stage.container(name, "sh", "-c", COUNTER)
    await eventually(lambda: "line 60" in stage.host.exec(f"docker logs {container.engine_id} 2>&1"))
    return container


async def test_tail_then_follow_has_no_hole_and_no_double(stage, hub):
    container = await started(stage)

    reader = await stage.reader(container).open(tail=20)
    await reader.until(lambda: len(reader.lines) >= 300)

    assert_gapless(reader)
    assert {line.mark for line in reader.lines} == {"o", "e"}
    assert [line.mark for line in reader.lines] == ["e" if n % 10 == 0 else "o" for n in numbers(reader)]


async def test_second_viewer_shares_the_stream_and_gets_its_own_tail(stage, hub):
    container = await started(stage)
    first = await stage.reader(container).open(tail=50)
    await first.until(lambda: len(first.lines) >= 100)

    second = await stage.reader(container).open(tail=30)
    await second.until(lambda: len(second.lines) >= 100)
    await first.until(lambda: first.lines[-1].number >= second.lines[-1].number)

    assert_gapless(second)
    assert len(hub.upstreams) == 1
    assert await stage.streams() == 1
    by_number = {line.number: line for line in first.lines}
    assert all(by_number[line.number] == line for line in second.lines if line.number in by_number)


async def test_upstream_closes_some_time_after_its_last_viewer_left(stage, hub):
    container = await started(stage)
    reader = await stage.reader(container).open(tail=5)
    await reader.until(lambda: len(reader.lines) > 10)
    (upstream,) = hub.upstreams.values()

    await reader.leave()

    assert hub.upstreams
    await eventually(lambda: not hub.upstreams)
    await eventually(lambda: not upstream._thread.is_alive())
    assert await stage.streams() == 0


async def test_viewer_that_returns_in_time_goes_on_exactly(stage, hub):
    container = await started(stage)
    reader = await stage.reader(container).open(tail=5)
    await reader.until(lambda: len(reader.lines) > 50)
    await reader.leave()

    again = stage.reader(container)
    await again.open(tail=5, epoch=reader.opened["epoch"], next=reader.lines[-1].number + 1)
    await again.until(lambda: len(again.lines) > 50)

    assert again.opened["continued"] is True
    again.lines = reader.lines + again.lines
    assert_gapless(again)


async def test_terminal_log_is_read_without_frames(stage, hub):
    container = await stage.container("terminal", image="test/terminal", tty=True, env={"INTERVAL": "0.05"})

    reader = await stage.reader(container).open(tail="all")
    await reader.until(lambda: len(reader.lines) >= 10)

    assert reader.texts[0] == "terminal yes"
    assert reader.texts[1:10] == [f"\x1b[32mtick {n}\x1b[0m" for n in range(1, 10)]
    assert {line.mark for line in reader.lines} == {"o"}
    assert all(line.stamp.endswith("Z") for line in reader.lines)


async def test_older_pages_reach_back_to_the_beginning(stage, hub):
    container = await stage.container("history", image="test/lines", env={"COUNT": "4000", "HOLD": "1"})
    await eventually(lambda: "line 4000" in stage.host.exec(f"docker logs --tail 1 {container.engine_id}"))
    reader = await stage.reader(container).open(tail=100)
    await reader.until(lambda: len(reader.lines) == 100)

    while not (reader.pages and reader.pages[-1]["at_start"]):
        pages = len(reader.pages)
        edge = [f"{line.stamp} {line.text}" for line in reader.lines[:16]]
        await reader.send({"type": "older", "before": reader.lines[0].number, "edge": edge, "count": 1500})
        await reader.until(lambda before=pages: len(reader.pages) > before)

    assert numbers(reader) == list(range(1, 4001))
    assert [page["count"] for page in reader.pages] == [1500, 1500, 900]
    assert [line.number for line in reader.lines] == list(range(-3900, 100))


async def test_hostile_lines_come_whole_and_harmless(stage, hub):
    container = await stage.container("hostile", image="test/hostile", env={"HOLD": "1"})

    reader = await stage.reader(container).open(tail="all")
    await reader.until(lambda: "hostile done" in reader.texts)

    assert '<script>document.title="pwned"</script><img src=x onerror=alert(1)>' in reader.texts
    assert any("�" in text for text in reader.texts)
    long = [line for line in reader.lines if line.text.startswith("0123456789abcdef")]
    assert [line.mark for line in long] == ["O", "O", "O", "o"]
    assert sum(len(line.text) for line in long) == 1024 * 1024
    assert "carriage\rreturn" in reader.texts


async def test_last_line_without_newline_is_kept_when_the_container_ends(stage, hub):
    container = await stage.container("ending", "sh", "-c", "echo one; printf 'no newline'")

    reader = await stage.reader(container).open(tail="all")
    await reader.until(lambda: reader.state == "stopped" and reader.markers)

    assert reader.order == ["one", "no newline", "stopped"]
    assert reader.markers[0]["text"] == "Container exited with code 0"


async def test_log_driver_without_reading_says_so_with_a_fix(stage, hub):
    created = stage.host.api(
        "POST",
        "/containers/create?name=unread",
        {
            "Image": "demo/clock:1.0.0",
            "Labels": {"fleet.run": stage.host.label},
            "HostConfig": {"LogConfig": {"Type": "none"}},
        },
    )
    container = await database_sync_to_async(add_container)(stage.device, created["Id"], "unread")

    reader = await stage.reader(container).open()
    await reader.until(lambda: reader.state == "unreadable")

    assert "does not support reading" in reader.states[-1]["message"]
    assert "json-file" in reader.states[-1]["fix"]


async def test_container_that_is_gone_is_told(stage, hub):
    container = await database_sync_to_async(add_container)(stage.device, "f" * 64, "ghost")

    reader = await stage.reader(container).open()

    await reader.until(lambda: reader.state == "removed")


async def test_restart_is_marked_and_followed_without_loss_or_doubles(stage, hub):
    container = await stage.container("again", image="test/lines", env={"COUNT": "500", "HOLD": "1"})
    reader = await stage.reader(container).open(tail="all")
    await reader.until(lambda: len(reader.lines) == 500)

    for round_ in (2, 3):
        await asyncio.to_thread(stage.host.api, "POST", f"/containers/{container.engine_id}/restart?t=2")
        await reader.until(lambda many=round_: len(reader.lines) >= 500 * many)

    once = [f"line {n}" for n in range(1, 501)]
    assert [text for text in reader.order if text.startswith("line")] == once * 3
    assert [marker["kind"] for marker in reader.markers][:2] == ["stopped", "started"]
    assert reader.markers[0]["at"] < reader.markers[1]["at"]


async def test_stopped_container_that_starts_again_is_followed(stage, hub):
    container = await stage.container("later", image="test/lines", env={"COUNT": "50"})
    reader = await stage.reader(container).open(tail="all")
    await reader.until(lambda: reader.state == "stopped" and len(reader.lines) == 50)

    await asyncio.to_thread(stage.host.api, "POST", f"/containers/{container.engine_id}/start")
    await reader.until(lambda: len(reader.lines) == 100 and len(reader.markers) == 3)

    assert numbers(reader) == [*range(1, 51), *range(1, 51)]
    assert [marker["kind"] for marker in reader.markers] == ["stopped", "started", "stopped"]


async def test_recreated_container_is_followed_under_its_row(stage, hub):
    container = await stage.container("twice", image="test/lines", env={"COUNT": "20", "HOLD": "1"})
    reader = await stage.reader(container).open(tail=10)
    await reader.until(lambda: len(reader.lines) == 10)

    await asyncio.to_thread(stage.host.api, "DELETE", f"/containers/{container.engine_id}?force=1")
    await reader.until(lambda: reader.state == "removed")
    new_id = await asyncio.to_thread(
        lambda: stage.host.run("twice", "test/lines", env={"COUNT": "30", "PREFIX": "new", "HOLD": "1"})
    )
    container.engine_id = new_id
    await database_sync_to_async(container.save)()
    await reader.until(lambda: "new 30" in reader.texts)

    assert [text for text in reader.texts if text.startswith("new")] == [f"new {n}" for n in range(1, 31)]
    assert "recreated" in reader.order
    assert reader.order.index("recreated") < reader.order.index("new 1")


async def broken_and_back(stage: Stage, breaks: Callable[[], None], heals: Callable[[], None]) -> LogReader:
    """Follow a counter over a fault of its host; read on for two seconds after the resumption."""
    container = await started(stage)
    reader = await stage.reader(container).open(tail=20)
    await reader.until(lambda: len(reader.lines) >= 100)
    await asyncio.to_thread(breaks)
    await reader.until(lambda: reader.state == "offline", 60)
    seen = len(reader.lines)
    await asyncio.to_thread(heals)
    await reader.until(lambda: reader.state == "live" and len(reader.lines) > seen + 400, 40)
    return reader


@pytest.mark.slow
async def test_cut_cable_is_resumed_without_loss_or_doubles(breakable, hub):
    reader = await broken_and_back(breakable, breakable.host.cut, breakable.host.heal)

    assert_gapless(reader)
    (gap,) = reader.markers
    assert (gap["kind"], gap["complete"]) == ("gap", True)
    assert gap["lost_at"] < gap["at"]


@pytest.mark.slow
async def test_killed_sshd_is_resumed_without_loss_or_doubles(breakable, hub):
    reader = await broken_and_back(breakable, breakable.host.kill_ssh, breakable.host.start_ssh)

    assert_gapless(reader)
    assert [marker["kind"] for marker in reader.markers] == ["gap"]


@pytest.mark.slow
async def test_short_break_below_a_flood_is_resumed_without_loss_or_doubles(breakable, hub):
    flood = 'BEGIN { for (i = 1; i <= 60000; i++) { print "line " i; if (i % 500 == 0) system("usleep 20000") } }'
    container = await breakable.container("flood", "awk", flood)
    reader = await breakable.reader(container).open(tail="all")
    await reader.until(lambda: len(reader.lines) >= 5000)

    for at in (10_000, 25_000):
        await asyncio.to_thread(breakable.host.kill_ssh)
        await asyncio.to_thread(breakable.host.start_ssh)
        await reader.until(lambda many=at: len(reader.lines) >= many, 60)
    await reader.until(lambda: len(reader.lines) >= 60_000, 60)

    assert numbers(reader) == list(range(1, 60_001))


async def test_try_now_ends_the_wait(breakable):
    hub = LogHub(LogLimits(linger_s=0.1, first_retry_s=60.0, longest_retry_s=60.0))
    use_hub(hub)
    container = await started(breakable)
    await asyncio.to_thread(breakable.host.kill_ssh)
    reader = await breakable.reader(container).open(tail=5)
    await reader.until(lambda: reader.state == "offline", 30)
    await asyncio.to_thread(breakable.host.start_ssh)

    began = time.monotonic()
    await reader.send({"type": "retry"})
    await reader.until(lambda: reader.state == "live")

    assert time.monotonic() - began < 10
    await hub.close()


async def test_slow_viewer_skips_exactly_and_harms_nobody(stage):
    limits = LogLimits(ring_bytes=256 * 1024, window_bytes=64 * 1024, message_bytes=16 * 1024, linger_s=0.1)
    hub = LogHub(limits)
    use_hub(hub)
    count = 30_000
    container = await stage.container("gated", "sh", "-c", GATED, str(count))
    fast = await stage.reader(container).open(tail=0)
    slow = await stage.reader(container, acknowledges=False).open(tail=0)
    for reader in (fast, slow):
        await reader.until(lambda each=reader: each.state == "live")

    await asyncio.to_thread(stage.host.exec, ["docker", "exec", container.engine_id, "touch", "/go"])
    await fast.until(lambda: len(fast.lines) == count, 60)
    assert numbers(fast) == list(range(1, count + 1))
    assert not fast.skipped

    while slow.socket.output_queue.qsize():
        await slow.take()
    # One message may go beyond the window, by as much as came from the host at once.
    assert limits.window_bytes <= slow.taken <= limits.window_bytes + 64 * 1024 + 200
    slow.acknowledges = True
    await slow.send({"type": "ack", "bytes": slow.taken})
    await slow.until(lambda: len(slow.lines) + sum(each["count"] for each in slow.skipped) == count)

    assert slow.skipped
    missing = {n for each in slow.skipped for n in range(each["first"], each["first"] + each["count"])}
    assert set(numbers(slow)) == {n + 1 for n in range(count)} - {n + 1 for n in missing}
    assert len(numbers(slow)) + len(missing) == count
    await hub.close()


async def test_lone_slow_viewer_of_history_loses_nothing(stage):
    hub = LogHub(LogLimits(ring_bytes=128 * 1024, window_bytes=32 * 1024, message_bytes=16 * 1024, linger_s=0.1))
    use_hub(hub)
    container = await stage.container("long", image="test/lines", env={"COUNT": "30000"})
    await eventually(
        lambda: stage.host.api("GET", f"/containers/{container.engine_id}/json")["State"]["Running"] is False
    )

    reader = await stage.reader(container, acknowledges=False).open(tail="all")
    await reader.until(lambda: len(reader.lines) > 500)
    reader.acknowledges = True
    await reader.send({"type": "ack", "bytes": reader.taken})
    await reader.until(lambda: len(reader.lines) == 30_000, 60)

    assert numbers(reader) == list(range(1, 30_001))
    assert not reader.skipped
    await hub.close()


async def test_fifty_viewers_cost_one_stream_and_all_get_every_line(stage, hub):
    container = await stage.container("shared", "sh", "-c", GATED, "3000")
    readers = [await stage.reader(container).open(tail=0) for _ in range(50)]
    for reader in readers:
        await reader.until(lambda each=reader: each.state == "live")
    assert len(hub.upstreams) == 1
    assert await stage.streams() == 1

    await asyncio.to_thread(stage.host.exec, ["docker", "exec", container.engine_id, "touch", "/go"])
    await asyncio.gather(*(reader.until(lambda each=reader: len(each.lines) == 3000, 60) for reader in readers))

    assert all(numbers(reader) == list(range(1, 3001)) for reader in readers)


async def test_podman_log_is_followed(fleet, podman_host, hub):
    stage = await database_sync_to_async(make_stage)(fleet, podman_host)
    container = await stage.container("counter", "sh", "-c", COUNTER)

    reader = await stage.reader(container).open(tail=20)
    await reader.until(lambda: len(reader.lines) >= 200, 30)

    assert_gapless(reader)


@pytest.mark.slow
async def test_podman_log_is_resumed_and_scrolled_back_although_it_tells_whole_seconds(fleet, lease_host, hub):
    host = lease_host("podman", exclusive=True)
    stage = await database_sync_to_async(make_stage)(fleet, host)
    container = await stage.container("counter", "sh", "-c", COUNTER)
    reader = await stage.reader(container).open(tail=20)
    await reader.until(lambda: len(reader.lines) >= 200, 30)

    await asyncio.to_thread(host.kill_ssh)
    await asyncio.to_thread(host.start_ssh)
    seen = len(reader.lines)
    await reader.until(lambda: len(reader.lines) > seen + 200, 30)
    edge = [f"{line.stamp} {line.text}" for line in reader.lines[:16]]
    await reader.send({"type": "older", "before": reader.lines[0].number, "edge": edge, "count": 10})
    await reader.until(lambda: reader.pages or reader.errors)

    assert not reader.errors
    assert_gapless(reader)
