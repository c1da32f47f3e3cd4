"""The page's socket: the browser tells which elements it shows, the server sends them anew when they change.

Each object's first change goes out at once; what follows within 200 ms goes out together. When rows came or went, a
signal makes the page read its list again, since only a page knows its filter and order.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model

from containers.fragments import Element, fragments, parse_element
from containers.models import Container
from containers.push import FLEET_GROUP, Change
from ssm.lib.roles import SomeUser, can_view

UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
MAX_MESSAGE: Final = 128 * 1024
MAX_ELEMENTS: Final = 1000
SPACING_S: Final = 0.2
COUNTS_SPACING_S: Final = 0.5
SIGNAL_SPACING_S: Final = 1.0
RECHECK_S: Final = 60.0
# Pages that list what needs attention: any change may add or take a line there.
_ATTENTIVE_PAGES: Final = frozenset({"home"})


@dataclass(slots=True)
class _Shown:
    """An element on the page: when it may be sent next, the change it waits for, and the timer it waits by."""

    element: Element
    not_before: float = 0.0
    version: int = 0
    timer: asyncio.TimerHandle | None = None


class LiveConsumer(AsyncWebsocketConsumer):
    """One open page of one user."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._page = ""
        self._shown: dict[str, _Shown] = {}
        self._by_object: dict[str, list[_Shown]] = {}
        self._containers_of: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._signal_count = 0
        self._signal_timer: asyncio.TimerHandle | None = None
        self._signal_not_before = 0.0

    async def connect(self) -> None:
        """Let in who may see the fleet; others learn why by the closing code."""
        await self.accept()
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(UNAUTHENTICATED)
        elif not await database_sync_to_async(can_view)(user):
            await self.close(FORBIDDEN)
        else:
            await self.channel_layer.group_add(FLEET_GROUP, self.channel_name)
            self._start(self._recheck())

    async def disconnect(self, _code: int) -> None:
        """Leave nothing behind: no timer, no task, no group."""
        await self.channel_layer.group_discard(FLEET_GROUP, self.channel_name)
        for shown in self._shown.values():
            if shown.timer:
                shown.timer.cancel()
        if self._signal_timer:
            self._signal_timer.cancel()
        for task in self._tasks:
            task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take ``{"type": "watch", "page": …, "ids": […]}``; anything else but a ping is ignored."""
        if text_data is None or len(text_data) > MAX_MESSAGE:
            return
        try:
            message = json.loads(text_data)
        except ValueError:
            return
        if isinstance(message, dict) and message.get("type") == "watch" and isinstance(message.get("ids"), list):
            self._page = str(message.get("page", ""))[:40]
            await self._watch([str(name)[:100] for name in message["ids"][:MAX_ELEMENTS]])

    async def _watch(self, names: list[str]) -> None:
        """Show these elements from now on, as far as the user may see them."""
        elements = [element for element in map(parse_element, names) if element is not None]
        wanted = {element.object_id for element in elements if element.kind == "container"}
        devices = await self._devices_of(self.scope["user"], wanted)
        kept = self._shown
        self._shown, self._by_object, self._containers_of = {}, {}, {}
        for element in elements:
            if element.kind == "container" and element.object_id not in devices:
                continue
            shown = self._shown[element.name] = kept.pop(element.name, None) or _Shown(element)
            self._by_object.setdefault(element.object_id, []).append(shown)
        for shown in kept.values():
            if shown.timer:
                shown.timer.cancel()
        for container_id, device_id in devices.items():
            self._containers_of.setdefault(device_id, []).append(container_id)

    @staticmethod
    @database_sync_to_async
    def _devices_of(user: SomeUser, container_ids: set[str]) -> dict[str, str]:
        rows = Container.objects.visible_to(user).filter(pk__in=container_ids).values_list("pk", "device_id")
        return {str(container_id): str(device_id) for container_id, device_id in rows}

    async def live_change(self, change: Change) -> None:
        """Something changed somewhere: send what of it is on this page."""
        version, device_id = change["version"], change["device"]
        touched = [*change["ids"], device_id]
        if change["kind"] == "device":
            # Rows show whether their host is reachable.
            touched += self._containers_of.get(device_id, [])
        concerned = False
        for object_id in touched:
            for shown in self._by_object.get(object_id, ()):
                concerned = True
                self._schedule(shown, version, SPACING_S)
        for shown in self._by_object.get("", ()):
            self._schedule(shown, version, COUNTS_SPACING_S)
        came_or_went = change["what"] != "updated"
        if came_or_went or self._page in _ATTENTIVE_PAGES or (concerned and not self._page.endswith("s")):
            self._schedule_signal()

    def _schedule(self, shown: _Shown, version: int, spacing_s: float) -> None:
        shown.version = max(shown.version, version)
        if shown.timer is not None:
            return
        moment = time.monotonic()
        if shown.not_before <= moment:
            shown.not_before = moment + spacing_s
            self._start(self._send(shown))
            return
        loop = asyncio.get_running_loop()
        shown.timer = loop.call_later(shown.not_before - moment, self._on_timer, shown, spacing_s)

    def _on_timer(self, shown: _Shown, spacing_s: float) -> None:
        shown.timer = None
        shown.not_before = time.monotonic() + spacing_s
        self._start(self._send(shown))

    async def _send(self, shown: _Shown) -> None:
        html = await fragments().html(shown.element, shown.version, self.scope["user"])
        if html and shown.element.name in self._shown:
            await self.send(text_data=html)

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
        """Close the socket of somebody who was logged out, deactivated or lost the role."""
        while True:
            await asyncio.sleep(RECHECK_S)
            if not await self._still_allowed():
                await self.close(FORBIDDEN)
                return

    @database_sync_to_async
    def _still_allowed(self) -> bool:
        session = self.scope["session"]
        user = get_user_model().objects.filter(pk=self.scope["user"].pk, is_active=True).first()
        return user is not None and session.exists(session.session_key) and can_view(user)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
