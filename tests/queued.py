"""What waits in Celery's queue, for tests that run no worker: read, and worked off in this process."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import redis
from celery import current_app
from django.conf import settings

_KEYS = [f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}{queue}" for queue in ("celery", "transfers")]


@dataclass(frozen=True, slots=True)
class Queued:
    """A task that was sent: its name and its arguments."""

    name: str
    ids: tuple[str, ...]

    def run(self) -> None:
        """Do it here and now."""
        current_app.loader.import_default_modules()
        current_app.tasks[self.name](*self.ids)


def take_queued() -> list[Queued]:
    """Take all messages out of the queues, the first one sent to each first."""
    taken = []
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for key in _KEYS:
            while (raw := client.rpop(key)) is not None:
                message: dict[str, Any] = json.loads(raw)
                arguments = json.loads(base64.b64decode(message["body"]))[0]
                taken.append(Queued(message["headers"]["task"], tuple(arguments)))
    return taken


def run_queued() -> list[str]:
    """Work off all that waits and what that brings up; the names in the order they were run."""
    names = []
    while batch := take_queued():
        for task in batch:
            task.run()
            names.append(task.name)
    return names
