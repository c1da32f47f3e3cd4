"""The connection test: every step from the name to the API version, told while it happens."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from devices.connections.opening import (
    Deadline,
    SshSession,
    attach_engine,
    check_host_key,
    close_transport,
    connect,
    finish_session,
    resolve,
    start_transport,
)
from devices.errors import DeviceError, HostKeyChanged, HostKeyUnknown
from devices.rules.host_keys import PinnedKey
from devices.rules.refusals import Cause
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text

StepState = Literal["running", "ok", "failed", "needs_decision", "skipped"]
STEPS: tuple[tuple[str, str], ...] = (
    ("resolve", "Find the host's address"),
    ("tcp", "Connect"),
    ("host_key", "Check the host key"),
    ("authentication", "Log in"),
    ("channel", "Open a channel"),
    ("socket", "Reach the engine's socket"),
    ("api", "Agree on an API version"),
)
_KIND_TEXTS = {
    "streamlocal": "straight to the socket over SSH",
    "dial-stdio": "through the docker command on the host",
    "dial-stdio-sudo": "through the docker command on the host, with sudo",
}
# Causes for which the channel itself is to blame, not the socket behind it.
_CHANNEL_CAUSES = {Cause.FORWARDING.value, Cause.PROGRAM_MISSING.value, Cause.NO_SESSIONS.value}


@dataclass(frozen=True, slots=True)
class Step:
    """One step's state. A step is emitted as ``running`` first, perhaps more than once, and then in its end state.

    ``detail`` is a sentence for people. ``error`` is set when failed; ``host_key`` is the key that the host showed,
    set on the step ``host_key`` from the moment it is known.
    """

    key: str
    state: StepState
    title: str
    detail: str = ""
    duration_ms: int | None = None
    error: DeviceError | None = None
    host_key: PinnedKey | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The end of a test. ``version`` is the engine's ``/version`` answer when the test went well, else empty."""

    steps: tuple[Step, ...]
    host_key: PinnedKey | None
    channel_kind: str
    api_version: str
    version: dict[str, Any]

    @property
    def ok(self) -> bool:
        """True if every step went well."""
        return all(step.state == "ok" for step in self.steps)

    @property
    def needs_decision(self) -> bool:
        """True if the test stopped for a person to accept the host key."""
        return any(step.state == "needs_decision" for step in self.steps)

    @property
    def error(self) -> DeviceError | None:
        """The failure that ended the test, if one did."""
        return next((step.error for step in self.steps if step.state == "failed"), None)


def diagnose(
    target: ConnectionTarget,
    *,
    accept: PinnedKey | None = None,
    emit: Callable[[Step], None],
    deadline_s: float = 30.0,
) -> Diagnosis:
    """Try to reach the target step by step, on a connection of its own that is closed at the end.

    Works for devices that are not saved yet. Without a pinned key the test stops at ``host_key`` with
    ``needs_decision``; called again with ``accept`` it goes on if the host still shows that key. ``emit`` is called
    in this thread. Neither uses nor changes the pool and its circuit breaker. Never raises DeviceError.
    """
    if accept is not None:
        target = replace(target, pinned_keys=(accept,))
    return _Test(target, emit, Deadline(deadline_s)).run()


class _Test:
    """One run: the steps so far and the resources that they opened."""

    def __init__(self, target: ConnectionTarget, emit: Callable[[Step], None], deadline: Deadline) -> None:
        self._target = target
        self._emit = emit
        self._deadline = deadline
        self._titles = dict(STEPS)
        self._ended: dict[str, Step] = {}
        self._current = "resolve"
        self._since = time.monotonic()
        self._host_key: PinnedKey | None = None
        self._channel_kind = self._api_version = ""
        self._version: dict[str, Any] = {}

    def run(self) -> Diagnosis:
        try:
            self._reach()
        except (HostKeyUnknown, HostKeyChanged) as exc:
            state: StepState = "needs_decision" if isinstance(exc, HostKeyUnknown) else "failed"
            self._end(state, exc.message, exc)
        except DeviceError as exc:
            self._end("failed", exc.message, exc)
        for key, title in STEPS:
            if key not in self._ended:
                self._ended[key] = Step(key, "skipped", title)
                self._emit(self._ended[key])
        steps = tuple(self._ended[key] for key, _title in STEPS)
        return Diagnosis(steps, self._host_key, self._channel_kind, self._api_version, self._version)

    def _reach(self) -> None:
        target = self._target
        self._start("resolve")
        connecting = Deadline(min(target.connect_timeout_s, self._deadline.left_s))
        endpoints = resolve(target, connecting)
        self._end("ok", ", ".join(endpoint.text for endpoint in endpoints[:4]))
        self._start("tcp", f"port {target.port}")
        raw = connect(target, endpoints, connecting)
        self._end("ok", f"port {target.port} accepts connections")
        self._start("host_key")
        transport, self._host_key = start_transport(target, raw, connecting)
        try:
            check_host_key(target, self._host_key)
        except BaseException:
            close_transport(transport)
            raise
        self._end("ok", f"{self._host_key.key_type} {self._host_key.fingerprint}")
        self._start("authentication", f"as {clean_text(target.authentication.username, 60)}")
        session = finish_session(target, transport, self._host_key, connecting)
        self._end("ok", f"logged in as {clean_text(target.authentication.username, 60)}")
        try:
            self._find_engine(session)
        finally:
            session.close()

    def _find_engine(self, session: SshSession) -> None:
        # Several ways may be tried, and each may use up its whole time-out.
        request_s = max(1.0, min(self._target.request_timeout_s, self._deadline.left_s / 2))
        self._start("channel")
        try:
            engine = attach_engine(
                session,
                replace(self._target, request_timeout_s=request_s),
                lambda kind: self._note(_KIND_TEXTS.get(kind, kind)),
            )
        except DeviceError as exc:
            if exc.details.get("cause") not in _CHANNEL_CAUSES:
                self._end("ok", "SSH lets the user open channels")
                self._start("socket", self._target.socket_path)
                if exc.code in ("not_docker", "engine_too_old"):
                    self._end("ok", f"something answers on {clean_text(self._target.socket_path, 120)}")
                    self._start("api")
            raise
        self._channel_kind, self._api_version, self._version = engine.channel_kind, engine.api_version, engine.version
        product = engine.product
        self._end("ok", _KIND_TEXTS.get(engine.channel_kind, engine.channel_kind))
        self._start("socket")
        self._end("ok", f"{product} answers on {clean_text(self._target.socket_path, 120)}")
        self._start("api")
        self._end("ok", f"API {engine.api_version} (engine offers {clean_text(str(self._version['ApiVersion']), 20)})")

    def _start(self, key: str, detail: str = "") -> None:
        self._current, self._since = key, time.monotonic()
        self._note(detail)

    def _note(self, detail: str) -> None:
        self._emit(Step(self._current, "running", self._titles[self._current], detail))

    def _end(self, state: StepState, detail: str, error: DeviceError | None = None) -> None:
        key = self._current
        took = round((time.monotonic() - self._since) * 1000)
        step = Step(key, state, self._titles[key], detail, took, error, self._host_key if key == "host_key" else None)
        self._ended[key] = step
        self._emit(step)
