"""Tell open pages that something changed. Nothing else sends to the channel layer.

A message is small: what changed, not how it looks now (``Change``). It goes out after the transaction has committed, to
the one group that every web process listens to (`containers.consumers.hub`); pages' sockets read the row and render it.
The layer is at-most-once, so a message that is lost costs freshness until the next one, never correctness.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Iterable
from typing import Literal, TypedDict

from channels.layers import get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)

FLEET_GROUP = "fleet"
Kind = Literal[
    "container",
    "device",
    "operation",
    "batch",
    "usage",
    "update",
    "check",
    "event",
    "image",
    "volume",
    "network",
    "backup",
]
What = Literal["updated", "appeared", "vanished"]
# Beyond this many in one transaction, pages are told to fetch their list again instead of one row each.
MANY = 200


class Change(TypedDict):
    """What travels over the channel layer; ``ids`` are of one kind and device.

    ``stamp`` tells one message from another. It says nothing about their order: that is the order of arrival, since
    clocks of processes differ, and of two transactions the first to announce may be the last to commit.
    """

    type: Literal["live.change"]
    kind: Kind
    what: What
    device: str
    ids: list[str]
    stamp: str


class _Sender:
    """One event loop in a thread of its own, so that threads without a loop share one connection to Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="push", daemon=True).start()
            return self._loop

    def send(self, message: Change) -> None:
        asyncio.run_coroutine_threadsafe(self._send(message), self.loop())

    @staticmethod
    async def _send(message: Change) -> None:
        layer = get_channel_layer()
        try:
            await layer.group_send(FLEET_GROUP, message)
        except Exception as exc:
            # Redis away: consumers.pulse sends the pages away, which come back and fetch all anew once it is back. One
            # line: there is one for every change until then.
            logger.warning("push not sent: %s: %s", type(exc).__name__, exc, extra={"kind": message["kind"]})


_sender = _Sender()


def publish(kind: Kind, device_id: object, ids: Iterable[object], *, what: What = "updated") -> None:
    """Announce a change of rows of one device once the current transaction has committed (at once without one)."""
    texts = [str(identity) for identity in ids]
    if not texts:
        return
    if len(texts) > MANY:
        texts, what = texts[:1], "appeared"
    message = Change(type="live.change", kind=kind, what=what, device=str(device_id), ids=texts, stamp=uuid.uuid4().hex)
    transaction.on_commit(lambda: _sender.send(message))
