"""The order in which lines of several logs reach a browser, and what it acknowledges. Logs are given by hand here."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from containers.logs.choosing import SourceEntry
from containers.logs.merging import MergedLog


class GivenViewer:
    """What a test says in place of a followed log, with a viewer's two methods."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.acknowledged = 0
        self.given = 0

    def say(self, first: int, *lines: tuple[float, str]) -> None:
        """Lines with their time as seconds since 1970."""
        records = b"".join(b"o%s %s\n" % (stamp(at).encode(), text.encode()) for at, text in lines)
        message = json.dumps({"type": "lines", "first": first, "count": len(lines)}).encode() + b"\n" + records
        self.given += len(message)
        self.messages.put_nowait(message)

    async def message(self) -> str | bytes:
        return await self.messages.get()

    def acknowledge(self, total: int) -> None:
        self.acknowledged = total


class GivenLogs:
    """In place of the hub."""

    def __init__(self) -> None:
        self.viewers: list[GivenViewer] = []

    def attach(self, _container_id: str, **_options: Any) -> GivenViewer:
        self.viewers.append(GivenViewer())
        return self.viewers[-1]

    def detach(self, viewer: GivenViewer) -> None:
        self.viewers.remove(viewer)


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def entry(index: int) -> SourceEntry:
    return SourceEntry(index=index, id=str(index), name=f"log {index}", device="h", project="", url="/")


@pytest.fixture
async def logs():
    hub = GivenLogs()
    merged = MergedLog(hub, tail=0, hold_s=0.15)
    for index in range(2):
        merged.add(entry(index))
    yield merged, *hub.viewers
    merged.close()


async def taken(merged: MergedLog, count: int) -> list[str]:
    """The next lines, acknowledged as a browser does."""
    texts: list[str] = []
    total = 0
    async with asyncio.timeout(5):
        while len(texts) < count:
            message = await merged.message()
            assert isinstance(message, bytes)
            total += len(message)
            head, *records = message.rstrip(b"\n").split(b"\n")
            assert json.loads(head)["count"] == len(records)
            texts += [record.partition(b" ")[2].decode() for record in records]
            merged.acknowledge(total)
    return texts


async def test_lines_of_two_logs_are_put_in_the_order_of_their_times(logs: Any) -> None:
    merged, one, two = logs
    now = time.time() - 5

    one.say(0, (now, "a"), (now + 2, "c"))
    two.say(0, (now + 1, "b"), (now + 3, "d"))

    assert await taken(merged, 4) == ["a", "b", "c", "d"]
    assert (one.acknowledged, two.acknowledged) == (one.given, two.given)


async def test_order_within_a_log_counts_whatever_its_times(logs: Any) -> None:
    merged, one, two = logs
    now = time.time() - 5

    one.say(0, (now + 2, "first"), (now, "second"))
    two.say(0, (now + 1, "other"))

    assert await taken(merged, 3) == ["other", "first", "second"]


async def test_clock_of_one_host_ahead_does_not_end_the_wait_for_others(logs: Any) -> None:
    merged, one, two = logs
    now = time.time()

    one.say(0, (now + 600, "from the future"))
    two.say(0, (now - 1, "b"))
    one.say(1, (now + 601, "later still"))
    two.say(1, (now, "c"))

    texts = await taken(merged, 4)
    assert [text for text in texts if len(text) == 1] == ["b", "c"]
    assert [text for text in texts if len(text) > 1] == ["from the future", "later still"]
    assert texts[0] == "b"


async def test_reader_that_acknowledges_nothing_gets_a_window_and_no_more(logs: Any) -> None:
    merged, one, two = logs
    now = time.time() - 5
    two.say(0, (now, "x"))
    for number in range(20):
        one.say(number, (now + number, "y" * 100_000))

    received = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            while True:
                received += len(await merged.message())
    assert 512 * 1024 <= received < 800 * 1024
    assert one.acknowledged == 0
