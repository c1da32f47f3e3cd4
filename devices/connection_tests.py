"""The connection test as a stream: steps of a thread handed to an answer that is being sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.template.loader import render_to_string

from devices.diagnosis import Diagnosis, Step, diagnose, steps_of
from devices.errors import DeviceError
from devices.rules.host_keys import PinnedKey
from devices.rules.targets import SSH, ConnectionTarget
from devices.services import note_access

# Tests that run at once in this process; more wait for their turn without holding up anything else.
TESTS_AT_ONCE: Final = 8
DEADLINE_S: Final = 30.0
# The test ends by its own deadline; this is for the case that it does not.
OVERALL_S: Final = DEADLINE_S + 5.0
_executor = ThreadPoolExecutor(TESTS_AT_ONCE, thread_name_prefix="connection-test")


async def stream(
    target: ConnectionTarget,
    accept: PinnedKey | None,
    accept_hops: Mapping[int, PinnedKey] | None = None,
) -> AsyncIterator[bytes]:
    """Lines of JSON: ``{"steps": html}``, ``{"key", "html"}`` for each step as it changes, ``{"done", "ok", "html"}``.

    The test runs in a thread of a small pool of its own; a browser that leaves ends the stream, and the test then
    ends by its deadline. What is found of the access to a saved device is noted there.
    """
    yield _steps_line(target)
    async for told in _run(target, accept, accept_hops):
        yield _step_line(told) if isinstance(told, Step) else _end_line(told)


async def told_steps(
    target: ConnectionTarget,
    accept: PinnedKey | None,
    accept_hops: Mapping[int, PinnedKey] | None = None,
) -> AsyncIterator[bytes]:
    """The same for programs: a line of JSON for each step as it changes, and one with ``done`` at the end."""
    async for told in _run(target, accept, accept_hops):
        yield _line(_told(told) if isinstance(told, Step) else _told_end(told))


async def _run(
    target: ConnectionTarget, accept: PinnedKey | None, accept_hops: Mapping[int, PinnedKey] | None
) -> AsyncIterator[Step | Diagnosis | None]:
    """Steps as they change, then what the test came to; None for one that did not end in time."""
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[Step] = asyncio.Queue()

    def emit(step: Step) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(steps.put_nowait, step)

    test = loop.run_in_executor(
        _executor,
        partial(diagnose, target, accept=accept, accept_hops=accept_hops, emit=emit, deadline_s=DEADLINE_S),
    )
    ends_at = loop.time() + OVERALL_S
    while loop.time() < ends_at:
        waiting = asyncio.ensure_future(steps.get())
        pending: set[asyncio.Future[Any]] = {test, waiting}
        await asyncio.wait(pending, timeout=ends_at - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            yield waiting.result()
            continue
        waiting.cancel()
        if test.done():
            break
    while not steps.empty():
        yield steps.get_nowait()
    diagnosis = test.result() if test.done() else None
    if target.device_id and diagnosis is not None and diagnosis.access is not None:
        await sync_to_async(note_access)(target.device_id, diagnosis.access)
    yield diagnosis


def _told(step: Step) -> dict[str, object]:
    told: dict[str, object] = {"step": step.key, "state": step.state, "title": step.title, "detail": step.detail}
    if step.duration_ms is not None:
        told["duration_ms"] = step.duration_ms
    if step.host_key is not None:
        told |= {"host_key": f"{step.host_key.key_type} {step.host_key.key_base64}"}
        told |= {"fingerprint": step.host_key.fingerprint}
    return told | _told_error(step.error)


def _told_end(diagnosis: Diagnosis | None) -> dict[str, object]:
    end: dict[str, object] = {"done": True, "ok": diagnosis is not None and diagnosis.ok}
    if diagnosis is None:
        return {**end, "code": "timeout", "message": f"The test did not end within {OVERALL_S:.0f} seconds."}
    if diagnosis.needs_decision:
        end |= {"code": "host_key_unknown", "message": "Somebody has to compare and accept the host key."}
    return end | _told_error(diagnosis.error)


def _told_error(error: DeviceError | None) -> dict[str, object]:
    return {} if error is None else {"code": error.code, "message": error.message, "fix": error.fix}


def _steps_line(target: ConnectionTarget) -> bytes:
    steps = untried_steps(target.transport, [hop.label for hop in target.hops])
    html = "".join(render_to_string("devices/partials/step.html", {"step": step}) for step in steps)
    return _line({"steps": html})


def _step_line(step: Step) -> bytes:
    html = render_to_string("devices/partials/step.html", {"step": step})
    return _line({"key": step.key, "state": step.state, "html": html})


def _end_line(diagnosis: Diagnosis | None) -> bytes:
    html = render_to_string("devices/partials/verdict.html", {"diagnosis": diagnosis})
    return _line({"done": True, "ok": diagnosis is not None and diagnosis.ok, "html": html})


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def untried_steps(transport: str = SSH, hops: Sequence[str] = ()) -> list[Step]:
    """All steps as they stand before a test, by the way there and the names of the jump hosts on it."""
    return [Step(key, "skipped", title) for key, title in steps_of(transport, hops)]
