"""The status page: what it reads, and what it says needs somebody."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from containers.events.leases import Leases
from ssm.lib import presence
from ssm.lib.jobs import enqueue
from ssm.lib.presence import Announcer, Tick
from ssm.readings import standing
from tests.factories import DeviceFactory, OperationFactory
from tests.people import People
from tests.queued import take_queued

pytestmark = pytest.mark.django_db


@pytest.fixture
def store() -> Iterator["redis.Redis"]:
    with presence.client() as client:
        _empty(client)
        yield client
        _empty(client)


def _empty(client: Any) -> None:
    for pattern in ("ssm:presence*", "ssm:ticks*", "ssm:follow:*", "ssm:listeners"):
        if keys := list(client.scan_iter(pattern)):
            client.delete(*keys)
    take_queued()


def announce(kind: str) -> Announcer:
    told = Announcer(kind)
    told.tell()
    return told


def text_of(people: People) -> str:
    page = people.client("administrator").get("/status/")
    assert page.status_code == 200
    return page.content.decode()


def test_process_that_tells_of_itself_is_alive_until_it_says_goodbye(store: Any) -> None:
    told = announce("web")

    [found] = presence.presences(store)
    assert (found.kind, found.is_silent, found.is_other_version) == ("web", False, False)
    assert abs(found.skew_s) < 1
    assert (found.memory_bytes or 0) > 1_000_000
    told.close()
    assert presence.presences(store) == []


def test_process_that_falls_silent_is_told_of_then_forgotten(store: Any, people: People) -> None:
    announce("listener")
    [(name, seen)] = store.zrange("ssm:presence", 0, -1, withscores=True)

    store.zadd("ssm:presence", {name: seen - presence.SILENT_AFTER_S - 1})
    assert "silent for" in text_of(people)
    store.zadd("ssm:presence", {name: seen - presence.FORGOTTEN_AFTER_S - 1})

    assert presence.presences(store) == []


@pytest.mark.parametrize(
    "text", [b"no json", b"[]", b"null", b'{"kind": "web"}', b'{"kind": 1, "host": 2, "pid": "x"}', b"\xff"]
)
def test_what_strangers_wrote_into_redis_is_passed_over(text: bytes, store: Any) -> None:
    announce("web")
    store.set("ssm:presence:odd", text)
    store.zadd("ssm:presence", {"odd": time.time()})

    assert [one.kind for one in presence.presences(store)] == ["web"]


def test_hostile_names_of_processes_are_escaped(store: Any, people: People) -> None:
    announce("web")
    [(name, _seen)] = store.zrange("ssm:presence", 0, -1, withscores=True)
    key = f"ssm:presence:{name.decode()}"
    store.set(key, json.dumps({**json.loads(store.get(key)), "host": "<script>x</script>", "version": "<b>9"}))

    text = text_of(people)

    assert "<script>x" not in text
    assert "&lt;script&gt;x" in text
    assert "runs version &lt;b&gt;9" in text


def test_age_of_a_queue_is_that_of_its_oldest_message(store: Any, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        enqueue("containers.end_loops")
    key = f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}celery"
    message = json.loads(store.lindex(key, -1))
    message["headers"][presence.SENT_AT] -= 100
    store.rpush(key, json.dumps(message))

    found = {queue.name: queue for queue in presence.queues()}

    assert set(found) == {"celery", "transfers"}
    assert found["celery"].waiting == 2
    assert 100 <= (found["celery"].oldest_s or 0) < 130
    assert (found["transfers"].waiting, found["transfers"].oldest_s) == (0, None)
    assert any("start more workers" in problem for problem in standing().problems)


def test_messages_that_are_none_have_no_age(store: Any) -> None:
    key = f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}transfers"
    store.rpush(key, b"\xff{")

    try:
        assert [queue.oldest_s for queue in presence.queues()] == [None, None]
    finally:
        store.delete(key)


def test_ticks_tell_when_they_ran_and_how(store: Any) -> None:
    presence.note_sent(store, "containers.end_loops")
    presence.note_ran(store, "containers.end_loops", 0.25, "FAILURE")
    store.hset("ssm:ticks", "registries.poll_due", b"odd")

    found = {tick.name: tick for tick in presence.ticks(store, settings.CELERY_BEAT_SCHEDULE)}

    assert set(found) == set(settings.CELERY_BEAT_SCHEDULE)
    assert (found["end-loops"].duration_ms, found["end-loops"].outcome) == (250, "FAILURE")
    assert found["end-loops"].sent_at is not None
    assert found["poll-registries"].ran_at is None


@pytest.mark.parametrize(
    ("every_s", "ran_s_ago", "started_s_ago", "late"),
    [
        (5, 3, 1000, False),
        (5, 60, 1000, True),
        (5, 60, 10, False),
        (3600, None, 60, False),
        (3600, None, 12_000, True),
        (5, None, None, False),
    ],
)
def test_tick_is_late_once_it_has_not_run_for_long(
    every_s: float, ran_s_ago: float | None, started_s_ago: float | None, late: bool
) -> None:
    moment = datetime.now(UTC)
    ran_at = None if ran_s_ago is None else moment - timedelta(seconds=ran_s_ago)
    since = None if started_s_ago is None else moment - timedelta(seconds=started_s_ago)

    assert Tick("t", "t", every_s, None, ran_at, None, "").is_late(since) is late


def test_page_names_what_is_missing_and_who_follows_what(store: Any, people: People) -> None:
    devices = [DeviceFactory(), DeviceFactory(), DeviceFactory(watch_enabled=False)]
    OperationFactory(state="queued")
    leases = Leases(settings.REDIS_URL)
    leases.hold({str(devices[0].pk)}, already=set())
    announce("web")

    found = standing()
    text = text_of(people)

    assert found.leases is not None
    assert (found.leases.watched, found.leases.unheld) == (2 + 1, 1 + 1)  # that of the operation besides
    assert [count for _holder, count in found.leases.by_holder] == [1]
    assert found.work is not None
    assert found.work.queued == 1
    assert found.database is not None
    assert "containers_operation" in {table.name for table in found.database.tables}
    assert "Worker: none is running" in text
    assert "celery -A ssm beat" in text
    assert "followed by no listener" in text
    assert "Web: none is running" not in text


def test_statistics_partitions_count_for_their_table() -> None:
    found = standing().database

    assert found is not None
    names = [table.name for table in found.tables]
    assert len(names) == len(set(names))
    assert all(table.size_bytes >= table.index_bytes for table in found.tables)


def test_page_says_which_store_does_not_answer(people: People, settings: Any) -> None:
    client = people.client("administrator")
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    found = standing()

    assert found.database is not None
    assert found.store is None
    assert any(problem.startswith("Redis could not be read") for problem in found.problems)
    assert client.get("/status/").status_code == 200


def test_reading_costs_the_same_whatever_the_fleet(store: Any) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            standing()
        return len(captured)

    before = queries()
    DeviceFactory.create_batch(5)

    assert queries() == before <= 8
