"""A worker that is killed and links that are cut in the middle of an update."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from containers import execution, tasks
from containers.models import Operation
from containers.rules.apply_options import Options
from containers.rules.replacement import Watch
from containers.runs import hands
from containers.updates import applying
from devices.connections import pool
from ssm.lib.database import database_work
from tests.containers.listening import WORKER, OwnRedis, Process
from tests.containers.replacing.apps import App, offer, resume, somebody
from tests.containers.replacing.conftest import Pulled
from tests.containers.stage import eventually
from tests.containers.test_execution import send
from tests.queued import take_queued

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(240, func_only=True)]


def asked(app: App, stable_s: int) -> Operation:
    """An update that is watched for that long; its message is taken from the queue."""
    options = Options(Watch(stable_s=stable_s))
    operation = applying.request_update(somebody(), offer(app, "1.1.0"), "1.1.0", options)
    take_queued()
    return operation


def is_watching(operation: Operation) -> bool:
    return "watching whether" in Operation.objects.get(pk=operation.pk).progress


def worker_for(operation: Operation) -> threading.Thread:
    """A worker of this process that is at the operation."""

    def work() -> None:
        with database_work():
            execution.run(str(operation.pk))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_worker_killed_while_it_watches_another_one_goes_back(pulled: Pulled) -> None:
    app = pulled()
    app.make()
    operation = asked(app, stable_s=600)
    redis = OwnRedis()
    workers = [Process(WORKER, redis.url)]
    try:
        send(redis, "containers.run_transfer", str(operation.pk))
        eventually(lambda: is_watching(operation), 90, "the worker watches")
        workers[0].kill()
        assert app.starts() == ["1.0.0", "1.1.0"]
        workers.append(Process(WORKER, redis.url))

        def is_settled() -> bool:
            tasks.settle_operations()
            for task in take_queued():
                send(redis, task.name, *task.ids)
            return Operation.objects.get(pk=operation.pk).is_final

        eventually(is_settled, 90, "settled")
    finally:
        for worker in workers:
            worker.kill()
        redis.kill()

    ended = Operation.objects.get(pk=operation.pk)
    assert (ended.state, ended.error_code) == ("failed", "replacement_failed")
    assert "broke off while the containers were exchanged" in ended.error_message
    assert app.inspect()["Id"] == app.old_id
    assert app.family() == {app.name: "running"}
    assert app.starts() == ["1.0.0", "1.1.0", "1.0.0"]


def test_link_that_comes_back_soon_is_no_failure(pulled: Pulled) -> None:
    app = pulled("26", exclusive=True)
    app.make()
    operation = asked(app, stable_s=8)
    worker = worker_for(operation)
    eventually(lambda: is_watching(operation), 60, "watching")

    app.stage.host.kill_ssh()
    eventually(lambda: "Trying again" in Operation.objects.get(pk=operation.pk).output, 30, "the loss was noticed")
    app.stage.host.start_ssh()
    worker.join(120)

    ended = Operation.objects.get(pk=operation.pk)
    assert not worker.is_alive()
    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert app.family() == {app.name: "running"}
    assert app.starts() == ["1.0.0", "1.1.0"]


def test_link_that_stays_cut_leads_back_once_it_heals(pulled: Pulled, monkeypatch: pytest.MonkeyPatch) -> None:
    app = pulled("26", exclusive=True)
    app.make()
    monkeypatch.setattr(hands, "LINK_PATIENCE_S", 1.0)
    operation = asked(app, stable_s=600)
    worker = worker_for(operation)
    eventually(lambda: is_watching(operation), 60, "watching")

    app.stage.host.cut(silent=True)
    worker.join(120)
    during = Operation.objects.get(pk=operation.pk)
    app.stage.host.heal()
    pool.reset(str(app.stage.device.pk))
    ended = resume(operation)

    assert not worker.is_alive()
    assert during.state == "running" and "known once it answers" in during.progress
    assert ended.state == "failed" and f"{app.name} runs again as it was." in ended.error_message
    assert app.inspect()["Id"] == app.old_id
    assert app.family() == {app.name: "running"}
    assert app.starts() == ["1.0.0", "1.1.0", "1.0.0"]
    assert Operation.objects.filter(created_at__gt=datetime.now(UTC) - timedelta(hours=1)).active().count() == 0
