"""Several logs as one: merged over two real hosts, searched, counted, paged and loaded down."""

import asyncio
import json
import time
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import AsyncClient, Client

from containers.logs.hub import LogHub, use_hub
from containers.logs.limits import LogLimits
from containers.models import Container
from devices.connections import pool
from devices.models import Device
from ssm.asgi import application
from tests.containers.logstage import add_container, add_device, add_user, session_cookie
from tests.factories import ContainerFactory
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fleet]

# Numbered lines, ten a second, every fifth an error; then it stays.
COUNTER = (
    'i=0; while [ $i -lt 20 ]; do i=$((i+1)); if [ $((i%5)) = 0 ]; then echo "ERROR $0 $i" >&2; '
    'else echo "info $0 $i"; fi; usleep 100000; done; sleep 600'
)
BINARY = "printf '\\000\\377\\033[31mred\\n'; head -c 1200000 /dev/zero | tr '\\0' x; echo; echo the end; sleep 600"


class MergedReader:
    """A browser on the merged page; ``lines`` holds (source, number, text) as they came."""

    def __init__(self, query: str, cookie: str, *, acknowledges: bool = True) -> None:
        headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"cookie", cookie.encode())]
        self.socket = WebsocketCommunicator(application, f"/ws/logs/?{query}", headers=headers)
        self.acknowledges = acknowledges
        self.sources: list[dict[str, Any]] = []
        self.lines: list[tuple[int, int, str]] = []
        self.stamps: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.closed_with = 0
        self.taken = 0

    async def open(self, **command: Any) -> "MergedReader":
        connected, _ = await self.socket.connect(timeout=10)
        assert connected
        await self.socket.send_to(text_data=json.dumps({"type": "open", **command}))
        return self

    async def until(self, reached: Any, timeout_s: float = 30) -> "MergedReader":
        try:
            async with asyncio.timeout(timeout_s):
                while not reached():
                    await self.take()
        except TimeoutError:
            raise AssertionError(f"not reached: {len(self.lines)} lines, {self.lines[-2:]}, {self.told[-4:]}") from None
        return self

    async def take(self) -> None:
        output = await self.socket.output_queue.get()
        if output["type"] == "websocket.close":
            self.closed_with = output.get("code", 1000)
        elif output.get("text") is not None:
            message = json.loads(output["text"])
            self.told.append(message)
            if message["type"] == "sources":
                self.sources = message["sources"]
        else:
            await self._lines(output["bytes"])

    async def _lines(self, data: bytes) -> None:
        head_text, _, body = data.partition(b"\n")
        head = json.loads(head_text)
        records = body.split(b"\n")[:-1]
        assert head["count"] == len(records) == sum(run[2] for run in head["runs"])
        place = 0
        for source, first, count in head["runs"]:
            for offset in range(count):
                mark_stamp, _, text = records[place].partition(b" ")
                self.lines.append((source, first + offset, text.decode("utf-8", "replace")))
                self.stamps.append(mark_stamp[1:].decode())
                place += 1
        self.taken += len(data)
        if self.acknowledges:
            await self.socket.send_to(text_data=json.dumps({"type": "ack", "bytes": self.taken}))

    def of(self, source: int) -> list[str]:
        """The lines of one source, in the order in which they came."""
        return [text for index, _number, text in self.lines if index == source]


class Stage:
    """Two hosts, a viewer, and containers that write."""

    def __init__(self, hosts: dict[str, tuple[Host, Device]], cookie: str) -> None:
        self.hosts = hosts
        self.cookie = cookie

    async def container(self, which: str, name: str, command: str = COUNTER, **columns: Any) -> Container:
        host, device = self.hosts[which]
        words = ["sh", "-c", command, name]
        engine_id = await asyncio.to_thread(lambda: host.run(name, "demo/spam:1.0.0", command=words))
        made: Container = await database_sync_to_async(add_container)(device, engine_id, name)
        if columns:
            await database_sync_to_async(Container.objects.filter(pk=made.pk).update)(**columns)
        return made


@pytest.fixture
def stage(db: None, fleet: Fleet, lease_host: LeaseHost):
    hosts = {}
    for which in ("26", "28"):
        host = lease_host(which)
        hosts[which] = (host, add_device(fleet.entry(host.number)))
    yield Stage(hosts, session_cookie(add_user("reader")))
    pool.close_all()


@pytest.fixture
async def hub():
    hub = LogHub(LogLimits(linger_s=5.0))
    use_hub(hub)
    yield hub
    await hub.close()


async def test_merged_lines_of_two_hosts_come_in_the_engines_order_and_none_is_lost(stage: Stage, hub: LogHub) -> None:
    one, two = await stage.container("26", "lake"), await stage.container("28", "river")
    reader = MergedReader(f"container={one.pk}&container={two.pk}", stage.cookie)

    await reader.open(tail=100)
    await reader.until(lambda: all(len(reader.of(index)) == 20 for index in (0, 1)), 40)

    assert [source["name"] for source in reader.sources] == ["lake", "river"]
    assert reader.of(0) == [f"{'ERROR' if n % 5 == 0 else 'info'} lake {n}" for n in range(1, 21)]
    assert reader.of(1) == [f"{'ERROR' if n % 5 == 0 else 'info'} river {n}" for n in range(1, 21)]
    late = sum(1 for earlier, later in zip(reader.stamps, reader.stamps[1:], strict=False) if later < earlier)
    assert late <= 2, reader.stamps
    assert len(hub.upstreams) == 2
    await reader.socket.disconnect()


async def test_merged_reader_that_comes_back_goes_on_where_it_was(stage: Stage, hub: LogHub) -> None:
    one, two = await stage.container("26", "lake"), await stage.container("28", "river")
    query = f"container={one.pk}&container={two.pk}"
    first = await MergedReader(query, stage.cookie).open(tail=100)
    await first.until(lambda: len(first.of(0)) > 2 and len(first.of(1)) > 2)
    await first.socket.disconnect()
    epochs = {told["source"]: told["epoch"] for told in first.told if told["type"] == "opened"}
    places = {
        source["id"]: {
            "epoch": epochs[source["index"]],
            "next": max(number for index, number, _text in first.lines if index == source["index"]) + 1,
        }
        for source in first.sources
    }

    again = await MergedReader(query, stage.cookie).open(tail=100, places=places)
    await again.until(lambda: all(len(first.of(index) + again.of(index)) >= 20 for index in (0, 1)))

    for index, name in ((0, "lake"), (1, "river")):
        texts = first.of(index) + again.of(index)
        assert [text.split()[-1] for text in texts] == [str(n) for n in range(1, 21)], name
    await again.socket.disconnect()


async def test_merged_choice_by_project_takes_in_what_comes_later(stage: Stage, hub: LogHub, monkeypatch: Any) -> None:
    monkeypatch.setattr("containers.consumers.merged_logs.LOOK_S", 0.2)
    await stage.container("26", "lake", compose_project="water")
    reader = await MergedReader("project=water", stage.cookie).open(tail=10)
    await reader.until(lambda: reader.of(0))

    await stage.container("28", "river", compose_project="water")
    await reader.until(lambda: reader.of(1))

    assert [source["index"] for source in reader.sources] == [0, 1]
    await reader.socket.disconnect()


async def test_merged_slow_reader_holds_up_nobody_and_holds_little(stage: Stage, hub: LogHub) -> None:
    flood = "exec awk 'BEGIN { for (i = 1; i <= 60000; i++) print \"flood line number \" i }'"
    one, two = await stage.container("26", "lake", flood), await stage.container("28", "river")
    query = f"container={one.pk}&container={two.pk}"
    fast = await MergedReader(query, stage.cookie).open(tail=100_000)
    slow = await MergedReader(query, stage.cookie, acknowledges=False).open(tail=100_000)

    await fast.until(lambda: len(fast.of(0)) >= 60_000 and len(fast.of(1)) == 20, 60)

    assert fast.of(0)[-1] == "flood line number 60000"
    assert slow.socket.output_queue.qsize() < 64
    await slow.socket.disconnect()
    await fast.socket.disconnect()


async def test_merged_socket_of_nobody_and_of_nothing_is_closed(db: None) -> None:
    cookie = await database_sync_to_async(lambda: session_cookie(add_user("reader")))()
    for query, with_cookie, code in (("device=x", "", 4401), ("container=x", cookie, 4404)):
        reader = MergedReader(query, with_cookie)
        await reader.socket.connect(timeout=10)
        await reader.until(lambda reader=reader: reader.closed_with)
        assert reader.closed_with == code


def ask(client: Client, what: str, containers: list[Container], **parameters: Any):
    chosen = {"container": [str(container.pk) for container in containers]}
    return client.get(f"/logs/{what}/", chosen | parameters)


async def found_by(user_cookie: str, containers: list[Container], **parameters: str) -> list[dict[str, Any]]:
    """The messages of a search, as they were streamed."""
    client = AsyncClient()
    client.cookies.load(user_cookie)
    chosen: dict[str, Any] = {"container": [str(container.pk) for container in containers]}
    answer = await client.get("/logs/search/", chosen | parameters)
    assert answer.status_code == 200, answer.content
    body = b"".join([piece async for piece in answer.streaming_content])
    return [json.loads(line) for line in body.splitlines()]


async def test_search_over_hosts_gives_hits_and_counts_and_tells_what_could_not_be_read(stage: Stage) -> None:
    one, two = await stage.container("26", "lake"), await stage.container("28", "river")
    gone = await database_sync_to_async(ContainerFactory)(name="gone")
    await asyncio.sleep(2.5)  # what they write takes two seconds, and a search does not wait for more

    messages = await found_by(stage.cookie, [one, two, gone], q="^ERROR .* (5|10)$", pattern="1", case="1", since="10m")

    hits = sorted(message["text"] for message in messages if message["type"] == "hit")
    assert hits == ["ERROR lake 10", "ERROR lake 5", "ERROR river 10", "ERROR river 5"]
    names = {source["index"]: source["name"] for source in messages[0]["sources"]}
    ends = {names[each["source"]]: (each["state"], each["hits"]) for each in messages if each["type"] == "source"}
    assert ends == {"lake": ("done", 2), "river": ("done", 2), "gone": ("failed", 0)}
    assert (messages[-1]["type"], messages[-1]["state"]) == ("end", "partial")


async def test_search_ends_at_its_limit_and_says_so(stage: Stage) -> None:
    one = await stage.container("28", "lake", "seq 1 5000; sleep 600")
    await asyncio.sleep(1)

    messages = await found_by(stage.cookie, [one], q="1", limit="7")

    assert len([message for message in messages if message["type"] == "hit"]) == 7
    assert "first 7 hits" in messages[-1]["message"]


@pytest.mark.parametrize(
    ("what", "parameters", "named"),
    [
        ("search", {"q": "(", "pattern": "1"}, "q: not a regular expression"),
        ("search", {}, "q: give what to look for"),
        ("search", {"q": "x", "since": "soon"}, "since: "),
        ("around", {"at_ns": "-1"}, "at_ns: "),
        ("histogram", {"since": "2020-01-01T00:00:00Z"}, "400 days"),
        ("download", {"stream": "stdin"}, "stream: "),
    ],
)
def test_wrong_parameters_are_named(what: str, parameters: dict[str, str], named: str) -> None:
    client = Client()
    client.force_login(add_user("reader"))

    answer = ask(client, what, [ContainerFactory()], **parameters)

    assert answer.status_code == 400
    assert named in answer.content.decode()


@pytest.fixture
def client(stage: Stage) -> Client:
    return Client(headers={"cookie": stage.cookie})


def written(stage: Stage, which: str, name: str, command: str) -> Container:
    """A container that has written all it writes."""
    host, device = stage.hosts[which]
    engine_id = host.run(name, "demo/spam:1.0.0", command=["sh", "-c", command, name])
    deadline = time.monotonic() + 20
    while host.api("GET", f"/containers/{engine_id}/json")["State"]["Running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return add_container(device, engine_id, name)


def test_around_pages_both_ways_over_two_hosts(stage: Stage, client: Client) -> None:
    one = written(stage, "26", "lake", "for i in 1 2 3 4 5 6; do echo lake $i; usleep 60000; done")
    two = written(stage, "28", "river", "for i in 1 2 3 4 5 6; do echo river $i; usleep 60000; done")
    everything = ask(client, "around", [one, two], before=100, after=0).json()["lines"]
    middle = everything[5]

    answer = ask(client, "around", [one, two], at_ns=middle["time_ns"], before=3, after=2).json()

    assert [line["text"] for line in answer["lines"]] == [line["text"] for line in everything[2:7]]
    assert (answer["at_start"], answer["at_end"], answer["problems"]) == (False, False, [])
    whole = ask(client, "around", [one, two], at_ns=everything[0]["time_ns"], before=5, after=50).json()
    assert (len(whole["lines"]), whole["at_start"], whole["at_end"]) == (12, True, True)
    assert [line["time_ns"] for line in everything] == sorted(line["time_ns"] for line in everything)


def test_histogram_counts_by_level_over_two_hosts(stage: Stage, client: Client) -> None:
    one = written(stage, "26", "lake", "echo plain; echo level=warn x; echo ERROR y >&2; sleep 1")
    two = written(stage, "28", "river", 'sleep 0.3; echo \'{"level":"info","msg":"z"}\'')

    answer = ask(client, "histogram", [one, two], since="10m", buckets=20).json()

    assert [sum(bucket[level] for bucket in answer["counts"]) for level in range(5)] == [1, 1, 1, 0, 1]
    assert (answer["lines"], answer["complete"]) == (4, True)


async def test_download_of_two_is_merged_by_time_with_their_names(stage: Stage) -> None:
    one = await asyncio.to_thread(written, stage, "26", "lake", "echo first; sleep 1; echo third")
    two = await asyncio.to_thread(written, stage, "28", "river", "sleep 0.5; echo second")
    client = AsyncClient()
    client.cookies.load(stage.cookie)
    answer = await client.get("/logs/download/", {"container": [str(one.pk), str(two.pk)]})

    text = b"".join([piece async for piece in answer.streaming_content]).decode()

    assert sorted(line.partition(" | ")[2] for line in text.splitlines()) == ["first", "second", "third"]
    assert {line.partition(" | ")[0].partition("/")[2] for line in text.splitlines()} == {"lake", "river"}


def test_long_and_binary_lines_are_read_whole(stage: Stage, client: Client) -> None:
    one = written(stage, "28", "odd", BINARY.replace("; sleep 600", ""))

    lines = ask(client, "around", [one], before=100, after=0).json()["lines"]

    assert lines[0]["text"] == "\x00\ufffd\x1b[31mred"
    assert lines[-1]["text"] == "the end"
