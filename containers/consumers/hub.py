"""One ear for all open pages of a process: hears each change of the fleet once, and tells the pages that it concerns.

Were each page's socket subscribed by itself, 500 pages and 200 changes a second would be 100,000 messages a second to
take from queues and decode, nearly all of them about what the page does not show.
"""

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from containers.fragments import Element, fragments
from containers.push import FLEET_GROUP, Change
from ssm.lib.roles import Right, SomeUser, grants_of

logger = logging.getLogger(__name__)

COUNTS_SPACING_S: Final = 0.5
# Counting takes a tenth of the time of one thread, however large the fleet, unless counts would be older than this.
_COUNTING_SHARE: Final = 10
_OLDEST_COUNTS_S: Final = 3.0
SIGNAL_SPACING_S: Final = 1.0
# So many pages a second are asked to read their lists again: the reading is theirs, the work this process's.
LISTS_A_SECOND: Final = 20
# Pages that list what needs attention, or count containers: any change may add or take a line there.
ATTENTIVE_PAGES: Final = frozenset({"home", "projects"})
# Pages that list events: of the whole fleet, or of the device or container that they are about.
EVENT_PAGES: Final = frozenset({"events", "device", "container-events"})
# Lists answers about updates, which come and go with each of them.
UPDATES_PAGE: Final = "updates"
# Pages whose rows depend on what is used, which changes with every reading of every device: seconds between two looks.
USAGE_PAGES: Final = {"top": 5.0, "home": 30.0}
# On these pages no row comes or goes with one of such a kind.
_UNMOVED_BY: Final = {
    "containers": frozenset({"operation", "batch", "image", "volume", "network", "backup", "check"}),
    "events": frozenset({"container", "operation", "batch", "image", "volume", "network", "backup", "check"}),
}


class LivePage(Protocol):
    """A page's socket, as the hub knows it."""

    user: SomeUser
    page: str
    # Elements of counts that it shows.
    counts: list[Element]

    def hear(self, change: Change, number: int) -> None:
        """Something changed that may be on the page."""

    def show_count(self, element: Element, html: str) -> None:
        """The counts, as they are now."""


class Hub:
    """The pages of one event loop."""

    def __init__(self) -> None:
        self._shown: dict[LivePage, frozenset[str]] = {}
        self._by_id: dict[str, set[LivePage]] = {}
        self._by_page: dict[str, set[LivePage]] = {}
        self._named: dict[LivePage, str] = {}
        self._listening: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._is_count_due = False

    async def join(self, page: LivePage) -> None:
        """Tell the page of changes from now on. Raises RedisError when there is nobody to hear them from."""
        self._shown[page] = frozenset()
        if self._ready is None or self._listening is None or self._listening.done():
            self._ready = asyncio.get_running_loop().create_future()
            self._listening = asyncio.ensure_future(self._listen(self._ready))
        try:
            await asyncio.shield(self._ready)
        except BaseException:
            self.leave(page)
            raise

    def leave(self, page: LivePage) -> None:
        """The opposite of ``join``; the last one who leaves ends the listening."""
        self.watch(page, "", ())
        self._by_page.get("", set()).discard(page)
        self._named.pop(page, None)
        self._shown.pop(page, None)
        if not self._shown:
            for task in (self._listening, self._counting):
                if task is not None:
                    task.cancel()
            self._listening = self._counting = None

    def watch(self, page: LivePage, name: str, object_ids: Iterable[str]) -> None:
        """The page is of that name and shows these objects, which replaces what it showed before."""
        before, now = self._shown.get(page, frozenset()), frozenset(object_ids)
        for object_id in before - now:
            pages = self._by_id[object_id]
            pages.discard(page)
            if not pages:
                del self._by_id[object_id]
        for object_id in now - before:
            self._by_id.setdefault(object_id, set()).add(page)
        if page in self._shown:
            self._shown[page] = now
        self._by_page.get(self._named.get(page, ""), set()).discard(page)
        self._by_page.setdefault(name, set()).add(page)
        self._named[page] = name

    def signal_delay_s(self) -> tuple[float, float]:
        """How long a page should wait before it reads its list again, and then until the next time.

        The more pages are open, the longer, and each another while: or all would come at once.
        """
        spacing_s = len(self._shown) / LISTS_A_SECOND
        if spacing_s <= SIGNAL_SPACING_S:
            return 0.0, SIGNAL_SPACING_S
        return random.uniform(0, spacing_s), spacing_s  # noqa: S311 - not for secrets

    async def _listen(self, ready: "asyncio.Future[None]") -> None:
        layer: Any = get_channel_layer()
        try:
            channel = await layer.new_channel("hub.")
            await layer.group_add(FLEET_GROUP, channel)
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            # Whoever waits is told; there may be nobody any more.
            ready.exception()
            return
        if not ready.done():
            ready.set_result(None)
        try:
            while True:
                message = await layer.receive(channel)
                try:
                    self._dispatch(message)
                except Exception:
                    logger.exception("a change was not passed on", extra={"kind": message.get("kind")})
        finally:
            with suppress(RedisError, OSError):
                await layer.group_discard(FLEET_GROUP, channel)

    def _dispatch(self, change: Change) -> None:
        number, kind = fragments().arrival(change["stamp"]), change["kind"]
        concerned: set[LivePage] = set()
        for object_id in (*change["ids"], change["device"]):
            concerned |= self._by_id.get(object_id, set())
        if kind == "usage":
            concerned |= self._of(USAGE_PAGES)
        elif kind == "event":
            concerned = {page for page in concerned if self._named.get(page) in EVENT_PAGES} | self._of(["events"])
        else:
            concerned |= self._of(ATTENTIVE_PAGES)
            if kind == "update":
                concerned |= self._of([UPDATES_PAGE])
            if change["what"] != "updated":
                concerned |= self._of(name for name in self._by_page if kind not in _UNMOVED_BY.get(name, ()))
            self.count_soon()
        for page in concerned:
            page.hear(change, number)

    def _of(self, names: Iterable[str]) -> set[LivePage]:
        return set().union(*(self._by_page.get(name, ()) for name in names))

    # ---- counts: of everything, so every change is about them -------------------------------------------------

    def count_soon(self) -> None:
        """Have all counts looked at again: at once if that is long ago, and not before half a second is over."""
        self._is_count_due = True
        if self._counting is None or self._counting.done():
            self._counting = asyncio.ensure_future(self._count())

    async def _count(self) -> None:
        while self._is_count_due:
            self._is_count_due = False
            began = time.monotonic()
            # One rendering for all who may see the same.
            groups: dict[Any, tuple[Element, list[LivePage]]] = {}
            for page in self._shown:
                for element in page.counts:
                    key = element.name, grants_of(page.user).of(Right.SEE)
                    groups.setdefault(key, (element, []))[1].append(page)
            for element, pages in groups.values():
                try:
                    html = await fragments().html(element, fragments().newest(), pages[0].user)
                except Exception:
                    # The database away, most likely.
                    logger.warning("%s not counted", element.name, exc_info=True)
                    self._is_count_due = True
                    continue
                for page in pages:
                    page.show_count(element, html)
            took_s = time.monotonic() - began
            await asyncio.sleep(min(max(COUNTS_SPACING_S, took_s * (_COUNTING_SHARE - 1)), _OLDEST_COUNTS_S))


_instances: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _instances.setdefault(asyncio.get_running_loop(), Hub())
