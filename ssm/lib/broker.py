"""The way of tasks through Redis, as kombu does it, but for one thing: a Redis that goes away ends no worker.

A worker that lost its Redis gives up the connection and makes another. Giving it up, kombu 5.7 puts the messages that
are not acknowledged back into their queues, for which it needs the very Redis that is gone; what that raises is none of
the errors that the worker expects, and ends it with all that its threads are at. The messages need no such care: they
are still among the unacknowledged ones, which are handed out again, and whatever must not wait so long is a row that a
tick looks for.
"""

import logging
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# An AttributeError is what kombu meets where the connection has forgotten its address.
_GONE: Final = (RedisError, OSError, AttributeError)


class _Unacknowledged(redis.QoS):
    """Messages that a worker is at."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put them back into their queues, if Redis is there."""
        try:
            super().restore_unacked(client)
        except _GONE as exc:
            held: dict[str, Any] = self._delivered or {}
            logger.warning("%d unacknowledged messages not put back: %r", len(held), exc)
            held.clear()


class Channel(redis.Channel):
    """A channel that can be closed also when Redis is gone."""

    QoS = _Unacknowledged

    def close(self) -> None:
        """End it, whatever is still there to be ended."""
        try:
            super().close()
        except _GONE as exc:
            logger.warning("channel not closed in order: %r", exc)
            self.closed = True


class Transport(redis.Transport):
    """What `redis://` and `rediss://` lead to."""

    Channel = Channel


def install() -> None:
    """Have every connection of this process use it."""
    name = f"{Transport.__module__}:{Transport.__name__}"
    TRANSPORT_ALIASES.update(redis=name, rediss=name)
