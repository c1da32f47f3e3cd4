"""Cables, daemons and keys that fail in the middle of things."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from devices.connections import ConnectionPool
from devices.errors import CircuitOpen, ConnectionLost, DeviceError, EngineTimeout, SocketMissing
from tests.devices.targets import target_of
from tests.devices.waiting import no_threads_left, wait_until
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost

HANGING = "/containers/clock/wait"


@pytest.fixture
def pool() -> Iterator[ConnectionPool]:
    with no_threads_left():
        made = ConnectionPool()
        yield made
        made.close_all()


def test_request_over_a_link_that_is_cut_silently_ends_by_its_deadline(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool
) -> None:
    target = target_of(fleet, breakable_host)
    engine = pool.engine(target)
    breakable_host.cut(silent=True)
    started = time.monotonic()

    with pytest.raises(ConnectionLost):
        engine.get_json("/containers/json", timeout_s=2)

    assert time.monotonic() - started < 2.5
    assert not pool.state(target.device_id).open


def test_stream_over_a_link_that_is_cut_silently_is_noticed(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool
) -> None:
    engine = pool.engine(target_of(fleet, breakable_host))
    stream = engine.stream("/events", read_timeout_s=None)
    breakable_host.cut(silent=True)
    started = time.monotonic()

    with pytest.raises(ConnectionLost):
        next(stream)

    assert time.monotonic() - started < 28


def test_ping_over_a_link_that_is_cut_ends_the_streams_too(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool
) -> None:
    engine = pool.engine(target_of(fleet, breakable_host))
    stream = engine.stream("/events", read_timeout_s=None)
    with ThreadPoolExecutor(1) as executor:
        reader = executor.submit(next, stream)
        breakable_host.cut(silent=True)

        with pytest.raises(ConnectionLost):
            engine.ping(timeout_s=1)

        with pytest.raises(ConnectionLost):
            reader.result(timeout=3)


@pytest.mark.parametrize("what", ["request", "stream"])
def test_sshd_killed_in_the_middle_is_connection_lost_at_once(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool, what: str
) -> None:
    engine = pool.engine(target_of(fleet, breakable_host))

    def work() -> object:
        if what == "request":
            return engine.post(HANGING, timeout_s=60)
        with engine.stream("/events", read_timeout_s=None) as stream:
            return list(stream)

    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(work)
        wait_until(lambda: engine.is_busy)
        breakable_host.kill_ssh()

        with pytest.raises(ConnectionLost):
            running.result(timeout=5)


def test_engine_killed_in_mid_stream_is_no_normal_end(fleet: Fleet, breakable_host: Host, pool: ConnectionPool) -> None:
    engine = pool.engine(target_of(fleet, breakable_host))
    with ThreadPoolExecutor(1) as executor:
        stream = engine.stream("/containers/clock/logs", {"stdout": True, "follow": True}, read_timeout_s=None)
        next(stream)
        running = executor.submit(list, stream)
        breakable_host.kill_docker()

        with pytest.raises(ConnectionLost):
            running.result(timeout=10)


def test_engine_that_died_is_missing_and_found_again_after_its_start(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool
) -> None:
    target = target_of(fleet, breakable_host)
    pool.engine(target).ping()
    breakable_host.kill_docker()

    with pytest.raises(SocketMissing):
        pool.engine(target).get_json("/containers/json")
    with pytest.raises(DeviceError) as again:
        pool.engine(target)

    assert again.value.code in ("socket_missing", "circuit_open")
    breakable_host.start_docker()
    pool.reset(target.device_id)
    assert pool.engine(target).get_json("/containers/json", {"all": True})


def test_engine_restarted_behind_idle_channels_goes_unnoticed(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool
) -> None:
    engine = pool.engine(target_of(fleet, breakable_host))
    engine.ping()
    breakable_host.kill_docker()
    breakable_host.start_docker()

    assert engine.get_json("/containers/json", {"all": True})
    assert engine.is_open


def test_host_that_came_back_is_reached_again_within_fifteen_seconds(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool
) -> None:
    target = target_of(fleet, breakable_host, connect_timeout_s=3)
    engine = pool.engine(target)
    breakable_host.cut(silent=True)
    with pytest.raises(ConnectionLost):
        engine.ping(timeout_s=1)
    codes: list[str] = []
    while codes.count("timed_out") < 3:
        _wait_for_the_breaker(pool, target.device_id)
        with pytest.raises(DeviceError) as caught:
            pool.engine(target)
        codes.append(caught.value.code)
    # A connection that was lost this soon after it was opened counts as a failure too, or is one try less.
    assert codes[-3:] == ["timed_out"] * 3
    assert pool.state(target.device_id).failures >= 3

    breakable_host.heal()
    healed = time.monotonic()
    while True:
        try:
            pool.engine(target).ping()
            break
        except CircuitOpen:
            threading.Event().wait(0.1)

    assert time.monotonic() - healed < 15
    assert pool.state(target.device_id).failures == 0


def test_dead_host_slows_no_other(fleet: Fleet, lease_host: LeaseHost, pool: ConnectionPool) -> None:
    dead, alive = lease_host("26", exclusive=True), lease_host("28")
    dead_target, target = target_of(fleet, dead, connect_timeout_s=4), target_of(fleet, alive)
    dead.cut(silent=True)
    with ThreadPoolExecutor(8) as executor:
        waiting = [executor.submit(pool.engine, dead_target) for _ in range(8)]
        started = time.monotonic()

        for _ in range(50):
            pool.engine(target).get_json("/containers/json")

        assert time.monotonic() - started < 2.5
        errors = [future.exception(timeout=10) for future in waiting]
    assert {error.code for error in errors if isinstance(error, DeviceError)} == {"timed_out"}
    assert len({id(error) for error in errors}) == 8
    assert pool.state(dead_target.device_id).failures == 1


def test_engine_that_hangs_is_told_from_a_dead_connection(
    fleet: Fleet, breakable_host: Host, pool: ConnectionPool
) -> None:
    engine = pool.engine(target_of(fleet, breakable_host))
    started = time.monotonic()

    with pytest.raises(EngineTimeout):
        engine.post(HANGING, timeout_s=1)

    assert time.monotonic() - started < 1.5
    assert engine.is_open
    engine.ping()


def _wait_for_the_breaker(pool: ConnectionPool, device_id: str) -> None:
    wait_until(lambda: (pool.state(device_id).next_try_at or 0) <= time.time(), 15)
