"""The only way to hand work to Celery: by task name, ids only, after the transaction has committed."""

import logging
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def enqueue(name: str, *ids: str, expires_s: float | None = None) -> None:
    """Send the task ``name`` with the given ids once the current transaction commits (at once without one).

    Names instead of functions keep apps free of import cycles; a test asserts that every used name exists.
    A worker that gets it later than ``expires_s`` seconds from now drops it.
    A broker that does not answer is logged, not raised: work that must not be lost is a row first, and is
    sent again by the tick that looks for forgotten rows.
    """
    transaction.on_commit(partial(_send, name, ids, expires_s))


def _send(name: str, ids: tuple[str, ...], expires_s: float | None) -> None:
    try:
        current_app.send_task(name, args=list(ids), retry=False, expires=expires_s)
    except (OperationalError, RedisError, OSError):
        logger.warning("task not sent, the broker does not answer", extra={"task": name, "ids": ids}, exc_info=True)
