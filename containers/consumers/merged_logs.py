"""The socket of the page that shows several logs as one. Messages: containers.logs.messages, with a ``source``."""

import asyncio
from typing import Any, Final, Literal

from channels.db import database_sync_to_async
from django.core.exceptions import TooManyFieldsSent
from django.http import QueryDict

from containers.consumers.logs import MAX_MESSAGE, MAX_TAIL, LogConsumer, whole
from containers.consumers.streams import TOO_LARGE, TOO_MANY
from containers.logs.choosing import MOST_SOURCES, Choice, Chosen, SourceEntry, find_sources
from containers.logs.hub import TooManyLogs, current_hub
from containers.logs.merging import MergedLog, share_of
from containers.logs.messages import decode_command, encode_text, error_message
from containers.models import Container
from ssm.lib.roles import SomeUser

LOOK_S: Final = 5.0
TAIL_DEFAULT: Final = 100
# Places of all logs go with the first message of a browser that comes back.
MAX_OPENING: Final = 64 * 1024


class MergedLogConsumer(LogConsumer):
    """One open page of several logs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._choice = Choice()
        self._sources: list[SourceEntry] = []
        self._merged: MergedLog | None = None

    async def connect(self) -> None:
        """Let in who may see logs; others learn why by the closing code."""
        await self.accept()
        try:
            self._choice = Choice.read(QueryDict(self.scope["query_string"][:64_000]))
        except TooManyFieldsSent:
            await self.close(TOO_LARGE)
            return
        refusal = await self._refusal()
        if refusal:
            await self.close(refusal)
        else:
            self._start(self._recheck())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Carry out a command; what is none is ignored."""
        if text_data is None or len(text_data) > (MAX_MESSAGE if self._merged else MAX_OPENING):
            await self.close(TOO_LARGE)
            return
        command = decode_command(text_data)
        if command is None:
            return
        if command["type"] == "open" and self._merged is None and self._tasks:
            await self._open(command)
        elif self._merged is None:
            return
        elif command["type"] == "ack":
            self._merged.acknowledge(whole(command.get("bytes"), 0))
        elif command["type"] == "retry":
            await asyncio.to_thread(self._merged.retry, whole(command.get("source"), -1))

    async def _open(self, command: dict[str, Any]) -> None:
        tail: int | Literal["all"] = TAIL_DEFAULT
        if "tail" in command:
            tail = min(max(whole(command["tail"], TAIL_DEFAULT), 0), MAX_TAIL)
        places = command.get("places")
        merged = self._merged = MergedLog(current_hub(), tail=tail)
        chosen = await self._find()
        try:
            self._follow(merged, chosen, places if isinstance(places, dict) else {})
        except TooManyLogs as error:
            await self.send(text_data=encode_text(error_message("open", error)))
            await self.close(TOO_MANY)
            return
        self._start(self._pump(merged))  # type: ignore[arg-type]  # it has a viewer's one method that counts here
        if self._choice.is_open:
            self._start(self._look_for_more(merged))

    def _follow(self, merged: MergedLog, chosen: Chosen, places: dict[str, Any]) -> None:
        """Follow what is not followed yet, and tell the browser which index stands for what."""
        known = {entry["id"] for entry in self._sources}
        self._sources = chosen.sources
        merged.say(
            {
                "type": "sources",
                "sources": chosen.sources,
                "left_out": chosen.left_out,
                "most": MOST_SOURCES,
                "acknowledge_bytes": share_of(len(chosen.sources)) // 4,
            }
        )
        for entry in chosen.sources:
            if entry["id"] in known:
                continue
            place = places.get(entry["id"])
            place = place if isinstance(place, dict) else {}
            merged.add(
                entry,
                epoch=str(place.get("epoch", ""))[:64],
                next_record=whole(place.get("next"), -1),
                among=len(chosen.sources),
            )

    async def _look_for_more(self, merged: MergedLog) -> None:
        """Containers that come to belong to the choice join."""
        while True:
            await asyncio.sleep(LOOK_S)
            chosen = await self._find()
            if len(chosen.sources) > len(self._sources):
                try:
                    self._follow(merged, chosen, {})
                except TooManyLogs as error:
                    merged.say(dict(error_message("open", error)))
                    return

    @database_sync_to_async
    def _find(self) -> Chosen:
        return find_sources(self.scope["user"], self._choice, self._sources)

    def _is_visible_to(self, user: SomeUser) -> bool:
        if self._sources:
            # What somebody may no longer see, or is deleted, ends the page's stream; it comes back with the rest.
            seen = {entry["id"] for entry in self._sources}
            return Container.objects.permitted(user, self.right).filter(pk__in=seen).count() == len(seen)
        return bool(find_sources(user, self._choice).sources) or self._choice.is_open

    def _leave(self) -> None:
        super()._leave()
        if self._merged is not None:
            merged, self._merged = self._merged, None
            merged.close()
