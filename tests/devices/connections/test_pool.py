"""The pool: one connection per device, shared, given up, and left alone after failures."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from devices.connections import ConnectionPool, Engine, open_engine
from devices.errors import AuthenticationFailed, CircuitOpen, ConnectionLost, DeviceError
from devices.rules.targets import Authentication, ConnectionTarget
from tests.devices.servers import tcp_server
from tests.devices.targets import by_key, by_password, target_of
from tests.devices.waiting import no_threads_left, wait_until
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost


@pytest.fixture
def opened() -> list[ConnectionTarget]:
    """Targets in the order in which connections were opened to them."""
    return []


@pytest.fixture
def pool(opened: list[ConnectionTarget]) -> Iterator[ConnectionPool]:
    with no_threads_left():
        made = ConnectionPool(opener=_counting(opened), most_connections=2, idle_s=3600, tidy_every_s=3600)
        yield made
        made.close_all()


def _counting(opened: list[ConnectionTarget]):
    def open_counted(target: ConnectionTarget, handshakes: AbstractContextManager[object]) -> Engine:
        opened.append(target)
        return open_engine(target, handshakes)

    return open_counted


def test_engine_asked_for_by_many_threads_is_opened_once(
    fleet: Fleet, docker_host: Host, pool: ConnectionPool, opened: list[ConnectionTarget]
) -> None:
    target = target_of(fleet, docker_host)

    with ThreadPoolExecutor(20) as executor:
        engines = set(executor.map(lambda _: pool.engine(target), range(60)))

    assert len(engines) == 1
    assert len(opened) == 1
    state = pool.state(target.device_id)
    assert (state.open, state.failures, state.channel_kind) == (True, 0, "streamlocal")


def test_forty_threads_share_eight_channels(fleet: Fleet, docker_host: Host, pool: ConnectionPool) -> None:
    engine = pool.engine(target_of(fleet, docker_host))
    most = 0

    def ask(number: int) -> int:
        nonlocal most
        listed = engine.get_json("/containers/json", {"all": True, "limit": number % 5 + 1})
        most = max(most, engine.channel_count)
        return len(listed)

    with ThreadPoolExecutor(40) as executor:
        counts = list(executor.map(ask, range(400)))

    assert counts == [number % 5 + 1 for number in range(400)]
    assert most <= 8


def test_target_with_another_credential_gets_a_new_connection(
    fleet: Fleet, docker_host: Host, pool: ConnectionPool, opened: list[ConnectionTarget]
) -> None:
    target = target_of(fleet, docker_host)
    first = pool.engine(target)

    second = pool.engine(replace(target, authentication=by_password(fleet, docker_host)))

    assert second is not first
    wait_until(lambda: not first.is_open)
    assert len(opened) == 2


def test_target_renamed_keeps_its_connection_and_is_named_anew(
    fleet: Fleet, docker_host: Host, pool: ConnectionPool, opened: list[ConnectionTarget]
) -> None:
    target = target_of(fleet, docker_host)
    pool.engine(target)

    engine = pool.engine(replace(target, name="renamed"))

    assert len(opened) == 1
    with pytest.raises(DeviceError) as caught:
        engine.get_json("/containers/none/json")
    assert "renamed" in caught.value.message


def test_failure_opens_the_circuit_and_reset_closes_it(
    fleet: Fleet, docker_host: Host, pool: ConnectionPool, opened: list[ConnectionTarget]
) -> None:
    wrong = target_of(fleet, docker_host, Authentication("op", password="wrong-one"))
    with pytest.raises(AuthenticationFailed) as failure:
        pool.engine(wrong)

    with pytest.raises(CircuitOpen) as refused:
        pool.engine(wrong)

    assert len(opened) == 1
    assert failure.value.message in refused.value.message
    assert "needs a person" in refused.value.message
    assert refused.value.fix == failure.value.fix
    assert refused.value.details["cause"] == "authentication_failed"
    assert 0 < refused.value.details["retry_at"] - time.time() <= 2
    state = pool.state(wrong.device_id)
    assert (state.open, state.failures, state.last_error) == (False, 1, failure.value)

    pool.reset(wrong.device_id)
    with pytest.raises(AuthenticationFailed):
        pool.engine(wrong)
    assert len(opened) == 2


def test_corrected_credential_is_tried_at_once(fleet: Fleet, docker_host: Host, pool: ConnectionPool) -> None:
    wrong = target_of(fleet, docker_host, Authentication("op", password="wrong-one"))
    with pytest.raises(AuthenticationFailed):
        pool.engine(wrong)

    pool.engine(replace(wrong, authentication=by_key(fleet))).ping()

    assert pool.state(wrong.device_id).failures == 0


def test_tidying_closes_the_least_recently_used_connection_but_no_busy_one(
    fleet: Fleet, lease_host: LeaseHost, pool: ConnectionPool
) -> None:
    targets = [target_of(fleet, lease_host(which)) for which in ("20", "28", "podman")]
    busy, idle, latest = (pool.engine(target) for target in targets)
    stream = busy.stream("/events", read_timeout_s=None)

    pool.tidy()

    assert busy.is_open
    assert not idle.is_open
    assert latest.is_open
    stream.close()


def test_tidying_closes_what_was_idle_for_long(fleet: Fleet, docker_host: Host) -> None:
    with no_threads_left():
        pool = ConnectionPool(idle_s=0.05, tidy_every_s=0.05)
        target = target_of(fleet, docker_host)
        engine = pool.engine(target)

        wait_until(lambda: not engine.is_open)

        pool.engine(target).ping()
        wait_until(lambda: not pool.state(target.device_id).open)


def test_forgotten_device_is_disconnected(fleet: Fleet, docker_host: Host, pool: ConnectionPool) -> None:
    target = target_of(fleet, docker_host)
    engine = pool.engine(target)
    stream = engine.stream("/events", read_timeout_s=None)

    pool.forget(target.device_id)

    with pytest.raises(ConnectionLost):
        next(stream)
    with pytest.raises(ConnectionLost):
        engine.ping()
    assert pool.state(target.device_id).open is False


def test_device_forgotten_while_it_connects_is_not_kept() -> None:
    release = threading.Event()

    def wait(connection: object) -> None:
        release.wait(10)

    with tcp_server(wait) as port, no_threads_left():
        pool = ConnectionPool()
        target = ConnectionTarget(
            "1", "slow", "127.0.0.1", port, Authentication("op", password="x"), connect_timeout_s=2
        )
        with ThreadPoolExecutor(1) as executor:
            opening = executor.submit(pool.engine, target)
            wait_until(lambda: pool._slots["1"].flight is not None)
            pool.forget("1")
            release.set()
            assert isinstance(opening.exception(timeout=5), DeviceError)
        assert pool.state("1").failures == 0


def test_handshakes_are_bounded_per_process() -> None:
    active: list[int] = []
    most = 0
    lock = threading.Lock()

    def stall(connection: object) -> None:
        nonlocal most
        with lock:
            active.append(1)
        threading.Event().wait(0.3)
        with lock:
            active.pop()

    with tcp_server(stall) as port, no_threads_left():
        pool = ConnectionPool(most_handshakes=2)
        limit = pool._handshakes
        targets = [
            ConnectionTarget(str(number), "slow", "127.0.0.1", port, Authentication("op", password="x"))
            for number in range(8)
        ]

        def ask(target: ConnectionTarget) -> None:
            nonlocal most
            with pytest.raises(DeviceError):
                pool.engine(target)

        started = time.monotonic()
        with ThreadPoolExecutor(8) as executor:
            list(executor.map(ask, targets))
        assert limit._value == 2
        assert time.monotonic() - started < 10


def test_unsaved_device_has_no_place_in_the_pool(pool: ConnectionPool) -> None:
    target = ConnectionTarget("", "new", "127.0.0.1", 22, Authentication("op"))

    with pytest.raises(ValueError, match="diagnose"):
        pool.engine(target)
