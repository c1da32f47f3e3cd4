"""The ticks: each finds what is due, hands it out once, and forgets nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from containers import tasks
from containers.models import Event, IdempotentRequest, Operation
from devices.models import Device
from devices.services import doubt_silent_devices, note_online, request_attempt_now
from ssm.lib.locks import lock
from tests.containers.stage import MakeStage
from tests.factories import ContainerFactory, DeviceFactory, EventFactory, OperationFactory
from tests.queued import run_queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def empty_queue() -> None:
    take_queued()
    cache.clear()


def from_now(**time: float) -> datetime:
    return datetime.now(UTC) + timedelta(**time)


def reckoned(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns in which a span of time stands for that long from now: tables are read long before they are tried."""
    return {
        name: datetime.now(UTC) + value if isinstance(value, timedelta) else value for name, value in columns.items()
    }


def stored(device: Device) -> Device:
    return Device.objects.get(pk=device.pk)


# ---- sweeps


def test_sweep_device_while_another_one_is_at_it_stays_due() -> None:
    device = DeviceFactory(online=True, next_sweep_at=from_now(hours=1))

    with lock(f"work:sweep:{device.pk}", 30):
        tasks.sweep_device(str(device.pk))

    swept = stored(device)
    assert swept.next_sweep_at is not None
    assert swept.next_sweep_at <= datetime.now(UTC)
    assert swept.last_sweep_at == device.last_sweep_at


def test_sweep_device_real_host_is_swept_and_planned_anew(make_stage: MakeStage) -> None:
    stage = make_stage("28")
    note_online(stage.device, engine={}, channel_kind="streamlocal")
    assert stored(stage.device).next_sweep_at <= datetime.now(UTC)  # type: ignore[operator]

    Device.objects.filter(pk=stage.device.pk).update(statistics_enabled=False, next_update_check_at=from_now(hours=1))
    tasks.hand_out_due_work()
    names = run_queued()

    device = stored(stage.device)
    assert names == ["containers.sweep_device"]
    assert device.containers.count() == len(stage.host.containers())
    assert device.last_sweep_error == ""
    assert device.last_sweep_at is not None
    assert device.next_sweep_at is not None
    assert device.next_sweep_at > datetime.now(UTC)


def test_sweep_device_that_cannot_be_reached_tells_why() -> None:
    made = DeviceFactory(online=True, address="127.0.0.1", port=1, next_sweep_at=from_now(seconds=-1))

    tasks.sweep_device(str(made.pk))

    device = stored(made)
    assert "refuse" in device.last_sweep_error.lower()
    assert device.last_sweep_at is not None  # the factory's: the last one that was complete
    assert device.next_sweep_at is not None
    assert from_now(minutes=0) < device.next_sweep_at <= from_now(minutes=5)


@pytest.mark.parametrize("device_id", ["00000000-0000-4000-8000-000000000000"])
def test_sweep_device_that_is_gone_does_nothing(device_id: str) -> None:
    tasks.sweep_device(device_id)


# ---- history


def test_expire_history_deletes_what_is_older_than_its_retention() -> None:
    container = ContainerFactory()
    old_event = EventFactory(container=container, received_at=from_now(days=-31))
    new_event = EventFactory(container=container, received_at=from_now(days=-29))
    old = OperationFactory(container=container, state="failed", finished_at=from_now(days=-366))
    recent = OperationFactory(container=container, state="failed", finished_at=from_now(days=-364))
    active = OperationFactory(container=container, created_at=from_now(days=-400))
    user = User.objects.create(username="program")
    for key, hours in (("old", -25), ("new", -23)):
        moment = datetime.now(UTC) + timedelta(hours=hours)
        IdempotentRequest.objects.create(user=user, key=key, digest="0" * 64, created_at=moment)

    tasks.expire_history()

    assert set(Event.objects.values_list("pk", flat=True)) == {new_event.pk}
    assert set(Operation.objects.values_list("pk", flat=True)) == {recent.pk, active.pk}
    assert list(IdempotentRequest.objects.values_list("key", flat=True)) == ["new"]
    assert old_event.pk != new_event.pk
    assert old.pk not in {recent.pk, active.pk}


# ---- devices that nobody hears


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"last_seen_at": timedelta(seconds=-300)}, "unreachable"),
        ({"last_seen_at": timedelta(seconds=-30)}, "online"),
        ({"last_seen_at": timedelta(seconds=-300), "watch_enabled": False}, "disabled"),
        ({"last_seen_at": timedelta(seconds=-300), "state": "connecting"}, "connecting"),
    ],
)
def test_doubt_silent_devices_takes_the_online_mark(columns: dict[str, Any], state: str) -> None:
    device = DeviceFactory(online=True, **reckoned(columns))

    doubted = doubt_silent_devices()

    assert stored(device).state == state
    assert doubted == ([device] if state != columns.get("state", "online") else [])
    assert (stored(device).state_code == "watcher_silent") is (state == "unreachable")


@pytest.mark.parametrize(("state", "is_asked"), [("unreachable", True), ("online", False)])
def test_request_attempt_now_asks_for_unreachable_ones(state: str, is_asked: bool) -> None:
    device = DeviceFactory(state=state, next_attempt_at=None)

    request_attempt_now(device)

    assert (stored(device).next_attempt_at is not None) is is_asked
