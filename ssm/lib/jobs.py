"""The only way to hand work to Celery: by task name, ids only, after the transaction has committed."""

from functools import partial

from celery import current_app
from django.db import transaction


def enqueue(name: str, *ids: str) -> None:
    """Send the task ``name`` with the given ids once the current transaction commits (at once without one).

    Names instead of functions keep apps free of import cycles; a test asserts that every used name exists.
    Raises kombu's OperationalError when the broker cannot be reached and no transaction is open.
    """
    transaction.on_commit(partial(current_app.send_task, name, args=list(ids)))
