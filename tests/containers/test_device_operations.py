"""Acts on whole devices: what becomes of a test, a sweep and an update check, on real hosts and where none answers."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import AnonymousUser, User

from containers import execution
from containers.errors import OperationConflict, OperationRefused
from containers.models import Operation
from containers.operation_requests import request_device_operation
from devices.models import Device
from devices.work import SWEEP
from ssm.lib.locks import lock
from tests.containers.stage import MakeStage
from tests.factories import DeviceFactory
from tests.people import People
from tests.queued import take_queued

KINDS = ("device_test", "device_sweep", "device_check")


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    take_queued()
    yield
    take_queued()


def ask(device: Device, kind: str, user: User | AnonymousUser | None = None) -> Operation:
    return request_device_operation(
        user or AnonymousUser(), device, kind, object_kind="device", target_name=device.name, lock=f"{kind}:{device.pk}"
    )


def done(device: Device, kind: str) -> Operation:
    operation = ask(device, kind)
    execution.run(str(operation.pk))
    operation.refresh_from_db()
    return operation


@pytest.mark.django_db(transaction=True)
@pytest.mark.fleet
def test_acts_on_a_real_device_tell_what_they_found(make_stage: MakeStage) -> None:
    device = make_stage("28").device
    began = datetime.now(UTC)

    tested, swept, checked = (done(device, kind) for kind in KINDS)

    assert (tested.state, tested.error_message) == ("succeeded", "")
    assert tested.outcome.startswith("connected: engine 28.")
    assert "Log in: ok" in tested.output
    assert (swept.state, swept.error_message) == ("succeeded", "")
    assert swept.outcome == "nothing has changed" or " new" in swept.outcome
    assert (checked.state, checked.error_message) == ("succeeded", "")
    device.refresh_from_db()
    assert device.access_grade
    assert device.last_sweep_at is not None
    assert device.last_sweep_at > began
    assert device.last_update_check_at is not None


@pytest.mark.django_db(transaction=True)
def test_device_that_does_not_answer_fails_the_act_with_reason_and_fix() -> None:
    device = DeviceFactory()

    tested, swept = done(device, "device_test"), done(device, "device_sweep")

    for operation in (tested, swept):
        assert operation.state == "failed"
        assert operation.error_message
        assert operation.error_fix
    assert "Connect: failed" in tested.output
    device.refresh_from_db()
    assert device.last_sweep_error
    assert device.last_sweep_at is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS[1:])
def test_device_that_is_not_watched_is_left_alone(kind: str) -> None:
    operation = done(DeviceFactory(watch_enabled=False), kind)

    assert (operation.state, operation.error_code) == ("failed", "not_now")


@pytest.mark.django_db(transaction=True)
def test_sweep_that_is_under_way_already_is_not_done_twice() -> None:
    device = DeviceFactory()

    with lock(f"work:{SWEEP.name}:{device.pk}", 30):
        operation = done(device, "device_sweep")

    assert (operation.state, operation.outcome) == ("succeeded", "another worker is reading it right now")


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
def test_second_act_of_a_kind_waits_for_the_first(kind: str) -> None:
    device = DeviceFactory()
    ask(device, kind)

    with pytest.raises(OperationConflict, match="already"):
        ask(device, kind)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("who", "kind", "may"),
    [
        ("administrator", "device_test", True),
        ("operator", "device_test", False),
        ("operator", "device_sweep", True),
        ("operator", "device_check", True),
        ("viewer", "device_sweep", False),
        ("viewer", "device_check", False),
    ],
)
def test_act_on_a_device_takes_its_right(who: str, kind: str, may: bool, people: People) -> None:
    device = DeviceFactory()

    if may:
        assert ask(device, kind, getattr(people, who)).state == "queued"
    else:
        with pytest.raises(OperationRefused, match="may not"):
            ask(device, kind, getattr(people, who))
