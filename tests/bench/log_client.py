"""A browser's stand-in for the log benchmark: takes lines as fast as they come, then counts and checks them.

python -m tests.bench.log_client URL ORIGIN LINES VIEWERS TAIL < cookie
Prints "ready" once all sockets are open, and at the end one JSON object.
"""

import asyncio
import itertools
import json
import re
import sys
import time

from websockets.asyncio.client import connect

_NUMBER = re.compile(rb" line (\d+)\n")
_DEADLINE_S = 240.0


class Taker:
    """One viewer."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.count = 0
        self.skipped = 0
        self.messages = 0
        self.parts: list[bytes] = []
        self.ended = 0.0

    async def run(self, url: str, origin: str, cookie: str, tail: int | str, opened: asyncio.Event) -> None:
        async with connect(
            url,
            additional_headers={"Cookie": cookie},
            origin=origin,
            compression=None,
            max_size=None,
            max_queue=64,
            ping_interval=None,
        ) as socket:
            await socket.send(json.dumps({"type": "open", "tail": tail}))
            taken = acknowledged = 0
            every = 1
            while self.count + self.skipped < self.lines:
                message = await socket.recv()
                if isinstance(message, str):
                    told = json.loads(message)
                    if told["type"] == "opened":
                        every = told["acknowledge_bytes"]
                    elif told["type"] == "skipped":
                        self.skipped += told["count"]
                    elif told["type"] == "state" and told["state"] == "live":
                        opened.set()
                    continue
                taken += len(message)
                self.messages += 1
                head = message.index(b"\n")
                self.count += json.loads(message[:head])["count"]
                self.parts.append(message[head + 1 :])
                if taken - acknowledged >= every:
                    acknowledged = taken
                    await socket.send(json.dumps({"type": "ack", "bytes": taken}))
            self.ended = time.monotonic()

    def check(self) -> dict[str, int]:
        """How many lines are missing and how many came twice, by the numbers in them."""
        seen = [int(number) for number in _NUMBER.findall(b"".join(self.parts))]
        distinct = len(set(seen))
        in_order = all(a < b for a, b in itertools.pairwise(seen))
        return {
            "received": len(seen),
            "lost": self.lines - distinct - self.skipped,
            "doubled": len(seen) - distinct,
            "skipped": self.skipped,
            "disordered": 0 if in_order else 1,
            "messages": self.messages,
        }


async def main(url: str, origin: str, lines: int, viewers: int, tail: int | str, cookie: str) -> None:
    takers = [Taker(lines) for _ in range(viewers)]
    opened = [asyncio.Event() for _ in takers]
    started = time.monotonic()
    async with asyncio.timeout(_DEADLINE_S), asyncio.TaskGroup() as group:
        for taker, event in zip(takers, opened, strict=True):
            group.create_task(taker.run(url, origin, cookie, tail, event))
        for event in opened:
            await event.wait()
        print("ready", flush=True)
        if tail == 0:
            started = time.monotonic()
    ended = max(taker.ended for taker in takers)
    print(json.dumps({"seconds": ended - started, "viewers": [taker.check() for taker in takers]}), flush=True)


if __name__ == "__main__":
    _, _url, _origin, _lines, _viewers, _tail = sys.argv
    asyncio.run(
        main(
            _url,
            _origin,
            int(_lines),
            int(_viewers),
            int(_tail) if _tail.isdigit() else _tail,
            sys.stdin.readline().strip(),
        )
    )
