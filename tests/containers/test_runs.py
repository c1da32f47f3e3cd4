"""Long acts: what they note survives, who takes over finds it, and they can be called off on their way."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from containers import batches, execution, operations
from containers.errors import OperationConflict, OperationTakenOver
from containers.models import Operation
from containers.operation_requests import request_device_operation
from containers.runs import run as run_module
from containers.runs.run import OUTPUT_LIMIT, Run
from containers.runs.table import RUNS, Perform
from devices.errors import ConnectionLost, EngineConflict
from devices.models import Device
from ssm.lib.errors import SsmError
from tests.factories import DeviceFactory
from tests.people import People, make_people
from tests.queued import Queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)
KIND = Operation.Kind.IMAGE_PULL
Performing = Callable[[Perform], None]


@pytest.fixture
def performing(monkeypatch: pytest.MonkeyPatch) -> Performing:
    """Function that says how pulls are performed in this test."""
    return lambda perform: monkeypatch.setitem(RUNS, KIND, perform)


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    take_queued()
    yield
    take_queued()


def asked(device: Device | None = None, name: str = "demo/web:1") -> Operation:
    device = device or DeviceFactory(online=True)
    return request_device_operation(
        make_people().operator if not Operation.objects.exists() else Operation.objects.all()[0].requested_by,
        device,
        KIND,
        object_kind="image",
        target_name=name,
        lock=f"image:{device.pk}:{name}",
        sealed={"token": "a secret"},
    )


def claimed(operation: Operation, worker: str = "w1") -> Operation:
    taken = operations.claim(str(operation.pk), worker)
    assert taken is not None
    return taken


def test_long_act_goes_to_the_worker_for_transfers() -> None:
    operation = asked()

    assert take_queued() == [Queued("containers.run_transfer", (str(operation.pk),))]


def test_second_act_on_a_locked_object_is_refused_with_who_holds_it() -> None:
    first = asked()

    with pytest.raises(OperationConflict) as refused:
        asked(first.device)

    assert "demo/web:1" in refused.value.message
    assert "being pulled already for operator" in refused.value.message
    assert refused.value.details == {"operation": str(first.pk)}
    asked(first.device, "demo/web:2")


def test_sealed_values_are_encrypted_in_the_table() -> None:
    operation = asked()

    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM containers_operation WHERE id = %s", [operation.pk])
        stored = cursor.fetchone()[0]
    assert "a secret" not in stored
    assert Run(Operation.objects.get(pk=operation.pk), operation.device, is_resumed=False).sealed == {
        "token": "a secret"
    }


def test_run_that_succeeds_keeps_its_output_and_outcome(performing: Performing) -> None:
    def perform(run: Run) -> str:
        run.step("asking the registry")
        run.say("layer 1\nlayer 2\x00")
        run.show([{"id": "abc", "text": "Downloading", "current": 1, "total": 2}])
        run.note(digest="sha256:1")
        return "it was newer"

    performing(perform)
    operation = asked()

    execution.run(str(operation.pk))

    operation.refresh_from_db()
    assert operation.state == Operation.State.SUCCEEDED
    assert operation.outcome == "it was newer"
    assert operation.output == "asking the registry\nlayer 1\nlayer 2\ufffd\n"
    assert operation.parts == [{"id": "abc", "text": "Downloading", "current": 1, "total": 2}]
    assert operation.journal == {"digest": "sha256:1"}


def test_run_that_is_cancelled_ends_as_cancelled_by_whom(
    performing: Performing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "CANCEL_SEEN_AFTER_S", 0)

    def perform(run: Run) -> str:
        run.check_cancelled()
        assert operations.request_cancel(run.operation.requested_by, Operation.objects.get(pk=run.operation.pk))
        run.check_cancelled()
        pytest.fail("went on")

    performing(perform)
    operation = asked()

    execution.run(str(operation.pk))

    operation.refresh_from_db()
    assert operation.state == Operation.State.CANCELLED
    assert operation.outcome == "Cancelled by operator."


def test_queued_act_is_cancelled_at_once() -> None:
    operation = asked()

    assert operations.request_cancel(operation.requested_by, operation)

    operation.refresh_from_db()
    assert operation.state == Operation.State.CANCELLED
    assert not operations.request_cancel(operation.requested_by, operation)


def test_run_whose_operation_another_worker_has_stops(performing: Performing) -> None:
    seen: list[str] = []

    def perform(run: Run) -> str:
        Operation.objects.filter(pk=run.operation.pk).update(worker="another")
        with pytest.raises(OperationTakenOver):
            run.check_cancelled()
        seen.append("looked")
        run.note(step="late")
        return ""

    performing(perform)
    operation = asked()

    execution.run(str(operation.pk))

    operation.refresh_from_db()
    assert seen == ["looked"]
    assert operation.state == Operation.State.RUNNING
    assert operation.worker == "another"
    assert operation.journal == {}


def test_run_after_a_lost_worker_finds_its_journal(performing: Performing) -> None:
    found: list[tuple[bool, dict[str, object]]] = []

    def perform(run: Run) -> str:
        found.append((run.is_resumed, dict(run.journal)))
        return ""

    performing(perform)
    operation = claimed(asked())
    operations.note(operation, journal={"made": "c1"})
    Operation.objects.filter(pk=operation.pk).update(heartbeat_at=datetime.now(UTC) - timedelta(minutes=1))

    execution.settle(Operation.objects.select_related("device").get(pk=operation.pk))

    assert found == [(True, {"made": "c1", "crashes": 1})]
    operation.refresh_from_db()
    assert operation.state == Operation.State.SUCCEEDED


def test_run_that_ends_its_worker_again_and_again_is_given_up(performing: Performing) -> None:
    performing(lambda _run: pytest.fail("tried once more"))
    operation = claimed(asked())
    operations.note(operation, journal={"crashes": execution.MOST_CRASHES})

    execution.settle(Operation.objects.select_related("device").get(pk=operation.pk))

    operation.refresh_from_db()
    assert operation.state == Operation.State.LOST
    assert "look at the host" in operation.error_message


@pytest.mark.parametrize(
    ("noted", "error", "state"),
    [
        ({}, ConnectionLost("web-1 was lost."), Operation.State.FAILED),
        ({"made": "c1"}, ConnectionLost("web-1 was lost."), Operation.State.RUNNING),
        ({"made": "c1"}, EngineConflict("web-1 has it already."), Operation.State.FAILED),
        ({"made": "c1"}, SsmError("It cannot be.", fix="Do another."), Operation.State.FAILED),
        ({"made": "c1"}, ZeroDivisionError(), Operation.State.FAILED),
    ],
    ids=["link lost before anything", "link lost half-way", "refused by the engine", "failed", "bug"],
)
def test_run_that_fails_stays_open_only_where_the_host_must_be_asked_again(
    noted: dict[str, str], error: Exception, state: str, performing: Performing
) -> None:
    def perform(run: Run) -> str:
        if noted:
            run.note(**noted)
        raise error

    performing(perform)
    operation = asked()

    execution.run(str(operation.pk))

    operation.refresh_from_db()
    assert operation.state == state
    assert (operation.worker == "") == (state == Operation.State.RUNNING)


def test_output_keeps_its_newest_lines_within_the_limit() -> None:
    operation = claimed(asked())
    assert operation.device is not None
    run = Run(operation, operation.device, is_resumed=False)

    for number in range(3000):
        run.say(f"line {number} " + "x" * 40)
    run.flush()

    operation.refresh_from_db()
    assert len(operation.output) <= OUTPUT_LIMIT
    assert operation.output.endswith("line 2999 " + "x" * 40 + "\n")
    assert operation.output.startswith("line ")


def items(devices: list[Device], per_device: int) -> list[batches.Item]:
    return [
        batches.Item(device=device, kind=KIND, object_kind="image", target_name=f"demo/web:{number}")
        for number in range(per_device)
        for device in devices
    ]


def test_batch_of_one_per_device_goes_on_where_one_has_ended() -> None:
    devices = [DeviceFactory(online=True), DeviceFactory(online=True)]
    people = make_people()

    batch = batches.request_items(people.operator, items(devices, 2), title="Pull 4", one_per_device=True)

    first = {queued.ids[0] for queued in take_queued()}
    assert {str(entry.pk) for entry in batch.operations.filter(wave=0)} == first
    ended = claimed(batch.operations.get(device=devices[0], wave=0))
    operations.succeed(ended)
    assert [queued.ids[0] for queued in take_queued()] == [str(batch.operations.get(device=devices[0], wave=1).pk)]
    assert operations.claim(str(batch.operations.get(device=devices[1], wave=1).pk), "w2") is None


def test_failed_items_are_tried_again_from_the_first_wave() -> None:
    devices = [DeviceFactory(online=True)]
    people = make_people()
    batch = batches.request_items(people.operator, items(devices, 2), title="Pull 2", one_per_device=True)
    operations.succeed(claimed(batch.operations.get(wave=0)))
    operations.fail(claimed(batch.operations.get(wave=1)), SsmError("no"))
    take_queued()

    again = batches.retry_failed(people.operator, batch)

    repeated = again.operations.get()
    assert (repeated.target_name, repeated.wave, repeated.object_kind) == ("demo/web:1", 0, "image")
    assert [queued.ids[0] for queued in take_queued()] == [str(repeated.pk)]


def test_operation_page_shows_output_and_parts_and_cancels(people: People) -> None:
    operation = asked_by(people)
    taken = claimed(operation)
    operations.note(
        taken, output="<b>bold</b>\n", parts=[{"id": "abc", "text": "Downloading", "current": 1024, "total": 4096}]
    )

    page = people.client("operator").get(operation.get_absolute_url()).content.decode()
    answer = people.client("operator").post(operation.get_absolute_url(), {"act": "cancel"})

    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert 'max="4096" value="1024"' in page
    assert 'value="cancel"' in page
    assert 'value="cancel"' not in people.client("viewer").get(operation.get_absolute_url()).content.decode()
    assert answer.status_code == 302
    operation.refresh_from_db()
    assert operation.cancel_requested_by == "operator"
    assert people.client("viewer").post(operation.get_absolute_url(), {"act": "cancel"}).status_code == 403


def asked_by(people: People) -> Operation:
    device = DeviceFactory(online=True)
    return request_device_operation(people.operator, device, KIND, object_kind="image", target_name="demo/web:1")
