"""Due work of devices: handed out once and spread, never twice at once, never made up for in a heap."""

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection

from devices.models import Device
from devices.work import KINDS, STATISTICS, SWEEP, UPDATE_CHECK, Kind, hand_out, perform, settle
from ssm.lib.locks import lock
from tests.factories import DeviceFactory
from tests.queued import Queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 2, 27, 12, 0, 30, tzinfo=UTC)
LATER = timedelta(days=400)


@pytest.fixture(autouse=True)
def empty_queue() -> None:
    take_queued()


def quiet_device(**columns: Any) -> Device:
    """A device of which nothing is due for a year, but for what the columns say."""
    planned = {kind.next_at: datetime.now(UTC) + LATER for kind in KINDS}
    return DeviceFactory(online=True, **{**planned, **columns})


def stored(device: Device) -> Device:
    return Device.objects.get(pk=device.pk)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    ("columns", "due_in", "is_handed_out"),
    [
        ({}, timedelta(seconds=-1), True),
        ({}, None, True),
        ({}, timedelta(minutes=5), False),
        ({"state": "unreachable"}, timedelta(seconds=-1), False),
        ({"state": "connecting"}, timedelta(seconds=-1), False),
        ({"watch_enabled": False}, timedelta(seconds=-1), False),
    ],
    ids=["due", "never planned", "later", "unreachable", "connecting", "not watched"],
)
def test_hand_out_sends_what_is_due_once(
    kind: Kind, columns: dict[str, Any], due_in: timedelta | None, is_handed_out: bool
) -> None:
    due_at = None if due_in is None else datetime.now(UTC) + due_in
    device = quiet_device(**columns, **{kind.next_at: due_at})

    hand_out()
    hand_out()

    assert take_queued() == ([Queued(kind.task, (str(device.pk),))] if is_handed_out else [])


def test_hand_out_statistics_switched_off_sends_none() -> None:
    quiet_device(statistics_enabled=False, next_statistics_at=None)

    assert hand_out() == 0


def test_hand_out_by_several_at_once_sends_each_once() -> None:
    devices = [quiet_device(next_sweep_at=None) for _number in range(10)]
    start = threading.Barrier(4)

    def tick() -> None:

        start.wait()
        hand_out()
        connection.close()

    threads = [threading.Thread(target=tick) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(task.ids[0] for task in take_queued()) == sorted(str(device.pk) for device in devices)


def test_hand_out_message_lost_is_sent_again_after_minutes() -> None:
    device = quiet_device(next_sweep_at=None)

    hand_out()
    planned = stored(device).next_sweep_at
    take_queued()

    assert planned is not None
    assert timedelta(minutes=1) < planned - datetime.now(UTC) < timedelta(minutes=5)
    assert hand_out(planned + timedelta(seconds=1)) == 1


def test_hand_out_messages_expire_before_the_next_run() -> None:
    quiet_device(next_statistics_at=None)

    hand_out()

    with redis.Redis.from_url(settings.REDIS_URL) as client:
        prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
        [raw] = client.lrange(f"{prefix}celery", 0, -1)
    expires = datetime.fromisoformat(json.loads(raw)["headers"]["expires"])
    assert timedelta(0) < expires - datetime.now(UTC) <= timedelta(minutes=1)


def test_hand_out_missed_runs_of_each_minute_are_left_out_and_of_hours_made_up_once() -> None:
    missed = datetime.now(UTC) - timedelta(hours=5)
    device = quiet_device(next_statistics_at=missed, next_update_check_at=missed)
    # Not within minutes of the next one.
    Device.objects.filter(pk=device.pk).update(update_schedule="0 0 1 1 *")

    hand_out()

    assert [task.name for task in take_queued()] == [UPDATE_CHECK.task]
    planned = stored(device).next_statistics_at
    assert planned is not None
    assert timedelta(0) < planned - datetime.now(UTC) <= timedelta(minutes=1)


def test_hand_out_bad_schedule_does_not_stop_the_others() -> None:
    broken = quiet_device(next_sweep_at=None, sweep_schedule="nonsense")
    fine = quiet_device(next_sweep_at=None)

    hand_out()

    assert {task.ids[0] for task in take_queued()} == {str(broken.pk), str(fine.pk)}


def test_hand_out_many_devices_take_a_constant_number_of_queries(django_assert_num_queries: Any) -> None:
    for _number in range(30):
        quiet_device()

    with django_assert_num_queries(3):
        hand_out()


# ---- when


def test_plan_each_minute_is_spread_over_the_minute_and_stable() -> None:
    devices = [Device(pk=uuid.UUID(int=number), name=str(number)) for number in range(600)]

    runs = [STATISTICS.plan(device, NOON) for device in devices]

    assert runs == [STATISTICS.plan(device, NOON) for device in devices]
    assert all(timedelta(0) < run - NOON <= timedelta(minutes=1) for run in runs)
    busiest = max(sum(1 for run in runs if run == second) for second in set(runs))
    assert busiest < 30  # 600 over 60 seconds: 10 each, had they been counted out
    assert [STATISTICS.plan(device, run) for device, run in zip(devices, runs, strict=True)] == [
        run + timedelta(minutes=1) for run in runs
    ]


def test_plan_kinds_of_one_device_do_not_coincide() -> None:
    devices = [Device(pk=uuid.UUID(int=number), name=str(number)) for number in range(100)]

    spreads = [{kind.plan(device, NOON).second for kind in KINDS} for device in devices]

    assert sum(1 for spread in spreads if len(spread) == len(KINDS)) > 80


def test_plan_slow_host_is_asked_less_often() -> None:
    device = Device(name="slow", statistics_interval_s=300)

    planned = STATISTICS.plan(device, NOON)

    assert timedelta(seconds=270) < planned - NOON <= timedelta(seconds=330)


# ---- doing


def test_perform_while_another_is_at_it_does_nothing_and_queues_nothing() -> None:
    device = quiet_device()
    before = stored(device).next_statistics_at
    done: list[str] = []

    with lock(f"work:statistics:{device.pk}", 30):
        performed = perform(STATISTICS, str(device.pk), done.append)

    assert (performed, done, take_queued()) == (False, [], [])
    assert stored(device).next_statistics_at == before


def test_perform_that_fails_is_planned_and_gives_its_lock_back() -> None:
    device = quiet_device(next_statistics_at=None)

    def fail(_device_id: str) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        perform(STATISTICS, str(device.pk), fail)

    planned = stored(device).next_statistics_at
    assert planned is not None
    assert planned > datetime.now(UTC)
    with lock(f"work:statistics:{device.pk}", 30) as is_free:
        assert is_free


def test_settle_run_asked_for_meanwhile_stays_due() -> None:
    started = datetime.now(UTC) - timedelta(seconds=20)
    asked = datetime.now(UTC) - timedelta(seconds=5)
    device = quiet_device(next_update_check_at=asked)

    settle(UPDATE_CHECK, str(device.pk), started)

    assert stored(device).next_update_check_at == asked


def test_perform_for_a_device_that_is_gone_is_no_error() -> None:
    assert perform(UPDATE_CHECK, str(uuid.uuid4()), lambda _device_id: None)
    assert SWEEP.plans_itself


# ---- locks


def test_lock_is_renewed_while_in_use_and_freed_by_its_owner_alone() -> None:
    name = f"test:{uuid.uuid4()}"

    with lock(name, 0.6) as first:
        threading.Event().wait(1.5)  # two and a half lives of the lock
        with lock(name, 0.6) as second:
            pass
        with lock(name, 0.6) as third:
            pass
    with lock(name, 0.6) as afterwards:
        pass

    assert (first, second, third, afterwards) == (True, False, False, True)
