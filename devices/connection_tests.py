"""The connection test as a stream: steps of a thread handed to an answer that is being sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from django.template.loader import render_to_string

from devices.diagnosis import STEPS, Diagnosis, Step, diagnose
from devices.rules.host_keys import PinnedKey
from devices.rules.targets import ConnectionTarget

# Tests that run at once in this process; more wait for their turn without holding up anything else.
TESTS_AT_ONCE: Final = 8
DEADLINE_S: Final = 30.0
# The test ends by its own deadline; this is for the case that it does not.
OVERALL_S: Final = DEADLINE_S + 5.0
_executor = ThreadPoolExecutor(TESTS_AT_ONCE, thread_name_prefix="connection-test")


async def stream(target: ConnectionTarget, accept: PinnedKey | None) -> AsyncIterator[bytes]:
    """Lines of JSON: ``{"key", "html"}`` for each step as it changes, at last ``{"done", "ok", "html"}``.

    The test runs in a thread of a small pool of its own; a browser that leaves ends the stream, and the test then
    ends by its deadline.
    """
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[Step] = asyncio.Queue()

    def emit(step: Step) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(steps.put_nowait, step)

    test = loop.run_in_executor(_executor, partial(diagnose, target, accept=accept, emit=emit, deadline_s=DEADLINE_S))
    ends_at = loop.time() + OVERALL_S
    while loop.time() < ends_at:
        waiting = asyncio.ensure_future(steps.get())
        pending: set[asyncio.Future[Any]] = {test, waiting}
        await asyncio.wait(pending, timeout=ends_at - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            yield _step_line(waiting.result())
            continue
        waiting.cancel()
        if test.done():
            break
    while not steps.empty():
        yield _step_line(steps.get_nowait())
    yield _end_line(test.result() if test.done() else None)


def _step_line(step: Step) -> bytes:
    html = render_to_string("devices/partials/step.html", {"step": step})
    return _line({"key": step.key, "state": step.state, "html": html})


def _end_line(diagnosis: Diagnosis | None) -> bytes:
    html = render_to_string("devices/partials/verdict.html", {"diagnosis": diagnosis})
    return _line({"done": True, "ok": diagnosis is not None and diagnosis.ok, "html": html})


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def untried_steps() -> list[Step]:
    """All steps as they stand before a test."""
    return [Step(key, "skipped", title) for key, title in STEPS]
