"""The listener process with a worker: what happens on real hosts, and between them and us, ends in the rows."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from devices.models import Device, HostKey, now
from devices.rules.host_keys import PinnedKey
from devices.services import request_attempt_now, trust_host_key
from tests.containers.listening import WORKER, KeptProcess, OwnRedis, Watch, database_away
from tests.containers.stage import eventually, unique
from tests.fleet import Fleet
from tests.fleet.fixtures import LeaseHost

pytestmark = pytest.mark.django_db(transaction=True)

CLOCK = "demo/clock:1.0.0"
STAYS = "test/stubborn"
NOTICED_S = 30
BACK_S = 15
# After a connection is back: the resumed stream tells at once, what it cannot tell a sweep does.
CAUGHT_UP_S = 20


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


# ---- on the host


def test_listener_container_started_stopped_and_removed_on_the_host_is_seen(
    watch: Watch, lease_host: LeaseHost
) -> None:
    [seen] = watch.watched(lease_host("28"))

    engine_id = seen.host.run(unique("born"), STAYS)
    seen.await_container(engine_id, "running", 5)
    seen.host.api("POST", f"/containers/{engine_id}/pause")
    seen.await_container(engine_id, "paused", 5)
    seen.host.api("POST", f"/containers/{engine_id}/unpause")
    seen.host.api("POST", f"/containers/{engine_id}/kill")
    seen.await_container(engine_id, "exited", 5)
    seen.host.api("POST", f"/containers/{engine_id}/start")
    seen.await_container(engine_id, "running", 5)
    seen.host.api("DELETE", f"/containers/{engine_id}?force=1")
    seen.await_container(engine_id, "removed", 5)

    told = ["create", "start", "pause", "unpause", "kill", "die", "start", "kill", "die", "destroy"]
    eventually(lambda: [action for action in seen.actions(engine_id) if action in told] == told, 5)


def test_listener_podman_container_started_and_ended_is_seen(watch: Watch, lease_host: LeaseHost) -> None:
    [seen] = watch.watched(lease_host("podman"))

    engine_id = seen.host.run(unique("born"), CLOCK)
    seen.await_container(engine_id, "running", 10)
    seen.host.api("POST", f"/containers/{engine_id}/kill")
    seen.await_container(engine_id, "exited", 10)

    eventually(lambda: "start" in seen.actions(engine_id), 10)


def test_listener_device_no_longer_watched_is_left_alone_until_it_is_again(watch: Watch, lease_host: LeaseHost) -> None:
    [seen] = watch.watched(lease_host("28"))

    Device.objects.filter(pk=seen.device.pk).update(watch_enabled=False)
    seen.await_state("disabled", 5)
    unseen = seen.host.run(unique("unseen"), STAYS)
    Device.objects.filter(pk=seen.device.pk).update(watch_enabled=True)
    seen.await_state("online", 10)

    seen.await_container(unseen, "running", CAUGHT_UP_S)


# ---- between the host and us


def test_listener_cut_host_is_unreachable_and_after_it_all_is_made_up_for(watch: Watch, lease_host: LeaseHost) -> None:
    [seen] = watch.watched(lease_host("26", exclusive=True))
    host = seen.host
    # Were it called lost only when the next connect fails, it would be too late.
    Device.objects.filter(pk=seen.device.pk).update(connect_timeout_s=20)
    started = host.run(unique("started"), STAYS, start=False)
    stopped, removed = host.run(unique("stopped"), STAYS), host.run(unique("removed"), STAYS)
    for engine_id, state in ((started, "created"), (stopped, "running"), (removed, "running")):
        seen.await_container(engine_id, state, 10)

    host.cut(silent=True)
    host.api("POST", f"/containers/{started}/start")
    noticed_s = seen.await_state("unreachable", NOTICED_S)
    told = seen.now
    host.api("POST", f"/containers/{stopped}/kill")
    host.api("DELETE", f"/containers/{removed}?force=1")
    created = host.run(unique("created"), STAYS)
    passing = host.run(unique("passing"), CLOCK)
    host.api("DELETE", f"/containers/{passing}?force=1")
    host.heal()
    back_s = seen.await_state("online", BACK_S)

    for engine_id, state in (
        (started, "running"),
        (stopped, "exited"),
        (removed, "removed"),
        (created, "running"),
    ):
        seen.await_container(engine_id, state, CAUGHT_UP_S)
    eventually(lambda: "destroy" in seen.actions(passing), CAUGHT_UP_S, "events of what came and went meanwhile")
    assert noticed_s < NOTICED_S - 10
    assert told.name in told.state_message
    assert told.state_code in ("connection_lost", "timed_out", "engine_timeout")
    assert told.next_attempt_at is not None
    print(f"cut noticed after {noticed_s:.1f} s, online {back_s:.1f} s after the cable was back")


def test_listener_engine_killed_is_told_and_its_restart_made_up_for(watch: Watch, lease_host: LeaseHost) -> None:
    [seen] = watch.watched(lease_host("26", exclusive=True))
    engine_id = seen.host.run(unique("ends"), STAYS)
    seen.await_container(engine_id, "running", 10)

    seen.host.kill_docker()
    noticed_s = seen.await_state("unreachable", NOTICED_S)
    told = seen.now
    seen.host.start_docker()
    back_s = seen.await_state("online", BACK_S)

    seen.await_container(engine_id, seen.host.api("GET", f"/containers/{engine_id}/json")["State"]["Status"])
    seen.host.api("DELETE", f"/containers/{engine_id}?force=1")
    seen.await_container(engine_id, "removed")
    assert told.state_code == "socket_missing"
    assert told.state_fix
    print(f"dead engine noticed after {noticed_s:.1f} s, online {back_s:.1f} s after it answered")


def test_listener_sshd_killed_is_told_and_its_restart_made_up_for(watch: Watch, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)
    engine_id = host.run(unique("ends"), STAYS)
    [seen] = watch.watched(host)
    seen.await_container(engine_id, "running", 10)
    told_before = seen.actions(engine_id)

    seen.host.kill_ssh()
    noticed_s = seen.await_state("unreachable", NOTICED_S)
    code = seen.now.state_code
    seen.host.api("POST", f"/containers/{engine_id}/kill")
    seen.host.start_ssh()
    back_s = seen.await_state("online", BACK_S)

    seen.await_container(engine_id, "exited", CAUGHT_UP_S)
    # It is the first that this host ever told.
    eventually(lambda: "die" in seen.actions(engine_id), CAUGHT_UP_S, "events of the time without sshd")
    assert told_before == []
    assert code in ("refused", "connection_lost")
    print(f"dead sshd noticed after {noticed_s:.1f} s, online {back_s:.1f} s after it listened")


def test_listener_changed_host_key_is_refused_until_accepted_and_tried_at_once_then(
    watch: Watch, lease_host: LeaseHost
) -> None:
    [seen] = watch.watched(lease_host("26", exclusive=True))
    accepted = HostKey.objects.get(device=seen.device).fingerprint

    seen.host.new_host_key()
    eventually(lambda: seen.now.state_code == "host_key_changed", NOTICED_S, "refused")
    told = seen.now
    shown = watch.fleet.entry(seen.host.number)
    key = PinnedKey(key_type=shown.host_key_type, key_base64=shown.host_key_base64)
    engine_id = seen.host.run(unique("unseen"), STAYS)
    # Long enough that nobody would wait for the next try.
    far = timedelta(seconds=10)
    eventually(lambda: (seen.now.next_attempt_at or now()) > now() + far, 60, "the back-off grows")
    state_before = seen.now.state
    trust_host_key(seen.device, key, None)
    request_attempt_now(seen.device)
    back_s = seen.await_state("online", 8)

    assert told.state == state_before == "unreachable"
    assert accepted in told.state_message + told.state_fix
    assert key.fingerprint in told.state_message + told.state_fix
    assert accepted != key.fingerprint
    seen.await_container(engine_id, "running", CAUGHT_UP_S)
    print(f"online {back_s:.1f} s after try now")


# ---- among us


def test_listener_killed_its_devices_are_taken_over_by_the_other(watch: Watch, lease_host: LeaseHost) -> None:
    first, _second = watch.listeners[0], watch.listen()
    eventually(lambda: watch.redis.listeners() == 2, 30, "two listeners")
    seen = watch.watched(lease_host("26", exclusive=True), lease_host("28"))
    # Leases of an earlier test's devices may not have ended yet.
    shares = {
        holder for device, holder in watch.redis.holders().items() if device in {str(one.device.pk) for one in seen}
    }

    first.kill()
    began = time.monotonic()
    containers = [(one, one.host.run(unique("told"), STAYS)) for one in seen]
    for one, engine_id in containers:
        one.await_container(engine_id, "running", NOTICED_S)
    taken_s = time.monotonic() - began
    one_left = eventually(lambda: len(set(watch.redis.holders().values())) == 1)

    assert len(shares) == 2
    assert one_left
    for one, engine_id in containers:
        one.host.api("POST", f"/containers/{engine_id}/kill")
        one.await_container(engine_id, "exited", 10)
    print(f"taken over {taken_s:.1f} s after kill -9")


def test_listener_asked_to_end_gives_its_devices_away_at_once(watch: Watch, lease_host: LeaseHost) -> None:
    first = watch.listeners[0]
    [seen] = watch.watched(lease_host("28"))
    watch.listen()
    eventually(lambda: watch.redis.listeners() == 2, 30, "two listeners")

    began = time.monotonic()
    code = first.stop()
    ended_s = time.monotonic() - began
    engine_id = seen.host.run(unique("told"), STAYS)
    seen.await_container(engine_id, "running", 10)

    assert code == 0
    assert ended_s < 6


def test_redis_killed_and_back_empty_the_watch_goes_on(watch: Watch, lease_host: LeaseHost) -> None:
    [seen] = watch.watched(lease_host("28"))

    watch.redis.kill()
    meanwhile = seen.host.run(unique("meanwhile"), STAYS)
    seen.await_container(meanwhile, "running", 10)
    watch.redis.start()
    eventually(watch.redis.holders, 20, "the lease is held again")
    afterwards = seen.host.run(unique("afterwards"), STAYS)
    seen.await_container(afterwards, "running", 10)

    # Another connection is a reason to sweep: the worker has found its queue again too.
    swept_at = seen.now.last_sweep_at
    Device.objects.filter(pk=seen.device.pk).update(docker_socket="/run/docker.sock")
    eventually(lambda: seen.now.last_sweep_at != swept_at, 30, "swept again")
    assert seen.now.state == "online"


def test_database_away_and_back_what_happened_meanwhile_is_made_up_for(watch: Watch, lease_host: LeaseHost) -> None:
    [seen] = watch.watched(lease_host("28"))
    stopped, removed = seen.host.run(unique("stopped"), STAYS), seen.host.run(unique("removed"), STAYS)
    for engine_id in (stopped, removed):
        seen.await_container(engine_id, "running", 10)

    with database_away():
        seen.host.api("POST", f"/containers/{stopped}/kill")
        seen.host.api("DELETE", f"/containers/{removed}?force=1")
        created = seen.host.run(unique("created"), STAYS)
        seen.host.wait_for_state(stopped, "exited")
    began = time.monotonic()

    for engine_id, state in ((stopped, "exited"), (removed, "removed"), (created, "running")):
        seen.await_container(engine_id, state, 40)
    print(f"made up for {time.monotonic() - began:.1f} s after the database was back")
    eventually(lambda: "destroy" in seen.actions(removed) and "start" in seen.actions(created), 20)
    seen.await_state("online", BACK_S)
