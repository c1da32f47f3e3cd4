"""Locks between processes, in Redis: they name their owner, end by themselves, and are renewed while in use."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import redis
from django.conf import settings
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

logger = logging.getLogger(__name__)

_PREFIX = "ssm:lock:"


@cache
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)


@contextmanager
def lock(name: str, seconds: float) -> Iterator[bool]:
    """Hold the lock inside the block; the value tells whether it was free. Never waits.

    ``seconds`` is how long it outlives a process that died. It is renewed from a thread while the block runs, so a
    block of any length keeps it; only its owner gives it back. Raises RedisError when Redis does not answer.
    """
    mine = Lock(_client(settings.REDIS_URL), _PREFIX + name, timeout=seconds, blocking=False, thread_local=False)
    if not mine.acquire():
        yield False
        return
    over = threading.Event()
    renewer = threading.Thread(target=_renew, args=(mine, seconds / 3, over), name="lock", daemon=True)
    renewer.start()
    try:
        yield True
    finally:
        over.set()
        renewer.join()
        try:
            mine.release()
        except (LockError, RedisError) as exc:  # it has ended already, or ends by itself
            logger.info("lock %s not given back: %s", name, exc)


def _renew(mine: Lock, every_s: float, over: threading.Event) -> None:
    while not over.wait(every_s):
        try:
            mine.reacquire()
        except LockError:
            logger.warning("lock lost: %s", mine.name)
            return
        except RedisError as exc:
            logger.warning("lock not renewed: %s", exc)
