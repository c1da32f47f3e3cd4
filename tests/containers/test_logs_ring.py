"""The shared ring and its readers: exact skips, bounded memory, the pace of the fastest."""

import asyncio
import json
import threading
from typing import Any

import pytest

from containers.logs.limits import LogLimits
from containers.logs.messages import MarkerMessage
from containers.logs.pace import Pace
from containers.logs.ring import Batch, Mark, Ring
from containers.logs.upstream import Upstream
from containers.rules.logframes import Records

MARKER: MarkerMessage = {"type": "marker", "kind": "started", "text": "Container started"}


def records(first: int, count: int, size: int = 10) -> Records:
    lines = [b"o2026-11-24T10:42:03.%09dZ %s\n" % (first + n, b"x" * size) for n in range(count)]
    return Records(count, b"".join(lines))


def filled(ring: Ring, batches: int, count: int = 10) -> None:
    for _ in range(batches):
        ring.append(records(ring.next_record, count))


def test_ring_over_its_limit_drops_the_oldest_and_keeps_numbers():
    ring = Ring(5000)

    filled(ring, 100)

    assert ring.next_record == 1000
    assert 0 < ring.first_record < 1000
    position, entries = ring.read(ring.first_entry, 10**9)
    assert position == ring.first_entry
    assert sum(len(entry.data) for entry in entries) <= 5000
    assert entries[0].first == ring.first_record
    assert [entry.first for entry in entries] == list(range(ring.first_record, 1000, 10))


def test_ring_with_one_record_larger_than_its_limit_keeps_it():
    ring = Ring(100)

    ring.append(Records(1, b"o " + b"x" * 1000 + b"\n"))

    assert ring.first_record == 0


def test_ring_reads_at_least_one_entry_and_about_the_size():
    ring = Ring(10**6)
    filled(ring, 10)

    assert len(ring.read(0, 1)[1]) == 1
    assert 2 <= len(ring.read(0, 1500)[1]) <= 4
    assert ring.read(ring.end, 1500) == (ring.end, [])


def test_ring_reader_that_was_overtaken_gets_the_middle():
    ring = Ring(5000)
    filled(ring, 100)

    position, entries = ring.read(0, 10**9)

    assert position == ring.first_entry + (ring.end - ring.first_entry) // 2
    assert entries[-1].first == 990


@pytest.mark.parametrize(("record", "expected"), [(0, 0), (9, 0), (10, 1), (35, 4), (40, 5), (41, None), (-1, None)])
def test_ring_position_of_a_record_is_its_entry(record, expected):
    ring = Ring(10**6)
    filled(ring, 3)
    ring.mark(MARKER)
    filled(ring, 1)

    assert ring.position_of(record) == expected


def test_ring_last_records_are_the_newest_in_order():
    ring = Ring(10**6)
    filled(ring, 3)
    ring.mark(MARKER)

    assert ring.last_records(12) == records(18, 12).data.split(b"\n")[:-1]


def test_ring_waits_for_its_fastest_reader_only():
    ring = Ring(3000)
    ring.advance(0)
    filled(ring, 3)
    size = len(records(0, 10).data)

    assert not ring.wait_for_reader(3000, 0.01)
    ring.advance(ring.end)
    assert ring.wait_for_reader(size, 0.01)
    ring.advance(-1)
    assert ring.wait_for_reader(10**9, 0.01)


def test_ring_waiting_writer_goes_on_as_soon_as_a_reader_moved():
    ring = Ring(3000)
    ring.advance(0)
    filled(ring, 5)
    done = []
    thread = threading.Thread(target=lambda: done.append(ring.wait_for_reader(1000, 10)))
    thread.start()

    ring.advance(ring.end)
    thread.join(5)

    assert done == [True]


def test_pace_holds_history_without_limit_and_a_live_log_for_its_lag_only():
    ring = Ring(2000)
    ring.advance(0)
    filled(ring, 5)
    history, live = Pace(lag_s=0.3), Pace(lag_s=0.3)
    waiting = threading.Thread(target=history.give_way, args=(ring, records(0, 10)))
    waiting.start()

    live.read_took(1.0)
    live.give_way(ring, records(0, 10))  # returns although nobody took anything

    assert waiting.is_alive()
    ring.advance(ring.end)
    waiting.join(5)
    assert not waiting.is_alive()


@pytest.fixture
def limits() -> LogLimits:
    return LogLimits(ring_bytes=20_000, window_bytes=4000, message_bytes=1000)


async def upstream_of(limits: LogLimits) -> Upstream:
    """An upstream that is not started: tests write its ring themselves."""
    return Upstream("none", lambda _id: None, tail=10, limits=limits)


async def take(viewer, count: int) -> list[dict[str, Any]]:
    """The next messages; lines without their records."""
    found = []
    for _ in range(count):
        message = await asyncio.wait_for(viewer.message(), 2)
        head = message if isinstance(message, str) else message.partition(b"\n")[0]
        found.append(json.loads(head))
        if isinstance(message, bytes):
            assert message.count(b"\n") - 1 == found[-1]["count"]
            found[-1]["size"] = len(message)
    return found


async def test_viewer_starts_in_the_middle_of_a_batch(limits):
    upstream = await upstream_of(limits)
    filled(upstream.ring, 3)

    opened, state, lines = await take(upstream.attach(tail=13, epoch="", next_record=-1), 3)

    assert (opened["first"], opened["continued"]) == (17, False)
    assert state["state"] == "connecting"
    assert (lines["first"], lines["count"]) == (17, 13)


async def test_viewer_gets_markers_between_the_lines_they_belong_to(limits):
    upstream = await upstream_of(limits)
    filled(upstream.ring, 1)
    upstream.ring.mark(MARKER)
    filled(upstream.ring, 1)

    messages = await take(upstream.attach(tail="all", epoch="", next_record=-1), 5)

    assert [message["type"] for message in messages[2:]] == ["lines", "marker", "lines"]
    assert messages[4]["first"] == 10


async def test_viewer_that_does_not_acknowledge_is_sent_the_window_and_no_more(limits):
    upstream = await upstream_of(limits)
    viewer = upstream.attach(tail=0, epoch="", next_record=-1)
    await take(viewer, 2)
    filled(upstream.ring, 30)

    sent = 0
    with pytest.raises(TimeoutError):
        while True:
            sent += (await take_within(viewer, 0.2))["size"]

    assert limits.window_bytes <= sent <= limits.window_bytes + limits.message_bytes + 200


async def take_within(viewer, seconds: float) -> dict[str, Any]:
    message = await asyncio.wait_for(viewer.message(), seconds)
    head: dict[str, Any] = json.loads(message.partition(b"\n")[0])
    return head | {"size": len(message)}


async def test_viewer_that_was_overtaken_is_told_exactly_what_it_missed(limits):
    upstream = await upstream_of(limits)
    viewer = upstream.attach(tail=0, epoch="", next_record=-1)
    await take(viewer, 2)
    filled(upstream.ring, 5)
    got = (await take(viewer, 1))[0]
    filled(upstream.ring, 200)

    received, skipped, expected = got["count"], 0, got["count"]
    taken = got["size"]
    while received + skipped < 2050:
        viewer.acknowledge(taken)
        (message,) = await take(viewer, 1)
        assert message["first"] == expected
        expected += message["count"]
        if message["type"] == "skipped":
            skipped += message["count"]
        else:
            received += message["count"]
            taken += message["size"]

    assert skipped > 0
    assert received + skipped == 2050


async def test_viewer_with_an_impossible_acknowledgement_gains_nothing(limits):
    upstream = await upstream_of(limits)
    viewer = upstream.attach(tail=0, epoch="", next_record=-1)
    await take(viewer, 2)
    filled(upstream.ring, 30)
    with pytest.raises(TimeoutError):
        while True:
            await take_within(viewer, 0.1)

    for total in (-1, 0, 10**9):
        viewer.acknowledge(total)

    with pytest.raises(TimeoutError):
        await take_within(viewer, 0.1)


async def test_viewer_that_returns_goes_on_after_its_last_record(limits):
    upstream = await upstream_of(limits)
    filled(upstream.ring, 3)

    opened, _, lines = await take(upstream.attach(tail=5, epoch=upstream.epoch, next_record=12), 3)

    assert (opened["first"], opened["continued"]) == (12, True)
    assert (lines["first"], lines["count"]) == (12, 18)


async def test_viewer_that_returns_too_late_is_told_what_it_missed(limits):
    upstream = await upstream_of(limits)
    filled(upstream.ring, 200)

    opened, _, skipped, lines = await take(upstream.attach(tail=5, epoch=upstream.epoch, next_record=3), 4)

    assert opened["continued"] is True
    assert (skipped["type"], skipped["first"]) == ("skipped", 3)
    assert lines["first"] == 3 + skipped["count"]


async def test_viewer_from_another_epoch_starts_with_the_tail(limits):
    upstream = await upstream_of(limits)
    filled(upstream.ring, 3)

    (opened,) = await take(upstream.attach(tail=5, epoch="0" * 16, next_record=12), 1)

    assert (opened["first"], opened["continued"]) == (25, False)


async def test_fifty_viewers_share_the_same_bytes(limits):
    upstream = await upstream_of(limits)
    viewers = [upstream.attach(tail=0, epoch="", next_record=-1) for _ in range(50)]
    filled(upstream.ring, 3)

    entries = [upstream.ring.read(viewer.position, 1000)[1][0] for viewer in viewers]

    assert all(entry is entries[0] for entry in entries)
    assert isinstance(entries[0], Batch)
    assert not isinstance(entries[0], Mark)
