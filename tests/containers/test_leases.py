"""Which listener follows which device, on a real Redis."""

import uuid
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from containers.events.leases import LEASE_S, Leases


@pytest.fixture(autouse=True)
def clean() -> Iterator[redis.Redis]:
    """No leases of others; a client to disturb with."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:

        def clear() -> None:
            for key in [*client.scan_iter("ssm:follow:*"), "ssm:listeners"]:
                client.delete(key)

        clear()
        yield client
        clear()


def devices(count: int) -> set[str]:
    return {str(uuid.uuid4()) for _ in range(count)}


def listener() -> Leases:
    return Leases(settings.REDIS_URL)


def test_hold_one_listener_gets_all_and_keeps_them() -> None:
    one, wanted = listener(), devices(5)

    first = one.hold(wanted, already=set())
    second = one.hold(wanted, already=first)

    assert first == second == wanted


def test_hold_two_listeners_never_share_a_device_and_each_gets_some() -> None:
    one, two, wanted = listener(), listener(), devices(9)
    one.hold(set(), already=set())
    two.hold(set(), already=set())

    first = one.hold(wanted, already=set())
    second = two.hold(wanted, already=set())

    assert first | second == wanted
    assert not first & second
    assert {len(first), len(second)} == {5, 4}


def test_hold_new_device_goes_to_whoever_has_room() -> None:
    one, two, wanted = listener(), listener(), devices(4)
    first = one.hold(wanted, already=set())
    two.hold(wanted, already=set())
    more = wanted | devices(2)

    again = one.hold(more, already=first)
    second = two.hold(more, already=set())

    assert again == first
    assert second == more - wanted


def test_hold_device_that_is_no_longer_wanted_is_left() -> None:
    one, wanted = listener(), devices(3)
    held = one.hold(wanted, already=set())
    fewer = set(sorted(wanted)[:1])

    assert one.hold(fewer, already=held) == fewer
    assert one.hold(set(), already=fewer) == set()


def test_hold_redis_came_back_empty_what_is_at_work_is_kept(clean: redis.Redis) -> None:
    one, wanted = listener(), devices(6)
    held = one.hold(wanted, already=set())
    clean.flushall()

    assert one.hold(wanted, already=held) == wanted


def test_hold_lease_that_another_one_took_is_lost(clean: redis.Redis) -> None:
    one, wanted = listener(), devices(2)
    held = one.hold(wanted, already=set())
    taken = next(iter(wanted))
    clean.set(f"ssm:follow:{taken}", "another", px=20_000)

    assert one.hold(wanted, already=held) == wanted - {taken}


def test_hold_listener_that_died_its_devices_are_taken_over(clean: redis.Redis) -> None:
    dead, heir, wanted = listener(), listener(), devices(4)
    dead.hold(wanted, already=set())
    heir.hold(wanted, already=set())
    for key in [*clean.scan_iter("ssm:follow:*"), "ssm:listeners"]:
        clean.delete(key)  # the 20 seconds are over

    assert heir.hold(wanted, already=set()) == wanted


def test_leases_end_by_themselves(clean: redis.Redis) -> None:
    one, wanted = listener(), devices(1)
    one.hold(wanted, already=set())

    remaining_ms = clean.pttl(f"ssm:follow:{next(iter(wanted))}")

    assert LEASE_S * 750 < int(remaining_ms) <= LEASE_S * 1000


def test_release_all_lets_another_one_take_over_at_once() -> None:
    one, two, wanted = listener(), listener(), devices(3)
    one.hold(wanted, already=set())

    one.release_all()

    assert two.hold(wanted, already=set()) == wanted
    one.release_all()  # again, and what is another's stays
    assert two.hold(wanted, already=wanted) == wanted


def test_release_all_without_redis_is_silent() -> None:
    gone = Leases("redis://127.0.0.1:1/0")

    gone.release_all()

    with pytest.raises(redis.RedisError):
        gone.hold(devices(1), already=set())
