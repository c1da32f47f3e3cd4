"""Whether the peers of idle connections are still there: one timer for all, and next to nothing for each.

The kernel notices a peer that vanished (``sockets``: TCP keepalive, and a limit for unanswered data), at no cost to us.
What it cannot notice is an SSH server that hangs on a living host: so each silent connection is asked now and then.
"""

import logging
import sys
import threading
import time
import weakref
from typing import Final, Protocol

logger = logging.getLogger(__name__)

# Where the kernel watches the peer, this is for servers that hang; elsewhere it has to find cut cables too.
ASK_AFTER_S: Final = 60.0 if sys.platform == "linux" else 10.0
PATIENCE_S: Final = 10.0
_TICK_S: Final = 2.0


class Peer(Protocol):
    """A connection, as far as its life is concerned. Times are of the monotonic clock."""

    @property
    def last_heard(self) -> float:
        """When anything came last."""

    @property
    def ask_after_s(self) -> float | None:
        """Its own silence before it is asked; None for the usual one, 0 for never."""

    @property
    def asked_at(self) -> float:
        """When it was asked for a sign of life last."""

    def ask_for_life(self) -> None:
        """Send a question that any living server answers."""

    def give_up(self) -> None:
        """Close: it did not answer."""


class Watch:
    """Asks silent peers, gives those up that do not answer. Its thread ends with the last peer."""

    def __init__(self, *, ask_after_s: float = ASK_AFTER_S, patience_s: float = PATIENCE_S, tick_s: float = _TICK_S):
        self._ask_after_s = ask_after_s
        self._patience_s = patience_s
        self._tick_s = tick_s
        self._changed = threading.Condition()
        self._peers: weakref.WeakSet[Peer] = weakref.WeakSet()
        self._thread: threading.Thread | None = None

    def add(self, peer: Peer) -> None:
        """Look after a connection until ``remove``."""
        with self._changed:
            self._peers.add(peer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="signs-of-life", daemon=True)
                self._thread.start()

    def remove(self, peer: Peer) -> None:
        """It was closed. May be called again."""
        with self._changed:
            self._peers.discard(peer)
            if not self._peers:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._peers:
                    self._thread = None
                    return
                self._changed.wait(self._tick_s)
                peers = list(self._peers)
            moment = time.monotonic()
            for peer in peers:
                self._look_at(peer, moment)

    def _look_at(self, peer: Peer, moment: float) -> None:
        heard, asked = peer.last_heard, peer.asked_at
        try:
            if asked > heard:
                if moment - asked > self._patience_s:
                    peer.give_up()
                return
            ask_after_s = self._ask_after_s if peer.ask_after_s is None else peer.ask_after_s
            if ask_after_s and moment - heard > ask_after_s:
                peer.ask_for_life()
        except Exception as exc:
            # It was closed in this moment, most likely; the others must be looked at all the same.
            logger.debug("no sign of life asked for: %s", exc)


watch = Watch()
