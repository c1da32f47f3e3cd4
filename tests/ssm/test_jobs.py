"""Handing work to Celery: only after the commit, only by names that exist, and never at the cost of the caller."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu import Connection
from pytest_django import DjangoCaptureOnCommitCallbacks

from containers import operations
from devices import work
from ssm.lib.jobs import enqueue
from tests.queued import take_queued

PROJECT = Path(__file__).resolve().parents[2]
APPS = ("ssm", "devices", "containers", "registries")


def called_names() -> set[str]:
    """Task names that the code hands to ``enqueue``: literals, and constants of the same module."""
    names = set()
    for path in (path for app in APPS for path in (PROJECT / app).rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "enqueue"):
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant):
                names.add(first.value)
            elif isinstance(first, ast.Name):
                names.add(constants.get(first.id, f"?{path.name}:{first.id}"))
    return names


@pytest.fixture
def queue() -> Iterator[Callable[[], list[str]]]:
    """Function that takes the names of the tasks sent so far; nothing is left behind."""
    take_queued()
    yield lambda: [task.name for task in take_queued()]
    take_queued()


def test_enqueue_every_name_used_anywhere_is_a_registered_task() -> None:
    current_app.loader.import_default_modules()
    used = called_names() | {operations.RUN_TASK} | {kind.task for kind in work.KINDS}
    used |= {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}

    assert len(used) >= 5
    assert used <= set(current_app.tasks)


def test_enqueue_every_registered_task_has_a_name_of_its_app() -> None:
    current_app.loader.import_default_modules()
    ours = {name for name in current_app.tasks if not name.startswith("celery.")}

    assert all(name.partition(".")[0] in APPS for name in ours), ours


@pytest.mark.django_db(transaction=True)
def test_enqueue_inside_a_transaction_is_sent_after_the_commit(queue: Callable[[], list[str]]) -> None:
    with transaction.atomic():
        enqueue("containers.run_operation", "1")
        inside = queue()

    assert inside == []
    assert queue() == ["containers.run_operation"]


@pytest.mark.django_db(transaction=True)
def test_enqueue_rolled_back_transaction_sends_nothing(queue: Callable[[], list[str]]) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        enqueue("containers.run_operation", "1")
        raise RuntimeError

    assert queue() == []


@pytest.mark.django_db(transaction=True)
def test_enqueue_without_a_transaction_is_sent_at_once(queue: Callable[[], list[str]]) -> None:
    enqueue("containers.settle_operations")

    assert queue() == ["containers.settle_operations"]


@pytest.mark.django_db
def test_enqueue_broker_away_is_logged_and_not_raised(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    nobody_listens = Connection("redis://127.0.0.1:1/0")
    monkeypatch.setattr(current_app, "connection_for_write", lambda *_args, **_options: nobody_listens)
    monkeypatch.setattr(current_app.amqp, "_producer_pool", None)
    monkeypatch.setattr(current_app, "_pool", None)

    with django_capture_on_commit_callbacks(execute=True):
        enqueue("containers.run_operation", "1")

    assert "task not sent" in caplog.text
