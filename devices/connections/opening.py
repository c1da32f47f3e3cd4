"""From a target to an engine: one SSH session, then the first way to the socket that works."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from devices.connections.direct import open_direct
from devices.connections.refusals import error_for
from devices.connections.routes import ProgramRoute, SocketRoute, check_sudo_password
from devices.docker.engine import Engine
from devices.docker.routes import DIAL_STDIO, DIAL_STDIO_SUDO, STREAMLOCAL
from devices.errors import DeviceError, PermissionDenied, SocketMissing
from devices.rules.refusals import Cause
from devices.rules.targets import SSH, ConnectionTarget
from devices.ssh.host_keys import check_host_key
from devices.ssh.session import (
    ChannelRefused,
    SshSession,
    close_transport,
    connect_first,
    finish_session,
    next_of,
    open_session,
    pass_through,
    start_transport,
)
from devices.ssh.sockets import Deadline, resolve

# The single steps are handed on for the connection test, which wants them one by one.
__all__ = [
    "Deadline",
    "SshSession",
    "attach_engine",
    "check_host_key",
    "close_transport",
    "connect_first",
    "finish_session",
    "next_of",
    "open_engine",
    "pass_through",
    "resolve",
    "start_transport",
]

AnyRoute = SocketRoute | ProgramRoute
SUDO_CHECK_S = 10.0
PROGRAMS = ("docker", "podman")
USER_ID = "{uid}"
UID_S = 5.0
# Causes that sudo has, in the order in which they help the user most.
_SUDO_CAUSES = (Cause.SUDO_WRONG_PASSWORD, Cause.SUDO_FORBIDDEN, Cause.SUDO_NEEDS_PASSWORD, Cause.SUDO_MISSING)


def open_engine(target: ConnectionTarget, handshakes: AbstractContextManager[object] | None = None) -> Engine:
    """Connect and find the engine. Blocks for the target's connect time-out and some seconds of trying.

    ``handshakes`` bounds how many SSH handshakes run at once. Raises the DeviceError of the step that failed.
    """
    if target.transport != SSH:
        return open_direct(target, handshakes)
    session = open_session(target, handshakes)
    try:
        return attach_engine(session, target)
    except BaseException:
        session.close()
        raise


def attach_engine(session: SshSession, target: ConnectionTarget, on_try: Callable[[str], None] | None = None) -> Engine:
    """The engine behind the session, by the remembered way first, then streamlocal, dial-stdio, and with sudo.

    ``on_try`` hears of each kind before it is tried. The session is the engine's afterwards, but stays the
    caller's when this raises: SocketMissing or PermissionDenied when no way works; NotDocker, EngineTooOld,
    EngineTimeout and ConnectionLost end the search, as another way would meet the same engine.
    """
    target = _with_user_id(session, target)
    search = _Search(session, target)
    for route in search.routes():
        if on_try is not None:
            on_try(route.kind)
        try:
            return Engine(target, session, route)
        except (SocketMissing, PermissionDenied) as exc:
            search.failures.append((route, exc))
    raise search.conclusion()


def _with_user_id(session: SshSession, target: ConnectionTarget) -> ConnectionTarget:
    """The target with the user's number in its socket path, where ``{uid}`` stands in it (rootless engines).

    It is the number of whoever uses the socket: the user to become if there is one. PermissionDenied if unknown.
    """
    if USER_ID not in target.socket_path:
        return target
    whom = [target.become_user] if target.become_user and target.elevation != "none" else []
    try:
        number = session.run(["id", "-u", *whom], UID_S).output.strip()
    except ChannelRefused:
        number = ""
    if not number.isdecimal() or len(number) > 10:
        raise PermissionDenied(
            f"{target.label}: the host does not tell the number of the user, which the socket path needs.",
            fix=f"Write the number itself in place of {USER_ID} into the socket path: it is what id -u prints.",
        )
    return replace(target, socket_path=target.socket_path.replace(USER_ID, number))


class _Search:
    """Which way to try next, given what the ones before met, and what to tell when all failed."""

    def __init__(self, session: SshSession, target: ConnectionTarget) -> None:
        self._session = session
        self._target = target
        self.failures: list[tuple[AnyRoute, DeviceError]] = []
        self._sudo_causes: list[Cause] = []

    def routes(self) -> Iterator[AnyRoute]:
        """The routes worth trying; it is asked for the next one after `failures` got the last one."""
        order = [STREAMLOCAL, DIAL_STDIO, DIAL_STDIO_SUDO]
        if self._target.forced_channel_kind:
            order = [self._target.forced_channel_kind]
        elif self._target.channel_kind in order[1:]:
            order.remove(self._target.channel_kind)
            order.insert(0, self._target.channel_kind)
        for kind in order:
            if self._is_pointless():
                return
            if kind == STREAMLOCAL:
                yield SocketRoute(self._session, self._target)
            elif kind == DIAL_STDIO:
                yield from self._programs(become=False)
            elif self._target.elevation != "none":
                yield from self._programs(become=True)
                if self._needs_password() and self._password_is_right():
                    yield from self._programs(become=True, with_password=True)

    def conclusion(self) -> DeviceError:
        """One error for all the failures: what sudo said if it was allowed, else what the socket itself shows."""
        causes = [route.cause for route, _error in self.failures] + self._sudo_causes
        for cause in (Cause.SOCKET_MISSING, Cause.NOT_A_SOCKET, Cause.ENGINE_DOWN, *_SUDO_CAUSES):
            if cause in causes:
                return self._error_with(cause)
        # What the look at the socket found, unless forbidden forwarding is only half of the story.
        if Cause.FORWARDING in causes and Cause.PROGRAM_MISSING in causes:
            return error_for(Cause.PROGRAM_MISSING, self._target)
        for wanted in (Cause.PERMISSION, Cause.FORWARDING, Cause.NO_SESSIONS):
            if wanted in causes:
                return self._error_with(wanted)
        if not self.failures:  # sudo is all that is allowed, and the device does not allow it
            return error_for(Cause.SUDO_FORBIDDEN, self._target)
        return self.failures[-1][1]

    def _error_with(self, cause: Cause) -> DeviceError:
        for route, error in self.failures:
            if route.cause is cause:
                return error
        return error_for(cause, self._target)

    def _programs(self, *, become: bool, with_password: bool = False) -> Iterator[ProgramRoute]:
        for program in PROGRAMS:
            route = ProgramRoute(self._session, self._target, program, become=become, with_password=with_password)
            yield route
            if route.cause is not Cause.PROGRAM_MISSING:
                return

    def _is_pointless(self) -> bool:
        """Nobody listens, or programs are not allowed: other ways would meet the same."""
        causes = {route.cause for route, _error in self.failures}
        return bool(causes & {Cause.ENGINE_DOWN, Cause.NOT_A_SOCKET, Cause.NO_SESSIONS}) and bool(self.failures)

    def _needs_password(self) -> bool:
        asked = self.failures[-1][0].cause is Cause.SUDO_NEEDS_PASSWORD
        return asked and self._target.elevation == "sudo" and bool(self._target.elevation_password)

    def _password_is_right(self) -> bool:
        cause = check_sudo_password(self._session, self._target, SUDO_CHECK_S)
        if cause is not None:
            self._sudo_causes.append(cause)
        return cause is None
