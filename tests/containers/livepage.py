"""A page's socket as a browser has it, and changes of rows as the watchers announce them."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from containers.fragments import parse_element, render_element
from containers.models import Container
from containers.push import publish
from devices.models import Device, now
from ssm.asgi import application
from tests.factories import ContainerFactory

LONG_AGO = timedelta(hours=1)
in_thread = database_sync_to_async


class Page:
    """One browser's socket on the real ASGI application; ``messages`` holds what came, in order."""

    def __init__(self, cookie: str, origin: str | None = "http://localhost") -> None:
        headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
        headers += [(b"origin", origin.encode())] if origin else []
        self.socket = WebsocketCommunicator(application, "/ws/live/", headers=headers)
        self.messages: list[str] = []
        self.closed_with = 0

    async def open(self) -> "Page":
        connected, self.closed_with = await self.socket.connect(timeout=10)
        assert connected
        self.closed_with = 0
        return self

    async def watch(self, *names: str, page: str = "containers", **more: Any) -> None:
        """Say what the page shows, and wait until the server knows: it sends what is fresh, which ``alive`` is."""
        alive = row_name(await in_thread(ContainerFactory)())
        await self.say(json.dumps({"type": "watch", "page": page, "ids": [*names, alive], **more}))
        await self.until(lambda: self.of(alive))
        # One message may bring several elements.
        row = re.compile(f'<tr id="{alive}".*?</tr>', re.DOTALL)
        self.messages = [rest for message in self.messages if (rest := row.sub("", message).strip())]

    async def watch_quietly(self, *names: str, page: str = "containers") -> None:
        """Say what the page shows; wait until the server knows, told by the counts that it always sends."""
        await self.say(json.dumps({"type": "watch", "page": page, "ids": [*names, "navigation-counts"]}))
        await self.until(lambda: self.of("navigation-counts"))

    async def say(self, text: str) -> None:
        await self.socket.send_to(text_data=text)

    def of(self, name: str) -> list[str]:
        """Messages that bring the element."""
        return [message for message in self.messages if f'id="{name}"' in message]

    @property
    def signals(self) -> list[str]:
        """Numbers of the signals to read the list again."""
        return [found for message in self.of("live-signal") for found in re.findall('data-refresh="([^"]+)"', message)]

    async def until(self, reached: Callable[[], object], timeout_s: float = 30) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not reached():
                    await self._take()
        except TimeoutError:
            raise AssertionError(f"not reached, came: {[message[:80] for message in self.messages]}") from None

    async def until_it_has(self, html: str) -> None:
        await self.until(lambda: any(html in message for message in self.messages))

    async def rest(self, silent_s: float = 0.6) -> None:
        """Take what still comes, until nothing has come for longer than the server ever holds an element back."""
        while not await self.socket.receive_nothing(silent_s):
            await self._take()

    async def closing_code(self) -> int:
        await self.until(lambda: self.closed_with)
        return self.closed_with

    async def leave(self) -> None:
        await self.socket.disconnect()

    async def _take(self) -> None:
        output = await self.socket.output_queue.get()
        if output["type"] == "websocket.close":
            self.closed_with = output.get("code", 1000)
        else:
            self.messages.append(output["text"])


def row_name(container: Container) -> str:
    return f"container-{container.pk}-row"


@in_thread
def settled(**columns: Any) -> Container:
    """A container to which nothing happened for long, and so to its host."""
    container = ContainerFactory(**columns)
    past = now() - LONG_AGO
    Container.objects.filter(pk=container.pk).update(changed_at=past, appeared_at=past)
    Device.objects.filter(pk=container.device_id).update(state_since=past)
    return container


@in_thread
def change(container: Container, **columns: Any) -> None:
    """Change the row and announce it, as one transaction of a watcher would."""
    Container.objects.filter(pk=container.pk).update(**columns)
    publish("container", container.device_id, [container.pk])


@in_thread
def announce(kind: Any, device_id: object, ids: list[Any], **more: Any) -> None:
    publish(kind, device_id, ids, **more)


@in_thread
def rendered(name: str) -> str:
    element = parse_element(name)
    assert element is not None
    return render_element(element, User())
