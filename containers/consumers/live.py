"""The page's socket: the browser tells which elements it shows, the server sends them anew when they change.

Each object's first change goes out at once; what follows within 200 ms goes out together. When rows came or went, a
signal makes the page read its list again, since only a page knows its filter and order.
"""

import asyncio
import json
import logging
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.db.models import Q
from redis.exceptions import RedisError

from containers.consumers.pulse import pulse
from containers.consumers.rights import rights_reader
from containers.consumers.streams import FORBIDDEN, RETRY_S, UNAUTHENTICATED, current_user
from containers.consumers.visible import hidden_objects
from containers.fragments import Element, fragments, parse_element
from containers.models import Batch, Container, Image, Network, Operation, UpdateCheck
from containers.push import FLEET_GROUP, Change
from devices.models import Device, now
from ssm.lib.roles import SomeUser, can_view, grants_of

logger = logging.getLogger(__name__)

# Of the WebSocket registry (RFC 6455, section 7.4.2): come back in a moment.
SERVICE_RESTART: Final = 1012
MAX_MESSAGE: Final = 128 * 1024
MAX_ELEMENTS: Final = 1000
SPACING_S: Final = 0.2
COUNTS_SPACING_S: Final = 0.5
SIGNAL_SPACING_S: Final = 1.0
USAGE_SPACING_S: Final = 1.0
RENDER_AGAIN_S: Final = 2.0
RECHECK_S: Final = 60.0
PAGE_ON_ITS_WAY: Final = timedelta(seconds=30)
# A page's rows were read this long before it says it was made, at most; clocks of web servers may differ a little.
READ_BEFORE: Final = timedelta(seconds=2)
# Pages that list what needs attention, or count containers: any change may add or take a line there.
_ATTENTIVE_PAGES: Final = frozenset({"home", "projects"})
# Pages that list events: of the whole fleet, or of the device or container that they are about.
_EVENT_PAGES: Final = frozenset({"events", "device", "container-events"})
# Lists answers about updates, which come and go with each of them.
_UPDATES_PAGE: Final = "updates"
# Pages whose rows depend on what is used, which changes with every reading of every device: seconds between two looks.
_USAGE_PAGES: Final = {"top": 5.0, "home": 30.0}
# Rows of a device that only those may see who may see them there, by the kind of their elements.
_OF_DEVICES: Final[dict[str, Any]] = {"container": Container, "image": Image, "network": Network}
# What a page shows of the readings of one device is one element to us: rendered and sent together.
_USAGE: Final = "usage"


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


def _ids(elements: list[Element], kind: str) -> set[str]:
    return {element.object_id for element in elements if element.kind == kind}


class LiveConsumer(AsyncWebsocketConsumer):
    """One open page of one user."""

    # Seconds between two looks whether the user may still watch.
    recheck_s: float = RECHECK_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._page = ""
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
        await self.accept()
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(UNAUTHENTICATED)
        elif not await database_sync_to_async(self._begins)(user):
            await self.close(FORBIDDEN)
        else:
            await self.channel_layer.group_add(FLEET_GROUP, self.channel_name)
            pulse().join(self._on_loss)
            self._start(self._recheck())

    def _begins(self, user: SomeUser) -> bool:
        """Whether the user may see anything; who is held back may not. Keeps the rights that the page was made with."""
        fresh = current_user(self.scope)
        return fresh is not None and can_view(fresh) and can_view(user)

    async def disconnect(self, _code: int) -> None:
        """Leave nothing behind: no timer, no task, no group."""
        pulse().leave(self._on_loss)
        for shown in self._shown.values():
            if shown.timer:
                shown.timer.cancel()
        if self._signal_timer:
            self._signal_timer.cancel()
        for task in self._tasks:
            task.cancel()
        with suppress(RedisError):
            await self.channel_layer.group_discard(FLEET_GROUP, self.channel_name)

    def _on_loss(self) -> None:
        """Changes may have passed us by: a page that comes back reads itself anew."""
        pulse().leave(self._on_loss)
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
            self._page = str(message.get("page", ""))[:40]
            await self._hear_of_missed_rows(message.get("made_at"))
            await self._watch([str(name)[:100] for name in message["ids"][:MAX_ELEMENTS]])

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
        if await self._came_or_went(since):
            self._schedule_signal()

    @staticmethod
    @database_sync_to_async
    def _came_or_went(since: datetime) -> bool:
        came_or_went = Q(appeared_at__gte=since) | Q(removed_at__gte=since)
        return (
            Container.objects.filter(changed_at__gte=since).filter(came_or_went).exists()
            or Operation.objects.filter(created_at__gte=since).exists()
        )

    async def _watch(self, names: list[str]) -> None:
        """Show these elements from now on, as far as the user may see them."""
        elements = [element for element in map(parse_element, dict.fromkeys(names)) if element is not None]
        devices = await self._devices_of(self.scope["user"], {kind: _ids(elements, kind) for kind in _OF_DEVICES})
        hidden = await database_sync_to_async(hidden_objects)(self.scope["user"], elements)
        # Looked at again when rights change: also a device that was moved, or a label that is gone, may hide them.
        self._elements = [element for element in elements if element.object_id not in hidden]
        kept = self._shown
        self._shown, self._by_object, self._rows_of, self._usage_of = {}, {}, {}, {}
        fresh = []
        for element in elements:
            if element.kind in _OF_DEVICES and element.object_id not in devices:
                continue
            if element.object_id in hidden:
                continue
            if element.is_usage:
                self._usage_of.setdefault(devices.get(element.object_id, element.object_id), []).append(element)
                continue
            shown = kept.pop(element.name, None)
            if shown is None:
                shown = _Shown(element, SPACING_S if element.object_id else COUNTS_SPACING_S)
                fresh.append(shown)
            self._shown[element.name] = shown
            self._by_object.setdefault(element.object_id, []).append(shown)
        for device_id in self._usage_of:
            name = f"{_USAGE}-{device_id}"
            known = kept.pop(name) if name in kept else None
            self._shown[name] = known or _Shown(Element(name, _USAGE, device_id), USAGE_SPACING_S)
        for left in kept.values():
            if left.timer:
                left.timer.cancel()
        for object_id, device_id in devices.items():
            self._rows_of.setdefault(device_id, []).append(object_id)
        await self._catch_up(fresh)

    async def _catch_up(self, fresh: list[_Shown]) -> None:
        """Send what may have changed after the page was made and before this socket heard of its elements."""
        changed = await self._changed_lately([shown.element for shown in fresh])
        number = fragments().arrival(uuid.uuid4().hex)
        for shown in fresh:
            if not shown.element.object_id or shown.element.object_id in changed:
                self._schedule(shown, number)

    @staticmethod
    @database_sync_to_async
    def _devices_of(user: SomeUser, ids_by_kind: dict[str, set[str]]) -> dict[str, str]:
        """The device of each object that the user may see. One query for each kind that the page shows."""
        found: dict[str, str] = {}
        for kind, ids in ids_by_kind.items():
            if ids:
                rows = _OF_DEVICES[kind].objects.visible_to(user).filter(pk__in=ids).values_list("pk", "device_id")
                found |= {str(object_id): str(device_id) for object_id, device_id in rows}
        return found

    @staticmethod
    @database_sync_to_async
    def _changed_lately(elements: list[Element]) -> set[str]:
        """Ids of objects that changed while a page may have been on its way to its reader. At most one query a kind."""
        since = now() - PAGE_ON_ITS_WAY
        containers = Q(changed_at__gte=since) | Q(operations__created_at__gte=since)
        containers |= Q(operations__finished_at__gte=since) | Q(device__state_since__gte=since)
        containers |= Q(update__changed_at__gte=since)
        found: set[str] = set()
        for rows, kind in (
            (Container.objects.filter(containers), "container"),
            (Device.objects.filter(state_since__gte=since), "device"),
            (Image.objects.filter(Q(changed_at__gte=since) | Q(device__state_since__gte=since)), "image"),
            (Network.objects.filter(Q(changed_at__gte=since) | Q(device__state_since__gte=since)), "network"),
            (Operation.objects.filter(Q(state__in=Operation.ACTIVE_STATES) | Q(finished_at__gte=since)), "operation"),
            (UpdateCheck.objects.filter(started_at__gte=since), "check"),
            (Batch.objects.filter(Q(created_at__gte=since) | Q(operations__finished_at__gte=since)), "batch"),
        ):
            if ids := _ids(elements, kind):
                found |= {str(pk) for pk in rows.filter(pk__in=ids).values_list("pk", flat=True)}
        return found

    async def live_change(self, change: Change) -> None:
        """Something changed somewhere: send what of it is on this page."""
        number, device_id = fragments().arrival(change["stamp"]), change["device"]
        if change["kind"] == _USAGE:
            if shown_usage := self._shown.get(f"{_USAGE}-{device_id}"):
                self._schedule(shown_usage, number)
            if shown_schedules := self._shown.get(f"device-{device_id}-schedules"):
                self._schedule(shown_schedules, number)
            moment = time.monotonic()
            if self._page in _USAGE_PAGES and moment >= self._usage_signal_not_before:
                self._usage_signal_not_before = moment + _USAGE_PAGES[self._page]
                self._schedule_signal()
            return
        if change["kind"] == "event":
            if self._page in _EVENT_PAGES and (self._page == "events" or self._shows_any([*change["ids"], device_id])):
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
        for shown in self._by_object.get("", ()):
            self._schedule(shown, number)
        came_or_went = change["what"] != "updated"
        if change["kind"] == "update" and self._page == _UPDATES_PAGE:
            came_or_went = True
        if came_or_went or self._page in _ATTENTIVE_PAGES or (concerned and not self._page.endswith("s")):
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
                await self.send(text_data=html)
            shown.sent = number
        shown.is_busy = False
        if shown.sent < shown.wanted and self._shown.get(shown.element.name) is shown:
            self._schedule(shown, shown.wanted)

    async def _html(self, element: Element, number: int) -> str:
        if element.kind == _USAGE:
            parts = self._usage_of.get(element.object_id, [])
            return await fragments().usage(parts, number, with_bars=self._page == "top")
        return await fragments().html(element, number, self.scope["user"])

    def _schedule_signal(self) -> None:
        """Ask the page to read its list again, at most once a second; the last change is never left out."""
        if self._signal_timer is not None:
            return
        moment = time.monotonic()
        delay = max(0.0, self._signal_not_before - moment)
        self._signal_not_before = moment + delay + SIGNAL_SPACING_S
        self._signal_timer = asyncio.get_running_loop().call_later(delay, self._on_signal_timer)

    def _on_signal_timer(self) -> None:
        self._signal_timer = None
        self._signal_count += 1
        # Numbers differ between sockets too: the page compares with what the last one said.
        number = f"{id(self) % 10_000}-{self._signal_count}"
        self._start(self.send(text_data=f'<div id="live-signal" data-refresh="{number}" hidden></div>'))

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
