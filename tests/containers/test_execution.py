"""Operations on real hosts: done once, told truly, whatever dies on the way."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.contrib.auth.models import User

from containers import execution, tasks
from containers.errors import OperationConflict
from containers.models import Operation
from containers.operation_requests import request_operation
from devices.connections import pool
from devices.models import Device
from ssm.lib.database import database_work
from tests.containers.listening import WORKER, OwnRedis, Process
from tests.containers.stage import MakeStage, Stage, eventually, unique
from tests.factories import OperationFactory
from tests.queued import run_queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)

CLOCK = "demo/clock:1.0.0"


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """The host with Docker Engine 28, shared; rows are committed, so that other threads and processes see them."""
    take_queued()
    return make_stage("28")


def request(stage: Stage, engine_id: str, kind: str, **parameters: Any) -> Operation:
    """An operation as a person asks for it."""
    stage.sweep()
    user, _created = User.objects.get_or_create(username="somebody", is_superuser=True)
    return request_operation(user, stage.row(engine_id), kind, parameters)


def done(operation: Operation) -> Operation:
    """Work off the queue and read what became of the operation."""
    run_queued()
    return Operation.objects.get(pk=operation.pk)


def standing(stage: Stage, engine_id: str) -> dict[str, Any]:
    """The host's own word."""
    state: dict[str, Any] = stage.host.api("GET", f"/containers/{engine_id}/json")["State"]
    return state


def is_there(stage: Stage, engine_id: str) -> bool:
    return engine_id in {item["Id"] for item in stage.host.containers()}


def happened(stage: Stage, engine_id: str, action: str) -> int:
    """How often the engine did that to the container, by its own event log."""
    filters = f'{{"container":["{engine_id}"],"event":["{action}"]}}'
    path = f"/events?since=0&until={int(time.time()) + 1}&filters={filters.replace(chr(34), '%22')}"
    answer = stage.host.api("GET", path)
    text = answer if isinstance(answer, str) else str(answer or "")
    return text.count(f'"Action":"{action}"') or text.count(f"'Action': '{action}'")


# ---- each kind

KINDS = [
    ("start", [], "running"),
    ("stop", ["start"], "exited"),
    ("restart", ["start"], "running"),
    ("restart", [], "running"),
    ("pause", ["start"], "paused"),
    ("unpause", ["start", "pause"], "running"),
    ("kill", ["start"], "exited"),
    ("remove", ["start"], "removed"),
]


@pytest.mark.parametrize("engine", ["20", "28", "podman"])
def test_run_each_kind_succeeds_once_and_the_row_shows_it(make_stage: MakeStage, engine: str) -> None:
    take_queued()
    stage = make_stage(engine)
    for kind, acts, expected in KINDS:
        engine_id = stage.host.run(unique(kind), CLOCK, start=False)
        for act in acts:
            stage.host.api("POST", f"/containers/{engine_id}/{act}")
        asked = request(stage, engine_id, kind, force=True, timeout_s=5)

        ended = done(asked)
        row = stage.row(engine_id)
        before = standing(stage, engine_id) if kind != "remove" else {}
        tasks.run_operation(str(asked.pk))  # the message comes twice

        assert (ended.state, ended.error_message, ended.attempts) == ("succeeded", "", 1), (kind, ended.error_message)
        assert (row.state if row.removed_at is None else "removed") == expected, kind
        assert (standing(stage, engine_id) if kind != "remove" else {}) == before, kind
        assert is_there(stage, engine_id) is (kind != "remove")
        if expected != "removed":
            assert before["Status"] == expected


@pytest.mark.parametrize(("kind", "started"), [("start", True), ("stop", False), ("unpause", True)])
def test_run_what_is_so_already_says_so(stage: Stage, kind: str, started: bool) -> None:
    engine_id = stage.host.run(unique(kind), CLOCK, start=started)

    ended = done(request(stage, engine_id, kind))

    assert (ended.state, ended.outcome) == ("succeeded", "nothing to do: it was so already")


def test_run_second_request_meanwhile_conflicts_with_the_firsts_name(stage: Stage) -> None:
    engine_id = stage.host.run(unique("busy"), CLOCK)
    first = request(stage, engine_id, "restart")

    with pytest.raises(OperationConflict) as caught:
        request(stage, engine_id, "stop")

    assert "is being restarted already for somebody" in caught.value.message
    assert caught.value.details["operation"] == str(first.pk)


@pytest.mark.parametrize(("kind", "state", "code"), [("stop", "failed", "container_gone"), ("remove", "succeeded", "")])
def test_run_container_that_is_gone_from_the_host(stage: Stage, kind: str, state: str, code: str) -> None:
    engine_id = stage.host.run(unique("gone"), CLOCK)
    asked = request(stage, engine_id, kind)
    stage.host.api("DELETE", f"/containers/{engine_id}?force=1")

    ended = done(asked)

    assert (ended.state, ended.error_code) == (state, code)
    assert stage.row(engine_id).removed_at is not None


def test_run_successor_under_the_name_is_left_alone(stage: Stage) -> None:
    name = unique("successor")
    engine_id = stage.host.run(name, CLOCK)
    asked = request(stage, engine_id, "stop")
    stage.host.api("DELETE", f"/containers/{engine_id}?force=1")
    successor = stage.host.run(name, CLOCK)

    ended = done(asked)

    assert ended.error_code == "container_gone"
    assert standing(stage, successor)["Status"] == "running"


def test_run_engine_refuses_its_sentence_is_kept(stage: Stage) -> None:
    engine_id = stage.host.run(unique("broken"), CLOCK, command=["/no/such/program"], start=False)

    ended = done(request(stage, engine_id, "start"))

    assert ended.state == "failed"
    assert "/no/such/program" in ended.error_message
    assert "no such file or directory" in ended.error_message
    assert stage.device.name in ended.error_message


def test_run_kill_of_what_does_not_run_fails_with_the_engines_sentence(stage: Stage) -> None:
    engine_id = stage.host.run(unique("stopped"), CLOCK, start=False)

    ended = done(request(stage, engine_id, "kill"))

    assert (ended.state, ended.error_code) == ("failed", "engine_conflict")
    assert "is not running" in ended.error_message


def test_run_remove_without_force_of_a_running_one_fails_and_keeps_it(stage: Stage) -> None:
    engine_id = stage.host.run(unique("kept"), CLOCK)

    ended = done(request(stage, engine_id, "remove"))

    assert ended.state == "failed"
    assert standing(stage, engine_id)["Status"] == "running"


def test_run_host_that_cannot_be_reached_fails_at_once_with_the_reason(stage: Stage) -> None:
    engine_id = stage.host.run(unique("unreachable"), CLOCK)
    asked = request(stage, engine_id, "stop")
    Device.objects.filter(pk=stage.device.pk).update(port=1)

    ended = done(asked)

    assert (ended.state, ended.error_code) == ("failed", "refused")
    assert ended.error_fix


def test_run_device_that_was_deleted_meanwhile_fails(stage: Stage) -> None:
    engine_id = stage.host.run(unique("orphan"), CLOCK)
    asked = request(stage, engine_id, "stop")
    Device.objects.filter(pk=stage.device.pk).delete()

    ended = done(asked)

    assert (ended.state, ended.error_code) == ("failed", "container_gone")


# ---- messages and workers that are lost


def test_run_message_lost_is_sent_again_and_done(stage: Stage) -> None:
    engine_id = stage.host.run(unique("forgotten"), CLOCK)
    asked = request(stage, engine_id, "stop")
    take_queued()  # Redis came back empty
    tasks.settle_operations()
    assert take_queued() == []  # it may still be on its way

    Operation.objects.update(created_at=datetime.now(UTC) - timedelta(seconds=20))
    tasks.settle_operations()

    assert done(asked).state == "succeeded"


def silent(stage: Stage, engine_id: str, kind: str, *, begun_s: float, acted: bool, **columns: Any) -> Operation:
    """A running operation whose worker has died after looking, before or after acting; begun so many seconds ago."""
    stage.sweep()
    moment = datetime.now(UTC) - timedelta(seconds=begun_s)
    before = execution.Standing.of(execution.sync.inspect(stage.engine, engine_id)).as_json()
    if acted:
        stage.host.api("POST", f"/containers/{engine_id}/{kind}")
    made: Operation = OperationFactory(
        container=stage.row(engine_id),
        kind=kind,
        state="running",
        worker="dead",
        created_at=moment,
        started_at=moment,
        heartbeat_at=datetime.now(UTC) - timedelta(seconds=30),
        observed_before=before,
        attempts=1,
        **columns,
    )
    return made


@pytest.mark.parametrize("kind", ["stop", "restart", "kill", "pause"])
def test_settle_act_that_took_place_is_not_done_again(stage: Stage, kind: str) -> None:
    engine_id = stage.host.run(unique(kind), CLOCK)
    orphan = silent(stage, engine_id, kind, begun_s=60, acted=True)
    before = standing(stage, engine_id)

    tasks.settle_operations()
    ended = done(orphan)

    assert (ended.state, ended.outcome) == ("succeeded", "confirmed by looking at the host again")
    assert standing(stage, engine_id) == before
    assert stage.row(engine_id).state == before["Status"]


@pytest.mark.parametrize(("kind", "expected"), [("stop", "exited"), ("restart", "running"), ("pause", "paused")])
def test_settle_act_that_did_not_take_place_is_done(stage: Stage, kind: str, expected: str) -> None:
    engine_id = stage.host.run(unique(kind), CLOCK)
    started_at = standing(stage, engine_id)["StartedAt"]
    orphan = silent(stage, engine_id, kind, begun_s=60, acted=False)

    tasks.settle_operations()
    ended = done(orphan)

    assert (ended.state, ended.attempts) == ("succeeded", 2)
    assert standing(stage, engine_id)["Status"] == expected
    assert (standing(stage, engine_id)["StartedAt"] != started_at) is (kind == "restart")


def test_settle_restart_that_the_engine_may_still_be_at_waits(stage: Stage) -> None:
    engine_id = stage.host.run(unique("waiting"), CLOCK)
    started_at = standing(stage, engine_id)["StartedAt"]
    orphan = silent(stage, engine_id, "restart", begun_s=20, acted=False, parameters={"timeout_s": 30})

    tasks.settle_operations()
    waiting = done(orphan)

    assert waiting.state == "running"
    assert "may still be at it" in waiting.progress
    assert standing(stage, engine_id)["StartedAt"] == started_at


def test_settle_act_that_was_asked_for_long_ago_is_not_begun_again(stage: Stage) -> None:
    engine_id = stage.host.run(unique("late"), CLOCK)
    orphan = silent(stage, engine_id, "stop", begun_s=3600, acted=False)

    tasks.settle_operations()
    ended = done(orphan)

    assert (ended.state, ended.error_code) == ("failed", "act_ineffective")
    assert standing(stage, engine_id)["Status"] == "running"


@pytest.mark.parametrize(("age_s", "state"), [(600, "running"), (25 * 3600, "lost")])
def test_settle_host_that_stays_away_is_asked_for_a_day(stage: Stage, age_s: float, state: str) -> None:
    engine_id = stage.host.run(unique("away"), CLOCK)
    orphan = silent(stage, engine_id, "stop", begun_s=age_s, acted=False)
    Device.objects.filter(pk=stage.device.pk).update(port=1, state="unreachable")

    tasks.settle_operations()
    ended = done(orphan)

    assert ended.state == state
    assert ("the outcome is known once it answers" in ended.progress) is (state == "running")


def test_settle_what_a_thread_of_this_process_is_at_is_let_be(stage: Stage) -> None:
    engine_id = stage.host.run(unique("ours"), CLOCK)
    orphan = silent(stage, engine_id, "restart", begun_s=60, acted=False)
    started_at = standing(stage, engine_id)["StartedAt"]

    with execution._heartbeats.of(orphan):
        execution.settle(orphan)

    orphan.refresh_from_db()
    assert (orphan.state, orphan.worker) == ("running", "dead")
    assert standing(stage, engine_id)["StartedAt"] == started_at


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stop", "restart"])
def test_worker_killed_in_the_middle_another_one_ends_it_and_nothing_is_done_twice(stage: Stage, kind: str) -> None:
    """The container ignores SIGTERM, so that the act takes its whole time-out."""
    engine_id = stage.host.run(unique(kind), "test/stubborn")
    stage.sweep()
    first_start = standing(stage, engine_id)["StartedAt"]
    redis = OwnRedis()
    workers = [Process(WORKER, redis.url)]
    try:
        asked = request(stage, engine_id, kind, timeout_s=8)
        (message,) = take_queued()
        send(redis, message.name, *message.ids)
        eventually(lambda: Operation.objects.get(pk=asked.pk).observed_before, 40, "the worker is at it")
        time.sleep(1)  # the request is on its way to the engine
        workers[0].kill()
        assert standing(stage, engine_id)["StartedAt"] == first_start
        workers.append(Process(WORKER, redis.url))

        def is_settled() -> bool:
            tasks.settle_operations()
            for task in take_queued():
                send(redis, task.name, *task.ids)
            return Operation.objects.get(pk=asked.pk).is_final

        eventually(is_settled, 60, "settled")
    finally:
        for worker in workers:
            worker.kill()
        redis.kill()

    ended = Operation.objects.get(pk=asked.pk)
    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert ended.attempts >= 2
    assert happened(stage, engine_id, "die") == 1
    assert happened(stage, engine_id, "start") == (2 if kind == "restart" else 1)
    assert stage.row(engine_id).state == standing(stage, engine_id)["Status"]


def send(redis: OwnRedis, name: str, *ids: str) -> None:
    """Put a task into the queue of the worker under test."""
    with Celery("test", broker=redis.url, set_as_current=False) as app:
        app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        app.send_task(name, args=list(ids))


@pytest.mark.slow
def test_link_cut_in_the_middle_the_outcome_is_found_out_after_it_heals(make_stage: MakeStage) -> None:
    take_queued()
    stage = make_stage("26", exclusive=True)
    engine_id = stage.host.run(unique("cut"), "test/stubborn")
    asked = request(stage, engine_id, "stop", timeout_s=4)
    take_queued()

    def work() -> None:
        with database_work():
            execution.run(str(asked.pk))

    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: Operation.objects.get(pk=asked.pk).observed_before, 20, "begun")
    time.sleep(0.5)
    stage.host.cut(silent=True)
    worker.join(90)
    assert not worker.is_alive()
    during = Operation.objects.get(pk=asked.pk)
    stage.host.heal()
    pool.reset(str(stage.device.pk))
    Operation.objects.filter(pk=asked.pk).update(heartbeat_at=datetime.now(UTC) - timedelta(seconds=30))
    tasks.settle_operations()
    ended = done(asked)

    assert during.state == "running"
    assert "The outcome is known once it answers" in during.progress
    assert (ended.state, ended.outcome) == ("succeeded", "confirmed by looking at the host again")
    assert happened(stage, engine_id, "die") == 1
    assert stage.row(engine_id).state == "exited"
