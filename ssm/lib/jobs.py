"""The only way to hand work to Celery: by task name, ids only, after the transaction has committed."""

import inspect
import logging
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any, Final

from celery import current_app, signals
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ssm.lib.log_context import current_context, log_context

logger = logging.getLogger(__name__)

# Messages carry the id of the request that they come from, for the log of whoever works on them.
REQUEST_HEADER: Final = "ssm_request"


def enqueue(name: str, *ids: str, expires_s: float | None = None) -> None:
    """Send the task ``name`` with the given ids once the current transaction commits (at once without one).

    Names instead of functions keep apps free of import cycles; a test asserts that every used name exists.
    A worker that gets it later than ``expires_s`` seconds from now drops it.
    A broker that does not answer is logged, not raised: work that must not be lost is a row first, and is
    sent again by the tick that looks for forgotten rows.
    """
    transaction.on_commit(partial(_send, name, ids, expires_s))


def _send(name: str, ids: tuple[str, ...], expires_s: float | None) -> None:
    request = current_context().get("request")
    headers = {REQUEST_HEADER: request} if request else None
    try:
        current_app.send_task(name, args=list(ids), retry=False, expires=expires_s, headers=headers)
    except (OperationalError, RedisError, OSError):
        logger.warning("task not sent, the broker does not answer", extra={"task": name, "ids": ids}, exc_info=True)


# ---- what a worker writes to its log while it is at a task

_around: Final[dict[str, AbstractContextManager[None]]] = {}


@signals.task_prerun.connect
def _begins(task_id: str = "", task: Any = None, args: Any = (), **_: Any) -> None:
    """Everything that is logged meanwhile carries the task, the device or operation, and the request it came from."""
    ids = {"task": task_id, "request": getattr(task.request, REQUEST_HEADER, None)}
    subject = _subject(task)
    if subject and args:
        ids[subject] = str(args[0])
    _around[task_id] = around = log_context(**ids)
    around.__enter__()


@signals.task_postrun.connect
def _ends(task_id: str = "", **_: Any) -> None:
    around = _around.pop(task_id, None)
    if around is not None:
        around.__exit__(None, None, None)


@cache
def _subject(task: Any) -> str:
    """What the first id of a task names: ``device``, ``operation`` or nothing that the log knows."""
    first = next(iter(inspect.signature(task.run).parameters), "")
    return {"device_id": "device", "operation_id": "operation"}.get(first, "")
