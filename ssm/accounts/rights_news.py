"""Tell open streams that somebody's rights may have changed, so that they look again.

News travel in a Redis stream: who reads it gets each of them once, at once, also what came while it was not reading.
A process reads it over one connection however many streams it has open.
"""

import logging
from typing import Final

from django.conf import settings
from django.db import transaction
from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

STREAM: Final = "ssm:rights"
USER: Final = b"user"
# Readers are behind by less than a second; nobody needs old news.
_KEPT: Final = 1000
_PATIENCE_S: Final = 2.0


def announce(user_id: int | None = None) -> None:
    """Once the transaction has committed: this user's rights, or (None) those of anybody, may have changed."""
    transaction.on_commit(lambda: _send(user_id))


def _send(user_id: int | None) -> None:
    client = Redis.from_url(settings.REDIS_URL, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S)
    try:
        client.xadd(STREAM, {USER: str(user_id or "")}, maxlen=_KEPT, approximate=True)
    except RedisError as exc:
        # Readers lose Redis too, and have all their streams look again once it is back.
        logger.warning("change of rights not told: %s", type(exc).__name__)
    finally:
        client.close()
