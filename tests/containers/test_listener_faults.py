"""The listener on hosts that are not as they should be: a wrong clock, a container that dies every second."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from containers.models import Container, Event
from devices.models import Device, now
from tests.containers.listening import WORKER, KeptProcess, OwnRedis, Watch
from tests.containers.shifted import shifted_engine
from tests.containers.stage import eventually, unique
from tests.fleet import Fleet
from tests.fleet.fixtures import LeaseHost

pytestmark = pytest.mark.django_db(transaction=True)

STAYS = "test/stubborn"
ENDS = "test/exit"


@pytest.fixture(scope="module")
def worker(django_db_setup: None) -> Iterator[tuple[OwnRedis, KeptProcess]]:
    """A worker and the Redis of all processes here, started once."""
    redis = OwnRedis()
    process = KeptProcess(WORKER, redis.url)
    yield redis, process
    process.stop()
    redis.kill()


@pytest.fixture
def watch(db: None, fleet: Fleet, lease_host: LeaseHost, worker: tuple[OwnRedis, KeptProcess]) -> Iterator[Watch]:
    """The same with a listener, which ends before the test's rows do."""
    watch = Watch(fleet, *worker)
    watch.listen()
    yield watch
    watch.rest()


@pytest.mark.parametrize("minutes", [10, -10], ids=["ahead", "behind"])
def test_listener_host_with_a_wrong_clock_is_followed_all_the_same(
    watch: Watch, lease_host: LeaseHost, minutes: int
) -> None:
    host = lease_host("28")
    shift = timedelta(minutes=minutes)
    with shifted_engine(host, shift) as path:
        [seen] = watch.watched(host, online=False)
        Device.objects.filter(pk=seen.device.pk).update(docker_socket=path)
        seen.await_state("online", 40)
        engine_id = host.run(unique("shifted"), STAYS)
        seen.await_container(engine_id, "running", 10)
        # Another connection takes the stream up where it was, by the host's own clock.
        Device.objects.filter(pk=seen.device.pk).update(
            request_timeout_s=31, port=22, docker_socket=f"/tmp/./{path[5:]}"
        )
        eventually(lambda: seen.now.last_seen_at is not None and seen.now.state == "online", 30)
        host.api("POST", f"/containers/{engine_id}/kill")
        seen.await_container(engine_id, "exited", 20)
        host.api("DELETE", f"/containers/{engine_id}?force=1")
        seen.await_container(engine_id, "removed", 20)

        eventually(lambda: {"start", "die", "destroy"} <= set(seen.actions(engine_id)), 20, "all events")
        told = Event.objects.filter(actor_id=engine_id, action="start").get()
        assert abs(told.time - told.received_at - shift) < timedelta(minutes=1)
        assert seen.actions(engine_id).count("start") == 1
        watch.rest()


def test_listener_container_that_restarts_every_second_is_a_loop_and_no_flood(
    watch: Watch, lease_host: LeaseHost
) -> None:
    [seen] = watch.watched(lease_host("28"))
    name = unique("looping")
    engine_id = seen.host.run(name, ENDS, env={"CODE": "3", "DELAY": "1"}, restart="always")

    row = eventually(
        lambda: Container.objects.filter(engine_id=engine_id, looping_since__isnull=False).first(),
        40,
        "loop recognised",
    )
    assert row in Container.objects.needing_action()
    eventually(lambda: Container.objects.get(pk=row.pk).loop_ends >= 5, 40, "counted on")
    began = time.monotonic()
    other = seen.host.run(unique("meanwhile"), STAYS)
    seen.await_container(other, "running", 5)
    print(f"another container's start seen {time.monotonic() - began:.1f} s after it, beside the loop")

    seen.host.api("POST", f"/containers/{engine_id}/stop?t=1")
    eventually(lambda: Container.objects.get(pk=row.pk).looping_since is None, 20, "over once it is stopped")
    ends = [event.severity for event in Event.objects.filter(actor_id=engine_id, action="die")]
    assert ends.count(3) >= 5


def test_listener_events_not_watched_are_not_stored_and_sweeps_go_on(watch: Watch, lease_host: LeaseHost) -> None:
    [seen] = watch.watched(lease_host("28"))
    Device.objects.filter(pk=seen.device.pk).update(watch_events=False)
    swept_at = seen.now.last_sweep_at
    eventually(lambda: seen.now.last_sweep_at != swept_at and seen.now.state == "online", 30, "connected anew")
    Event.objects.filter(device=seen.device).delete()

    engine_id = seen.host.run(unique("quiet"), STAYS)
    Device.objects.filter(pk=seen.device.pk).update(next_sweep_at=now())
    from tests.queued import take_queued

    take_queued()
    _hand_out(watch)

    seen.await_container(engine_id, "running", 30)
    assert not Event.objects.filter(device=seen.device).exists()


def _hand_out(watch: Watch) -> None:
    """What the beat would send, to the worker's own Redis."""
    from celery import Celery
    from django.conf import settings

    with Celery("test", broker=watch.redis.url, set_as_current=False) as app:
        app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        app.send_task("containers.hand_out_due_work")
