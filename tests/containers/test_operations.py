"""The life of an operation's row: one at a time, each step won by one worker, nothing forgotten."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connections
from pytest_django import DjangoCaptureOnCommitCallbacks

from containers import operations
from containers.errors import OperationConflict, OperationRefused
from containers.models import Container, Operation
from containers.operation_requests import request_operation
from ssm.lib.errors import SsmError
from tests.containers.stage import heard
from tests.factories import ContainerFactory, OperationFactory
from tests.people import People, make_people
from tests.queued import Queued, take_queued

pytestmark = pytest.mark.django_db


def ago(**time: float) -> datetime:
    return datetime.now(UTC) - timedelta(**time)


def since_now(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns in which a span of time stands for that long before now: tables are read long before they are tried."""
    return {
        name: datetime.now(UTC) - value if isinstance(value, timedelta) else value for name, value in columns.items()
    }


def running(**columns: Any) -> Operation:
    """An operation that worker w1 is at."""
    standard = {"state": "running", "worker": "w1", "started_at": ago(seconds=1), "heartbeat_at": ago(seconds=1)}
    made: Operation = OperationFactory(**(standard | columns))
    return made


# ---- request


@pytest.mark.django_db(transaction=True)
def test_request_operation_is_recorded_sent_and_told() -> None:
    people, container = make_people(), ContainerFactory()
    take_queued()

    with heard() as messages:
        made = request_operation(people.operator, container, "stop", {"timeout_s": 3})
        told = messages(2)

    stored = Operation.objects.get(pk=made.pk)
    assert (stored.kind, stored.state, stored.parameters) == ("stop", "queued", {"timeout_s": 3})
    assert (stored.requested_by, stored.requested_by_name) == (people.operator, "operator")
    assert (stored.device_name, stored.target_name) == (container.device.name, container.name)
    assert stored.engine_id == container.engine_id
    assert take_queued() == [Queued("containers.run_operation", (str(made.pk),))]
    assert [(m["kind"], m["what"], m["ids"]) for m in told] == [
        ("operation", "appeared", [str(made.pk)]),
        ("container", "updated", [str(container.pk)]),
    ]


def test_request_operation_by_nobody_is_recorded_without_a_user() -> None:
    made = request_operation(AnonymousUser(), ContainerFactory(), "start")

    assert (made.requested_by, made.requested_by_name) == (None, "")


def test_request_operation_second_one_names_the_first(people: People) -> None:
    container = ContainerFactory(display_name="Shop")
    first = request_operation(people.operator, container, "restart")

    with pytest.raises(OperationConflict) as caught:
        request_operation(people.administrator, container, "stop")

    error = caught.value
    assert f"Shop on {container.device.name} is being restarted already for operator, since" in error.message
    assert error.details == {"operation": str(first.pk)}
    assert error.status == 409
    assert Operation.objects.count() == 1


def test_request_operation_after_the_first_has_ended_is_taken(people: People) -> None:
    first = request_operation(people.operator, ContainerFactory(), "restart")
    claimed = operations.claim(str(first.pk), "w1")
    assert claimed is not None
    operations.succeed(claimed)

    assert request_operation(people.operator, Container.objects.get(), "stop").state == "queued"


@pytest.mark.parametrize(
    ("kind", "removed", "message"),
    [
        ("explode", False, "“explode” is not something"),
        ("x" * 500, False, "is not something"),
        ("stop", True, "any more"),
    ],
)
def test_request_operation_that_makes_no_sense_is_refused(
    people: People, kind: str, removed: bool, message: str
) -> None:
    container = ContainerFactory(removed_at=ago(hours=1) if removed else None)

    with pytest.raises(OperationRefused) as caught:
        request_operation(people.operator, container, kind)

    assert message in caught.value.message
    assert not Operation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_request_operation_eight_at_once_one_is_taken() -> None:
    user, container = User.objects.create(username="many", is_superuser=True), ContainerFactory()
    barrier = threading.Barrier(8)
    results: list[str] = []

    def ask() -> None:
        barrier.wait()
        try:
            request_operation(user, container, "stop")
            results.append("taken")
        except OperationConflict:
            results.append("conflict")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    take_queued()

    assert sorted(results) == ["conflict"] * 7 + ["taken"]
    assert Operation.objects.count() == 1


# ---- who works on it


def test_claim_second_worker_gets_nothing() -> None:
    queued = OperationFactory()

    first, second = operations.claim(str(queued.pk), "w1"), operations.claim(str(queued.pk), "w2")

    assert first is not None
    assert (first.state, first.worker, first.attempts) == ("running", "w1", 1)
    assert second is None


@pytest.mark.parametrize("state", ["running", "succeeded", "failed", "lost"])
def test_claim_what_is_not_queued_gives_nothing(state: str) -> None:
    made = OperationFactory(state=state, finished_at=None if state == "running" else ago(seconds=1))

    assert operations.claim(str(made.pk), "w2") is None


def test_adopt_two_who_saw_the_same_silence_one_gets_it() -> None:
    seen_by_one = running(heartbeat_at=ago(seconds=60))
    seen_by_two = Operation.objects.get(pk=seen_by_one.pk)

    first, second = operations.adopt(seen_by_one, "w2"), operations.adopt(seen_by_two, "w3")

    assert first is not None
    assert (first.worker, first.attempts) == ("w2", 1)
    assert second is None


def test_adopt_after_a_sign_of_life_gives_nothing() -> None:
    seen = running(heartbeat_at=ago(seconds=60))
    operations.beat([str(seen.pk)], "w1")

    assert operations.adopt(seen, "w2") is None


@pytest.mark.parametrize(("worker", "is_fresh"), [("w1", True), ("w2", False)])
def test_beat_counts_for_ones_own_operations(worker: str, is_fresh: bool) -> None:
    made = running(heartbeat_at=ago(seconds=60))

    operations.beat([str(made.pk)], worker)

    made.refresh_from_db()
    assert made.heartbeat_at is not None
    assert (made.heartbeat_at > ago(seconds=5)) is is_fresh


def test_finish_by_a_worker_that_was_given_up_changes_nothing() -> None:
    slow = running(heartbeat_at=ago(seconds=60))
    quick = operations.adopt(Operation.objects.get(pk=slow.pk), "w2")
    assert quick is not None

    assert operations.fail(slow, SsmError("too late")) is False
    assert operations.succeed(quick, "done") is True
    assert operations.lose(slow, "too late") is False

    slow.refresh_from_db()
    assert (slow.state, slow.outcome, slow.error_message) == ("succeeded", "done", "")


def test_fail_keeps_code_sentence_and_fix_within_bounds() -> None:
    made = running()

    operations.fail(made, SsmError("m" * 9000, fix="f" * 9000))

    made.refresh_from_db()
    assert (made.state, made.error_code, made.progress) == ("failed", "error", "")
    assert (len(made.error_message), len(made.error_fix)) == (4000, 4000)
    assert made.is_final
    assert made.finished_at is not None


def test_lose_says_what_is_not_known() -> None:
    made = running()

    operations.lose(made, "Nobody knows.")

    made.refresh_from_db()
    assert (made.state, made.error_code, made.error_message) == ("lost", "outcome_unknown", "Nobody knows.")


def test_note_before_only_the_first_look_counts() -> None:
    made = running()

    operations.note_before(made, {"state": "running"})
    operations.note_before(Operation.objects.get(pk=made.pk), {"state": "exited"})

    made.refresh_from_db()
    assert made.observed_before == {"state": "running"}


def test_note_progress_is_told_only_when_it_changes(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    made = running()

    with django_capture_on_commit_callbacks() as told:
        operations.note_progress(made, "p" * 300)
    with django_capture_on_commit_callbacks() as again:
        operations.note_progress(made, "p" * 300)

    assert len(told) == 2
    assert again == []
    assert made.progress == "p" * 255


# ---- nothing is forgotten


@pytest.mark.parametrize(
    ("columns", "is_orphan"),
    [
        ({"heartbeat_at": timedelta(seconds=60)}, True),
        ({"heartbeat_at": timedelta(seconds=5)}, False),
        ({"heartbeat_at": timedelta(seconds=60), "state": "queued"}, False),
        ({"heartbeat_at": timedelta(seconds=60), "state": "lost", "finished_at": timedelta(seconds=1)}, False),
    ],
)
def test_orphans_are_those_running_without_a_sign_of_life(columns: dict[str, Any], is_orphan: bool) -> None:
    made = running(**since_now(columns))

    assert (made in operations.orphans()) is is_orphan


@pytest.mark.parametrize(
    ("columns", "is_sent"),
    [
        ({"created_at": timedelta(seconds=30)}, True),
        ({"created_at": timedelta(seconds=5)}, False),
        ({"created_at": timedelta(minutes=5), "heartbeat_at": timedelta(seconds=10)}, False),
        ({"created_at": timedelta(minutes=5), "heartbeat_at": timedelta(seconds=30)}, True),
        ({"created_at": timedelta(minutes=5), "state": "running"}, False),
    ],
    ids=["old", "fresh", "sent lately", "sent long ago", "running"],
)
def test_resend_forgotten_sends_what_nobody_took_every_twenty_seconds(
    columns: dict[str, Any], is_sent: bool, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    made = OperationFactory(**since_now(columns))
    take_queued()

    with django_capture_on_commit_callbacks(execute=True):
        operations.resend_forgotten()
        operations.resend_forgotten()

    expected = [Queued("containers.run_operation", (str(made.pk),))] if is_sent else []
    assert take_queued() == expected


def test_release_is_looked_at_again_within_seconds() -> None:
    before = datetime.now(UTC)
    made = OperationFactory(state="running", worker="somebody", heartbeat_at=before, started_at=before)

    operations.release(made, "The connection was lost.")

    made.refresh_from_db()
    assert (made.worker, made.state, made.progress) == ("", "running", "The connection was lost.")
    waits = made.heartbeat_at + operations.ORPHANED_AFTER - before
    assert timedelta(seconds=3) < waits < timedelta(seconds=10)
    assert made not in operations.orphans()
    Operation.objects.filter(pk=made.pk).update(heartbeat_at=made.heartbeat_at - waits)
    assert made in operations.orphans()
