"""Engines and hosts that are slow or misbehave, behind a real sshd."""

import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache

from containers.models import Container, ContainerUsage
from containers.statistics import asking
from containers.statistics.asking import ask
from containers.statistics.lastreadings import recall
from containers.statistics.sampling import read_and_store
from containers.tasks import sample_device
from devices.connections import Engine, pool
from devices.services import connection_target
from tests.containers.logstage import add_device
from tests.containers.stage import unique
from tests.containers.statistics.answers import V1, changed
from tests.devices.servers import answering, unix_server
from tests.fleet import Fleet, Host

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget_readings() -> None:
    cache.clear()


def stats_engine(*, slow: frozenset[str] = frozenset(), slow_s: float = 30, each_s: float = 0.0) -> Any:
    """A stand-in for an engine, that answers a container's figures: never for ``slow`` ones, else after ``each_s``."""
    count = 0

    def respond(request: bytes, connection: socket.socket) -> None:
        nonlocal count
        path = request.split(b" ", 2)[1].decode()
        if "/stats" not in path:
            return _say(connection, {"DockerRootDir": "/var/lib/docker"})
        if path.split("/")[3] in slow:
            time.sleep(slow_s)
            return None
        time.sleep(each_s)
        count += 1
        return _say(connection, changed(V1, "cpu_stats.cpu_usage.total_usage", 515382936 + count * 1000))

    return answering(respond)


def _say(connection: socket.socket, answer: Any) -> None:
    body = json.dumps(answer).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@contextmanager
def standing_in(fleet: Fleet, host: Host, behaviour: Any, count: int) -> Iterator[tuple[Any, Engine, list[Container]]]:
    """A device whose engine is the stand-in, with ``count`` containers that run."""
    with unix_server(host, behaviour, f"{uuid.uuid4().hex[:8]}.sock") as path:
        device = add_device(fleet.entry(host.number), unique("standing-in"))
        device.docker_socket = path
        device.save(update_fields=["docker_socket"])
        rows = Container.objects.bulk_create(
            [
                Container(device=device, engine_id=f"{number:064x}", name=f"c{number}", state="running")
                for number in range(count)
            ]
        )
        try:
            yield device, pool.engine(connection_target(device)), rows
        finally:
            pool.close_all()


def test_container_that_does_not_answer_is_missing_alone(
    fleet: Fleet, docker_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CALL_S", 1.0)
    hangs = f"{3:064x}"
    with standing_in(fleet, docker_host, stats_engine(slow=frozenset({hangs}), slow_s=4), 10) as (device, engine, rows):
        note = read_and_store(device, engine)

        told = set(ContainerUsage.objects.filter(memory_bytes__gt=0).values_list("container__name", flat=True))
        assert told == {row.name for row in rows} - {"c3"}
        assert note.startswith("1 of 10 containers gave no figures: c3: ")
        assert "did not answer in time" in note


def test_engine_that_hangs_is_given_up_soon(fleet: Fleet, docker_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "CALL_S", 1.0)
    everything = frozenset(f"{number:064x}" for number in range(100))
    with standing_in(fleet, docker_host, stats_engine(slow=everything, slow_s=4), 100) as (_device, engine, rows):
        began = time.monotonic()

        answers = ask(engine, [row.engine_id for row in rows], at_once=4, budget_s=20)

        assert time.monotonic() - began < 6
        assert not answers.readings
        assert 2 <= len(answers.failed) <= 8
        assert len(answers.unreached) >= 92


def test_reading_of_a_slow_host_ends_in_time_and_begins_with_the_others_next(
    fleet: Fleet, docker_host: Host, settings: Any
) -> None:
    settings.SSM_STATISTICS_DEVICE_SECONDS = 1
    settings.SSM_STATISTICS_CALLS_AT_ONCE = 2
    with standing_in(fleet, docker_host, stats_engine(each_s=0.25), 12) as (device, engine, _rows):
        began = time.monotonic()
        note = read_and_store(device, engine)
        took_s = time.monotonic() - began
        first = set(recall(device.pk).readings)
        read_and_store(device, engine)
        second = set(recall(device.pk).readings)

    assert took_s < 3
    assert "were not reached in time" in note
    assert 2 <= len(first) < 12
    assert first < second


def test_never_more_containers_are_asked_at_once_than_allowed(fleet: Fleet, docker_host: Host) -> None:
    now, most = [0], [0]

    def respond(_request: bytes, connection: socket.socket) -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.05)
        now[0] -= 1
        _say(connection, V1)

    with standing_in(fleet, docker_host, answering(respond), 24) as (_device, engine, rows):
        answers = ask(engine, [row.engine_id for row in rows], at_once=3, budget_s=20)

    assert len(answers.readings) == 24
    assert most[0] == 3


def test_hostile_answers_are_gaps(fleet: Fleet, docker_host: Host) -> None:
    def respond(request: bytes, connection: socket.socket) -> None:
        _say(connection, ["<script>", {"read": "2026-11-24T10:42:24Z", "cpu_stats": [1]}][b"/stats" in request])

    with standing_in(fleet, docker_host, answering(respond), 3) as (device, engine, _rows):
        assert read_and_store(device, engine) == ""
        assert not ContainerUsage.objects.filter(memory_bytes__gt=0).exists()


def test_sample_of_a_slow_host_makes_its_interval_longer_says_so_and_comes_back(
    fleet: Fleet, docker_host: Host, settings: Any
) -> None:
    settings.SSM_STATISTICS_HOST_PERCENT = 1
    with standing_in(fleet, docker_host, stats_engine(each_s=0.2), 16) as (device, _engine, _rows):
        sample_device(str(device.pk))
        device.refresh_from_db()
        slow_s, said, planned = device.statistics_interval_s, device.last_statistics_error, device.next_statistics_at

        settings.SSM_STATISTICS_HOST_PERCENT = 100
        for _ in range(4):
            sample_device(str(device.pk))
        device.refresh_from_db()

    assert slow_s is not None
    assert slow_s >= 75
    assert f"it is read every {slow_s} s in place of every 60 s" in said
    assert planned is not None
    assert planned > datetime.now(UTC) + timedelta(seconds=slow_s / 2 - 30)
    assert (device.statistics_interval_s, device.last_statistics_error) == (None, "")
