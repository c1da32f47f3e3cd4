"""A stub of a registry in a process of its own: every answer takes 50 ms, every repository wants a token of its own.

    python -m tests.bench.stub_registry REPOSITORIES

Prints its port, then serves until its standard input ends. GET /count gives the number of requests so far (itself
left out), so that what the client says it sent can be compared with what arrived.
"""

import asyncio
import sys

from tests.registries.servers.contents import Contents
from tests.registries.servers.images import build
from tests.registries.servers.providers import repository_of
from tests.registries.servers.serving import Asked, Reply, Server

DELAY_S = 0.05
# What every repository holds; the last is there in every third repository alone, newer than all that is used.
USED = ("1.2.0", "1.2.1", "1.3.0", "latest")
NEWER = "1.4.0"
# Further versions, older than all that is used.
OLD = tuple(f"1.{minor}.{patch}" for minor in (0, 1) for patch in range(12))


def repository_name(number: int) -> str:
    """The name of a repository."""
    return f"team-{number % 20}/app-{number}"


def content_of(number: int, tag: str) -> str:
    """What an image consists of; ``latest`` is the newest version."""
    newest = NEWER if number % 3 == 0 else "1.3.0"
    return f"{repository_name(number)} {newest if tag == 'latest' else tag}"


def main() -> None:
    """Serve."""
    contents = Contents()
    for number in range(int(sys.argv[1])):
        newer = [NEWER] if number % 3 == 0 else []
        for tag in (*USED, *newer):
            contents.push(repository_name(number), [tag], build(content_of(number, tag)))
        contents.push(repository_name(number), OLD, build(f"{repository_name(number)} old"))
    count = 0

    async def answer(asked: Asked) -> Reply:
        nonlocal count
        if asked.path == "/count":
            return Reply.json({"count": count})
        count += 1
        await asyncio.sleep(DELAY_S)
        if asked.path == "/token":
            return Reply.json({"token": asked.query.get("scope", ""), "expires_in": 300})
        scope = f"repository:{repository_of(asked)}:pull"
        if asked.authorization != f"Bearer {scope}":
            challenge = f'Bearer realm="http://{asked.host}/token",service="stub",scope="{scope}"'
            return Reply(401, b"{}", [("WWW-Authenticate", challenge)])
        return contents.answer(asked)

    server = Server(answer)
    print(server.port, flush=True)
    sys.stdin.read()
    server.close()


if __name__ == "__main__":
    main()
