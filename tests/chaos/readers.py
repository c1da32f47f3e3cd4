"""People who read logs: they follow the sockets as the page does, and compare that with the hosts' own logs."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.fleet import Host
from tests.fleet.engine_socket import request

_TAIL: Final = 500


@dataclass(slots=True)
class Section:
    """Lines that were shown in one piece: from one `opened` that began anew to the next."""

    lines: list[str] = field(default_factory=list)
    # Places (numbers of lines before them) where the socket itself said that something may be missing.
    holes: set[int] = field(default_factory=set)
    disordered: int = 0


class Reader:
    """One followed log."""

    def __init__(self, container: dict[str, Any], host: Host, port: int, cookie: str, chance: random.Random) -> None:
        self.container = container
        self.host = host
        self.sections: list[Section] = []
        self.newest = 0.0
        self.state = ""
        self._url = f"ws://127.0.0.1:{port}/ws/containers/{container['id']}/logs/"
        self._origin: Any = f"http://127.0.0.1:{port}"
        self._cookie = cookie
        self._chance = chance
        self._epoch = ""
        self._next = 0
        self._every = 1

    async def follow(self) -> None:
        """Read for ever; a lost socket is opened again where it ended."""
        while True:
            try:
                await self._read()
            except (OSError, WebSocketException, TimeoutError):
                await asyncio.sleep(self._chance.uniform(0.3, 1.5))

    async def _read(self) -> None:
        headers = {"Cookie": self._cookie}
        options: Any = {"compression": None, "max_size": None, "ping_interval": 5, "ping_timeout": 10}
        async with connect(self._url, additional_headers=headers, origin=self._origin, open_timeout=8, **options) as it:
            place = {"epoch": self._epoch, "next": self._next} if self._epoch else {}
            await it.send(json.dumps({"type": "open", "tail": _TAIL, **place}))
            taken = acknowledged = 0
            async for message in it:
                if isinstance(message, str):
                    self._hear(json.loads(message))
                    continue
                taken += len(message)
                self._take(message)
                if taken - acknowledged >= self._every:
                    acknowledged = taken
                    await it.send(json.dumps({"type": "ack", "bytes": taken}))

    def _hear(self, told: dict[str, Any]) -> None:
        kind = told["type"]
        if kind == "opened":
            if not (told["continued"] and told["epoch"] == self._epoch and self.sections):
                self.sections.append(Section())
            self._epoch, self._next, self._every = told["epoch"], told["first"], told["acknowledge_bytes"]
        elif kind == "state":
            self.state = told["state"]
        elif kind == "skipped":
            self._mark()
            self._next = told["first"] + told["count"]
        elif kind == "marker" and told["kind"] == "gap" and not told.get("complete", True):
            self._mark()

    def _mark(self) -> None:
        self.sections[-1].holes.add(len(self.sections[-1].lines))

    def _take(self, message: bytes) -> None:
        head_end = message.index(b"\n")
        head = json.loads(message[:head_end])
        records = message[head_end + 1 :].decode().splitlines()
        section = self.sections[-1]
        if head["first"] != self._next or head["count"] != len(records):
            section.disordered += 1
        self._next = head["first"] + head["count"]
        section.lines += [record[1:] for record in records]
        if records:
            self.newest = datetime.fromisoformat(records[-1][1:].partition(" ")[0]).timestamp()

    # -- afterwards

    def compare(self) -> tuple[int, int, int, list[str]]:
        """Lines seen, lost and doubled, against the host's own log; and where."""
        return compare(self.container["name"], self.sections, own_log(self.host, self.container["engine_id"]))


def compare(name: str, sections: list[Section], log: list[str]) -> tuple[int, int, int, list[str]]:
    """Lines seen, lost and doubled in what was shown of a log, and where."""
    truth = {line: place for place, line in enumerate(log)}
    seen = lost = doubled = 0
    where: list[str] = []
    reached = -1
    for number, section in enumerate(sections):
        strange = sum(1 for line in section.lines if line not in truth)
        twice = sum(count - 1 for count in Counter(section.lines).values()) + section.disordered
        if strange or twice:
            where.append(f"{name}, section {number}: {strange} unknown lines, {twice} twice")
        doubled += twice
        lost += strange
        previous = reached
        for index, line in enumerate(section.lines):
            place = truth.get(line)
            if place is None:
                continue
            seen += 1
            # A new section shows again what was there before; it may not begin behind the last one's end.
            if place > previous + 1 and previous >= 0 and index not in section.holes:
                lost += place - previous - 1
                where.append(f"{name}, section {number}: {place - previous - 1} lines before {line}")
            previous = place
            reached = max(reached, place)
    return seen, lost, doubled, where


def own_log(host: Host, engine_id: str) -> list[str]:
    """The lines of a container as its engine keeps them, each with its time."""
    path = f"/containers/{engine_id}/logs?stdout=1&stderr=1&timestamps=1"
    status, data = request(host.socket_path, "GET", path)
    if status != 200:
        raise RuntimeError(f"{host.name}: its own log: status {status}")
    lines, position = [], 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "big")
        lines.append(data[position + 8 : position + 8 + size].decode().rstrip("\n"))
        position += 8 + size
    return lines


class Readers:
    """All of them, in one thread."""

    def __init__(self, readers: list[Reader]) -> None:
        self.all = readers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="readers", daemon=True)
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Read from now on."""
        self._thread.start()

    def are_fresh(self, since: float) -> list[str]:
        """Names of the logs of which nothing newer than ``since`` was shown, with what their page says."""
        return [f"{one.container['name']} ({one.state})" for one in self.all if one.newest <= since]

    def end(self) -> None:
        """Close all sockets."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])
        self._thread.join(15)

    def _run(self) -> None:
        self._loop.run_until_complete(self._follow())

    async def _follow(self) -> None:
        self._tasks = [asyncio.create_task(one.follow()) for one in self.all]
        await asyncio.gather(*self._tasks, return_exceptions=True)


def wait_for(readers: Readers, timeout_s: float) -> bool:
    """Whether each of them has seen lines by then."""
    deadline = time.monotonic() + timeout_s
    while readers.are_fresh(0.0):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
