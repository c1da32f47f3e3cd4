"""The page's socket: the browser tells which elements it shows, the server sends them anew when they change.

Each object's first change goes out at once; what follows within 200 ms goes out together. When rows came or went, a
signal makes the page read its list again, since only a page knows its filter and order.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from containers.consumers.hub import (
    ATTENTIVE_PAGES,
    EVENT_PAGES,
    UPDATES_PAGE,
    USAGE_PAGES,
    hub,
)
from containers.consumers.lately import OF_DEVICES, came_or_went, changed_lately, devices_of
from containers.consumers.pulse import pulse
from containers.consumers.rights import rights_reader
from containers.consumers.streams import FORBIDDEN, RETRY_S, UNAUTHENTICATED, current_user
from containers.consumers.visible import hidden_objects
from containers.fragments import Element, fragments, parse_element
from containers.push import Change
from ssm.lib.roles import SomeUser, can_view, grants_of

logger = logging.getLogger(__name__)

# Of the WebSocket registry (RFC 6455, section 7.4.2): come back in a moment.
SERVICE_RESTART: Final = 1012
MAX_MESSAGE: Final = 128 * 1024
MAX_ELEMENTS: Final = 1000
SPACING_S: Final = 0.2
USAGE_SPACING_S: Final = 1.0
RENDER_AGAIN_S: Final = 2.0
RECHECK_S: Final = 60.0
# A page's rows were read this long before it says it was made, at most; clocks of web servers may differ a little.
READ_BEFORE: Final = timedelta(seconds=2)
# What a page shows of the readings of one device is one element to us: rendered and sent together.
_USAGE: Final = "usage"
_TABLE_PART: Final = re.compile(r"\s*<(tr|td|th|tbody)\b")


@dataclass(slots=True)
class _Shown:
    """An element on the page: the last change it must show, the one it shows, and when it may be sent next.

    It is sent by one task at a time, or an older rendering that took long could come after a newer one.
    """

    element: Element
    spacing_s: float
    wanted: int = 0
    sent: int = 0
    not_before: float = 0.0
    is_busy: bool = False
    timer: asyncio.TimerHandle | None = None


class LiveConsumer(AsyncWebsocketConsumer):
    """One open page of one user."""

    # Changes come by the hub of the process: no subscription of each page's own.
    channel_layer_alias = "none"
    # Seconds between two looks whether the user may still watch.
    recheck_s: float = RECHECK_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.page = ""
        self.counts: list[Element] = []
        self._counted: dict[str, str] = {}
        self._outgoing: list[str] = []
        self._is_over = False
        self._shown: dict[str, _Shown] = {}
        self._by_object: dict[str, list[_Shown]] = {}
        self._rows_of: dict[str, list[str]] = {}
        self._usage_of: dict[str, list[Element]] = {}
        self._elements: list[Element] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._knows_missed_rows = False
        self._signal_count = 0
        self._signal_timer: asyncio.TimerHandle | None = None
        self._signal_not_before = 0.0
        self._usage_signal_not_before = 0.0

    async def connect(self) -> None:
        """Let in who may see the fleet; others learn why by the closing code."""
        user = self.scope["user"]
        code = 0 if user.is_authenticated else UNAUTHENTICATED
        if not code and not await database_sync_to_async(self._begins)(user):
            code = FORBIDDEN
        if not code:
            # Before the browser hears that it is connected: from then on nothing passes it by.
            await hub().join(self)
        await self.accept()
        if code:
            await self.close(code)
        else:
            pulse().join(self._on_loss)
            self._start(self._recheck())

    @property
    def user(self) -> SomeUser:
        """With the rights that the page was made with."""
        user: SomeUser = self.scope["user"]
        return user

    def _begins(self, user: SomeUser) -> bool:
        """Whether the user may see anything; who is held back may not. Keeps the rights that the page was made with."""
        fresh = current_user(self.scope)
        return fresh is not None and can_view(fresh) and can_view(user)

    async def disconnect(self, _code: int) -> None:
        """Leave nothing behind: no timer, no task, no group."""
        self._is_over = True
        pulse().leave(self._on_loss)
        hub().leave(self)
        for shown in self._shown.values():
            if shown.timer:
                shown.timer.cancel()
        if self._signal_timer:
            self._signal_timer.cancel()
        for task in self._tasks:
            task.cancel()

    def _on_loss(self) -> None:
        """Changes may have passed us by: a page that comes back reads itself anew."""
        pulse().leave(self._on_loss)
        self._is_over = True
        self._start(self.close(SERVICE_RESTART))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take ``{"type": "watch", "page": …, "made_at": …, "ids": […]}``; anything else but a ping is ignored."""
        if text_data is None or len(text_data) > MAX_MESSAGE:
            return
        try:
            message = json.loads(text_data)
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and message.get("type") == "watch" and isinstance(message.get("ids"), list):
            self.page = str(message.get("page", ""))[:40]
            await self._watch([str(name)[:100] for name in message["ids"][:MAX_ELEMENTS]])
            # After it, as from then on nothing passes the page by.
            await self._hear_of_missed_rows(message.get("made_at"))

    async def _hear_of_missed_rows(self, made_at: object) -> None:
        """Have the page read its list again if rows came or went after it was made, once per socket.

        ``made_at`` is our own time (seconds since 1970) that the page carries; without it nothing is asked.
        """
        if self._knows_missed_rows or not isinstance(made_at, int | float):
            return
        self._knows_missed_rows = True
        try:
            since = datetime.fromtimestamp(made_at, UTC) - READ_BEFORE
        except (OverflowError, ValueError, OSError):
            return
        if await database_sync_to_async(came_or_went)(since, or_changed=self.page in ATTENTIVE_PAGES):
            self._schedule_signal()

    async def _watch(self, names: list[str]) -> None:
        """Show these elements from now on, as far as the user may see them."""
        elements = [element for element in map(parse_element, dict.fromkeys(names)) if element is not None]
        devices = await database_sync_to_async(devices_of)(self.scope["user"], elements)
        hidden = await database_sync_to_async(hidden_objects)(self.scope["user"], elements)
        # Looked at again when rights change: also a device that was moved, or a label that is gone, may hide them.
        self._elements = [element for element in elements if element.object_id not in hidden]
        kept = self._shown
        self._shown, self._by_object, self._rows_of, self._usage_of = {}, {}, {}, {}
        fresh = []
        for element in elements:
            if element.kind in OF_DEVICES and element.object_id not in devices:
                continue
            if element.object_id in hidden:
                continue
            if element.is_usage:
                self._usage_of.setdefault(devices.get(element.object_id, element.object_id), []).append(element)
                continue
            if not element.object_id:
                continue
            shown = kept.pop(element.name, None)
            if shown is None:
                shown = _Shown(element, SPACING_S)
                fresh.append(shown)
            self._shown[element.name] = shown
            self._by_object.setdefault(element.object_id, []).append(shown)
        for device_id in self._usage_of:
            name = f"{_USAGE}-{device_id}"
            shown = kept.pop(name, None)
            if shown is None:
                shown = _Shown(Element(name, _USAGE, device_id), USAGE_SPACING_S)
                fresh.append(shown)
            self._shown[name] = shown
        for left in kept.values():
            if left.timer:
                left.timer.cancel()
        for object_id, device_id in devices.items():
            self._rows_of.setdefault(device_id, []).append(object_id)
        hub().watch(self, self.page, {*self._by_object, *self._rows_of, *self._usage_of})
        self._count_anew([element for element in elements if not element.object_id])
        await self._catch_up(fresh)

    def _count_anew(self, counts: list[Element]) -> None:
        """Have these counts sent, whatever was sent before: the page may be another by now."""
        self.counts, self._counted = counts, {}
        if counts:
            hub().count_soon()

    def show_count(self, element: Element, html: str) -> None:
        """Send counts, unless the page shows the same."""
        if self._counted.get(element.name) != html:
            self._counted[element.name] = html
            self._post(html)

    async def _catch_up(self, fresh: list[_Shown]) -> None:
        """Send what may have changed after the page was made and before this socket heard of its elements."""
        changed = await database_sync_to_async(changed_lately)([shown.element for shown in fresh])
        number = fragments().newest()
        for shown in fresh:
            if shown.element.object_id in changed:
                self._schedule(shown, number)

    def hear(self, change: Change, number: int) -> None:
        """Something changed that may be on this page: send what of it is."""
        device_id = change["device"]
        if change["kind"] == _USAGE:
            if shown_usage := self._shown.get(f"{_USAGE}-{device_id}"):
                self._schedule(shown_usage, number)
            if shown_schedules := self._shown.get(f"device-{device_id}-schedules"):
                self._schedule(shown_schedules, number)
            moment = time.monotonic()
            if self.page in USAGE_PAGES and moment >= self._usage_signal_not_before:
                self._usage_signal_not_before = moment + USAGE_PAGES[self.page]
                self._schedule_signal()
            return
        if change["kind"] == "event":
            if self.page in EVENT_PAGES and (self.page == "events" or self._shows_any([*change["ids"], device_id])):
                self._schedule_signal()
            return
        touched = [*change["ids"], device_id]
        if change["kind"] == "device":
            # Rows show whether their host is reachable.
            touched += self._rows_of.get(device_id, [])
        concerned = False
        for object_id in touched:
            for shown in self._by_object.get(object_id, ()):
                concerned = True
                self._schedule(shown, number)
        came_or_went = change["what"] != "updated"
        if change["kind"] == "update" and self.page == UPDATES_PAGE:
            came_or_went = True
        if came_or_went or self.page in ATTENTIVE_PAGES or (concerned and not self.page.endswith("s")):
            self._schedule_signal()

    def _shows_any(self, object_ids: list[str]) -> bool:
        """Whether the page is about one of these objects."""
        return any(object_id in self._by_object for object_id in object_ids)

    def _schedule(self, shown: _Shown, number: int) -> None:
        shown.wanted = max(shown.wanted, number)
        if shown.timer is not None or shown.is_busy:
            return
        delay = shown.not_before - time.monotonic()
        if delay <= 0:
            self._begin(shown)
        else:
            shown.timer = asyncio.get_running_loop().call_later(delay, self._begin, shown)

    def _begin(self, shown: _Shown) -> None:
        shown.timer = None
        shown.is_busy = True
        shown.not_before = time.monotonic() + shown.spacing_s
        self._start(self._send(shown))

    async def _send(self, shown: _Shown) -> None:
        number = shown.wanted
        try:
            html = await self._html(shown.element, number)
        except Exception:
            # The database away, most likely: what the page shows is old until it is back.
            logger.warning("%s not rendered", shown.element.name, exc_info=True)
            shown.not_before = time.monotonic() + RENDER_AGAIN_S
        else:
            if html and self._shown.get(shown.element.name) is shown:
                self._post(html)
            shown.sent = number
        shown.is_busy = False
        if shown.sent < shown.wanted and self._shown.get(shown.element.name) is shown:
            self._schedule(shown, shown.wanted)

    async def _html(self, element: Element, number: int) -> str:
        if element.kind == _USAGE:
            parts = self._usage_of.get(element.object_id, [])
            return await fragments().usage(parts, number, with_bars=self.page == "top")
        return await fragments().html(element, number, self.scope["user"])

    def _post(self, html: str) -> None:
        """Send the HTML; what is ready in the same moment goes in one message."""
        if self._is_over:
            return
        self._outgoing.append(html)
        if len(self._outgoing) == 1:
            asyncio.get_running_loop().call_soon(self._send_outgoing)

    def _send_outgoing(self) -> None:
        pieces, self._outgoing = self._outgoing, []
        for text in messages_of(pieces):
            self._start(self._deliver(text))

    async def _deliver(self, text: str) -> None:
        if self._is_over:
            return
        try:
            await self.send(text_data=text)
        except Exception as error:
            # The browser is gone, which each server tells by an error of its own; `disconnect` comes next.
            self._is_over = True
            logger.debug("not delivered: %s", error)

    def _schedule_signal(self) -> None:
        """Ask the page to read its list again, at most once a second; the last change is never left out."""
        if self._signal_timer is not None:
            return
        moment = time.monotonic()
        wait_s, spacing_s = hub().signal_delay_s()
        delay = max(wait_s, self._signal_not_before - moment)
        self._signal_not_before = moment + delay + spacing_s
        self._signal_timer = asyncio.get_running_loop().call_later(delay, self._on_signal_timer)

    def _on_signal_timer(self) -> None:
        self._signal_timer = None
        self._signal_count += 1
        # Numbers differ between sockets too: the page compares with what the last one said.
        number = f"{id(self) % 10_000}-{self._signal_count}"
        self._post(f'<div id="live-signal" data-refresh="{number}" hidden></div>')

    async def _recheck(self) -> None:
        """Close the socket of somebody who was logged out, deactivated, or may see nothing, less or more by now."""
        news = asyncio.Event()
        # At once too: what changed between the look at the beginning and now was told to nobody.
        news.set()
        rights_reader().join(self.scope["user"].pk, news.set)
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), self.recheck_s)
                news.clear()
                try:
                    code = await database_sync_to_async(self._closing_code)()
                except DatabaseError:
                    # Nothing can be shown meanwhile either.
                    await asyncio.sleep(RETRY_S)
                    news.set()
                    continue
                if code:
                    await self.close(code)
                    return
        finally:
            rights_reader().leave(news.set)

    def _closing_code(self) -> int:
        """0 while everything is as it was when the page came. Reads session, user and rights anew. In a thread."""
        user = current_user(self.scope)
        if user is None or not can_view(user):
            return FORBIDDEN
        # The page comes back by itself, reads itself anew, and watches what is there by then.
        is_same = grants_of(user) == grants_of(self.scope["user"])
        return 0 if is_same and not hidden_objects(user, list(self._elements)) else SERVICE_RESTART

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def messages_of(pieces: Sequence[str]) -> list[str]:
    """Pieces of HTML as messages that browsers can read, in as few as possible.

    Rows and cells of tables count only among their like: after anything else the HTML parser drops their tags.
    """
    by_tag: dict[str, list[str]] = {}
    for piece in pieces:
        found = _TABLE_PART.match(piece)
        by_tag.setdefault(found[1] if found else "", []).append(piece)
    return ["".join(found) for found in by_tag.values()]
