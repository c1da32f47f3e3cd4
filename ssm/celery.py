"""The Celery app; its settings, the beat schedule included, are the CELERY_* names in ssm.settings."""

import logging
import os
import time
from typing import Any

from celery import Celery, signals

from ssm.lib import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")

broker.install()
app = Celery("ssm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def _logging_is_ours(**_: Any) -> None:
    """Workers and the scheduler log as all processes do: in one form, and no text of a stranger begins a line."""
    from django.conf import settings
    from django.utils.log import configure_logging

    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    logging.captureWarnings(True)


# What this process tells of itself, once it is a worker or the scheduler.
_own: dict[str, Any] = {}
_begun: dict[str, float] = {}


@signals.worker_ready.connect
def _worker_is_ready(sender: Any = None, **_: Any) -> None:
    from ssm.lib import presence  # settings are read by then

    names = set(sender.app.amqp.queues.consume_from) if sender is not None else set()
    _own["store"] = presence.client()
    _own["announcer"] = presence.announce("transfers" if names == {"transfers"} else "worker")


@signals.beat_init.connect
def _scheduler_begins(**_: Any) -> None:
    from ssm.lib import presence

    _own["store"] = presence.client()
    _own["is_scheduler"] = True
    _own["announcer"] = presence.announce("scheduler")


@signals.worker_shutdown.connect
def _ends(**_: Any) -> None:
    if announcer := _own.pop("announcer", None):
        announcer.close()


@signals.before_task_publish.connect
def _is_sent(sender: str | None = None, headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Messages carry the time they were sent, so that the age of a queue can be told."""
    from ssm.lib import presence

    if headers is not None:
        headers[presence.SENT_AT] = round(time.time(), 3)
    if _own.get("is_scheduler") and sender:
        presence.note_sent(_own["store"], sender)


@signals.task_prerun.connect
def _begins(task_id: str = "", task: Any = None, **_: Any) -> None:
    if "store" in _own and task is not None and task.name in _ticks():
        _begun[task_id] = time.monotonic()


@signals.task_postrun.connect
def _has_run(task_id: str = "", task: Any = None, state: str | None = None, **_: Any) -> None:
    from ssm.lib import presence

    began = _begun.pop(task_id, None)
    if began is not None:
        presence.note_ran(_own["store"], task.name, time.monotonic() - began, str(state or ""))


def _ticks() -> frozenset[str]:
    found = _own.get("ticks")
    if found is None:
        schedule: dict[str, dict[str, Any]] = app.conf.beat_schedule or {}
        found = _own["ticks"] = frozenset(str(entry["task"]) for entry in schedule.values())
    return frozenset(found)
