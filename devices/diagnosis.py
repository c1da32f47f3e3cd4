"""The connection test: every step from the name to what SSM may do there, told while it happens."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

from devices.connections import Engine
from devices.connections.access import Access, look_at_access
from devices.connections.direct import (
    Dialer,
    DirectRoute,
    DirectSession,
    connect_tcp,
    shake_hands,
)
from devices.connections.local import connect_local
from devices.connections.opening import (
    Deadline,
    SshSession,
    attach_engine,
    check_host_key,
    close_transport,
    connect_first,
    finish_session,
    next_of,
    pass_through,
    resolve,
    start_transport,
)
from devices.connections.tls import client_context
from devices.errors import DeviceError, HostKeyChanged, HostKeyUnknown
from devices.rules.grades import Grade
from devices.rules.host_keys import PinnedKey
from devices.rules.refusals import Cause
from devices.rules.targets import LOCAL, SSH, TCP, TLS, ConnectionTarget
from devices.rules.texts import clean_text

StepState = Literal["running", "ok", "failed", "needs_decision", "skipped"]
_RESOLVE = ("resolve", "Find the host's address")
_TCP = ("tcp", "Connect")
_API = ("api", "Agree on an API version")
_ACCESS = ("access", "See what SSM may do there")
_STEPS: dict[str, tuple[tuple[str, str], ...]] = {
    SSH: (
        _RESOLVE,
        _TCP,
        ("host_key", "Check the host key"),
        ("authentication", "Log in"),
        ("channel", "Open a channel"),
        ("socket", "Reach the engine's socket"),
        _API,
        _ACCESS,
    ),
    TLS: (
        _RESOLVE,
        _TCP,
        ("certificate", "Check the engine's certificate"),
        ("client", "Show our certificate"),
        _API,
        _ACCESS,
    ),
    TCP: (_RESOLVE, _TCP, _API, _ACCESS),
    LOCAL: (("socket", "Reach the engine's socket"), _API, _ACCESS),
}


def steps_of(transport: str = SSH, hops: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Keys and titles of the steps of a test, in order; each of the named jump hosts is one, ``hop-0`` the nearest."""
    steps = _STEPS[transport]
    if transport != SSH:
        return steps
    named = ((f"hop-{number}", f"Go through {clean_text(name, 80)}") for number, name in enumerate(hops))
    return (*steps[:2], *named, *steps[2:])


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
    set on the step ``host_key`` (and those of jump hosts) from the moment it is known. ``hop`` is the position of the
    jump host that the step is about.
    """

    key: str
    state: StepState
    title: str
    detail: str = ""
    duration_ms: int | None = None
    error: DeviceError | None = None
    host_key: PinnedKey | None = None
    hop: int | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The end of a test.

    ``version`` is the engine's ``/version`` answer when the test went well, else empty; ``access`` what SSM may do.
    """

    steps: tuple[Step, ...]
    host_key: PinnedKey | None
    channel_kind: str
    api_version: str
    version: dict[str, Any]
    access: Access | None = None

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
    accept_hops: Mapping[int, PinnedKey] | None = None,
    emit: Callable[[Step], None],
    deadline_s: float = 30.0,
) -> Diagnosis:
    """Try to reach the target step by step, on a connection of its own that is closed at the end.

    Works for devices that are not saved yet. Without a pinned key the test stops at ``host_key`` with
    ``needs_decision``; called again with ``accept`` it goes on if the host still shows that key, with ``accept_hops``
    if the jump host at that position does. ``emit`` is called in this thread. Neither uses nor changes the pool and
    its circuit breaker. Never raises DeviceError.
    """
    if accept is not None:
        target = replace(target, pinned_keys=(accept,))
    if accept_hops:
        hops = enumerate(target.hops)
        target = replace(
            target,
            hops=tuple(replace(hop, pinned_keys=(accept_hops[at],)) if at in accept_hops else hop for at, hop in hops),
        )
    return _Test(target, emit, Deadline(deadline_s)).run()


class _Test:
    """One run: the steps so far and the resources that they opened."""

    def __init__(self, target: ConnectionTarget, emit: Callable[[Step], None], deadline: Deadline) -> None:
        self._target = target
        self._emit = emit
        self._deadline = deadline
        self._steps = steps_of(target.transport, [hop.label for hop in target.hops])
        self._titles = dict(self._steps)
        self._ended: dict[str, Step] = {}
        self._current = self._steps[0][0]
        self._since = time.monotonic()
        self._host_key: PinnedKey | None = None
        self._shown: PinnedKey | None = None
        self._channel_kind = self._api_version = ""
        self._version: dict[str, Any] = {}
        self._access: Access | None = None

    def run(self) -> Diagnosis:
        try:
            {SSH: self._reach, TLS: self._reach_tls, TCP: self._reach_tcp, LOCAL: self._reach_local}[
                self._target.transport
            ]()
        except (HostKeyUnknown, HostKeyChanged) as exc:
            state: StepState = "needs_decision" if isinstance(exc, HostKeyUnknown) else "failed"
            self._end(state, exc.message, exc)
        except DeviceError as exc:
            self._end("failed", exc.message, exc)
        for key, _title in self._steps:
            if key not in self._ended:
                self._ended[key] = Step(key, "skipped", self._titles[key])
                self._emit(self._ended[key])
        steps = tuple(self._ended[key] for key, _title in self._steps)
        return Diagnosis(
            steps, self._host_key, self._channel_kind, self._api_version, self._version, access=self._access
        )

    # ---- over SSH

    def _reach(self) -> None:
        target = self._target
        nearest = target.hops[0] if target.hops else target
        self._start("resolve")
        connecting = Deadline(min(target.connect_timeout_s, self._deadline.left_s))
        if target.proxy is not None:
            self._end("ok", f"left to the proxy {clean_text(target.proxy.address, 100)}")
        else:
            self._end("ok", ", ".join(endpoint.text for endpoint in resolve(nearest, connecting)[:4]))
        self._start("tcp", f"port {nearest.port}")
        raw: Any = connect_first(target, connecting)
        self._end("ok", f"port {nearest.port} accepts connections")
        for position, hop in enumerate(target.hops):
            self._start(f"hop-{position}")
            deadline = Deadline(min(hop.connect_timeout_s, self._deadline.left_s))
            session = self._log_in(hop, raw, deadline, lambda: None)
            raw = pass_through(session, next_of(target, position), deadline)
            self._end("ok", f"logged in as {clean_text(hop.authentication.username, 60)}")
        self._start("host_key")
        session = self._log_in(
            target, raw, Deadline(min(target.connect_timeout_s, self._deadline.left_s)), self._key_is_good
        )
        self._end("ok", f"logged in as {clean_text(target.authentication.username, 60)}")
        try:
            self._find_engine(session)
        finally:
            session.close()

    def _log_in(
        self, target: ConnectionTarget, raw: Any, deadline: Deadline, on_good_key: Callable[[], None]
    ) -> SshSession:
        self._shown = None
        transport, self._shown = start_transport(target, raw, deadline)
        if target is self._target:
            self._host_key = self._shown
        with ExitStack() as failing:
            failing.callback(close_transport, transport)
            check_host_key(target, self._shown)
            on_good_key()
            failing.pop_all()
        return finish_session(target, transport, self._shown, deadline)

    def _key_is_good(self) -> None:
        shown = self._shown
        assert shown is not None  # noqa: S101 - it was just checked
        by = "" if shown in self._target.pinned_keys else f", {self._vouched_for()}"
        self._end("ok", f"{shown.key_type} {shown.fingerprint}{by}")
        self._start("authentication", f"as {clean_text(self._target.authentication.username, 60)}")

    def _find_engine(self, session: SshSession) -> None:
        self._start("channel")
        try:
            engine = attach_engine(
                session,
                replace(self._target, request_timeout_s=self._request_s),
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
        self._end("ok", _KIND_TEXTS.get(engine.channel_kind, engine.channel_kind))
        self._start("socket")
        self._end("ok", f"{engine.product} answers on {clean_text(self._target.socket_path, 120)}")
        self._start("api")
        self._know(engine)

    # ---- without SSH

    def _reach_tls(self) -> None:
        target = self._target
        context = self._prepare(lambda: client_context(target))
        connecting = Deadline(min(target.connect_timeout_s, self._deadline.left_s))
        raw = self._connect(connecting)
        self._start("certificate", f"as {clean_text(target.tls_server_name or target.address, 100)}")
        secured = shake_hands(target, context, raw, connecting)
        version = clean_text(secured.version() or "", 20)
        secured.close()
        self._end("ok", f"signed by a trusted authority, made out to the right name ({version})")
        self._start("client")

        def dial(timeout_s: float) -> Any:
            deadline = Deadline(min(timeout_s, target.connect_timeout_s))
            return shake_hands(target, context, connect_tcp(target, deadline), deadline)

        self._ask(dial, "client", "the engine lets us in")

    def _reach_tcp(self) -> None:
        self._connect(Deadline(min(self._target.connect_timeout_s, self._deadline.left_s))).close()
        self._start("api", "without encryption")
        self._ask(lambda timeout_s: connect_tcp(self._target, Deadline(timeout_s)))

    def _reach_local(self) -> None:
        self._start("socket", clean_text(self._target.socket_path, 120))
        self._ask(lambda timeout_s: connect_local(self._target, timeout_s), "socket", "the engine answers")

    def _prepare(self, make: Callable[[], Any]) -> Any:
        """Something that needs no network, whose failure belongs to the step at which it would be needed."""
        try:
            return make()
        except DeviceError:
            self._start("client")
            raise

    def _connect(self, deadline: Deadline) -> Any:
        self._start("resolve")
        self._end("ok", ", ".join(endpoint.text for endpoint in resolve(self._target, deadline)[:4]))
        self._start("tcp", f"port {self._target.port}")
        raw = connect_tcp(self._target, deadline)
        self._end("ok", f"port {self._target.port} accepts connections")
        return raw

    def _ask(self, dial: Dialer, step: str = "", done: str = "") -> None:
        """Make the engine's client; ``step`` is the one under way, which has gone well once anything answers."""
        target = replace(self._target, request_timeout_s=self._request_s)
        session = DirectSession(target, dial, target.transport)
        try:
            try:
                engine = Engine(target, session, DirectRoute(session, target.transport))
            except DeviceError as exc:
                if step and (exc.is_answer or exc.code in ("not_docker", "engine_too_old")):
                    self._end("ok", done)
                    self._start("api")
                raise
            if step:
                self._end("ok", done)
                self._start("api")
            self._know(engine)
        finally:
            session.close()

    # ---- the engine

    @property
    def _request_s(self) -> float:
        # Several ways may be tried, and each may use up its whole time-out.
        return max(1.0, min(self._target.request_timeout_s, self._deadline.left_s / 2))

    def _know(self, engine: Engine) -> None:
        self._channel_kind, self._api_version, self._version = engine.channel_kind, engine.api_version, engine.version
        self._end("ok", f"API {engine.api_version} (engine offers {clean_text(str(self._version['ApiVersion']), 20)})")
        self._start("access")
        self._access = access = look_at_access(engine)
        words = f"Grade: {access.grade.label}"
        if access.grade is Grade.NOTHING:
            words += " (something in front of the engine refuses requests that SSM needs)"
        self._end("ok", words if access.runs_commands else f"{words}; the host gives no figures of its own")

    # ---- telling

    def _vouched_for(self) -> str:
        return "signed by a trusted authority" if self._shown and self._shown.certificate else "vouched for by DNS"

    def _start(self, key: str, detail: str = "") -> None:
        self._current, self._since = key, time.monotonic()
        self._note(detail)

    def _note(self, detail: str) -> None:
        self._emit(Step(self._current, "running", self._titles[self._current], detail, hop=self._hop))

    def _end(self, state: StepState, detail: str, error: DeviceError | None = None) -> None:
        key = self._current
        took = round((time.monotonic() - self._since) * 1000)
        shown = self._shown if key == "host_key" or self._hop is not None else None
        step = Step(key, state, self._titles[key], detail, took, error, shown, self._hop)
        self._ended[key] = step
        self._emit(step)

    @property
    def _hop(self) -> int | None:
        return int(self._current.removeprefix("hop-")) if self._current.startswith("hop-") else None
