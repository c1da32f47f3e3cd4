"""The ways to an engine's socket: straight through SSH, or through a program that the host starts for us."""

import shlex

from devices.connections.refusals import error_for
from devices.docker.routes import DIAL_STDIO, DIAL_STDIO_SUDO, STREAMLOCAL
from devices.errors import ConnectionLost, DeviceError
from devices.rules.refusals import PROBE_SCRIPT, Cause, parse_probe, read_refusal
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text
from devices.ssh.channels import ByteChannel
from devices.ssh.session import ChannelRefused, SshSession
from devices.ssh.sockets import Deadline

PROBE_S = 5.0
PROGRAM_END_S = 2.0
STDERR_BYTES = 8192
SUDO_PROMPT = "ssm-sudo-password:"


class SocketRoute:
    """Channels straight to the socket: fast, needs nothing on the host, not counted in sshd's MaxSessions."""

    kind = STREAMLOCAL
    most_requests = 8
    most_streams = 64

    def __init__(self, session: SshSession, target: ConnectionTarget) -> None:
        self._session = session
        self._target = target
        self.cause = Cause.UNCLEAR

    def open(self, timeout_s: float) -> ByteChannel:
        """Open a channel. ChannelRefused, ConnectionLost."""
        return self._session.open_socket(self._target.socket_path, timeout_s)

    def explain(self, channel: ByteChannel | None) -> DeviceError:
        """Look at the socket on the host: OpenSSH gives one code for every reason of a refusal."""
        if channel is not None:
            return _closed_at_once(self._target)
        try:
            result = self._session.run(["sh", "-c", PROBE_SCRIPT, "sh", self._target.socket_path], PROBE_S)
        except ChannelRefused:
            self.cause = Cause.NO_SESSIONS
        else:
            probe = parse_probe(result.output)
            self.cause = probe.cause if probe else Cause.NO_SESSIONS
        return error_for(self.cause, self._target)


def become_words(target: ConnectionTarget, *, with_password: bool) -> list[str]:
    """The beginning of a command that is to run as another user: sudo, with or without a password, or doas."""
    user = ["-u", target.become_user] if target.become_user else []
    if target.elevation == "doas":
        return ["doas", "-n", *user, "--"]
    proof = ["-k", "-S", "-p", SUDO_PROMPT] if with_password else ["-n"]
    return ["sudo", *proof, *user, "--"]


class ProgramRoute:
    """Channels through ``docker system dial-stdio`` (or podman's), with sudo or doas where that is asked for.

    Each channel is a session, of which sshd allows ten by default (MaxSessions): one is left free for probes.
    """

    most_requests = 4
    most_streams = 5

    def __init__(
        self, session: SshSession, target: ConnectionTarget, program: str, *, become: bool, with_password: bool = False
    ) -> None:
        self.kind = DIAL_STDIO_SUDO if become else DIAL_STDIO
        self.cause = Cause.UNCLEAR
        self.program = program
        self._session = session
        self._target = target
        self._password = target.elevation_password if with_password else None
        self._command = shlex.join(
            [
                *("env", "LC_ALL=C"),
                *(become_words(target, with_password=self._password is not None) if become else ()),
                *(program, "-H" if program == "docker" else "--url", f"unix://{target.socket_path}"),
                *("system", "dial-stdio"),
            ]
        )

    def open(self, timeout_s: float) -> ByteChannel:
        """Start the program. ChannelRefused, ConnectionLost, PermissionDenied if sudo refuses the password."""
        deadline = Deadline(timeout_s)
        channel = self._session.open_program(self._command, timeout_s)
        if self._password is not None:
            try:
                self._answer_sudo(channel, self._password, deadline)
            except BaseException:
                channel.close()
                raise
        return channel

    def explain(self, channel: ByteChannel | None) -> DeviceError:
        """Read the cause off the program's standard error."""
        said = ""
        if channel is None:
            self.cause = Cause.NO_SESSIONS
        else:
            said = _read_stderr(channel, Deadline(1.0))
            # sshd frees the session, which MaxSessions counts, only once the program was seen to end.
            channel.status_event.wait(PROGRAM_END_S)
            channel.close_and_wait()
            self.cause = read_refusal(said) if said else Cause.UNCLEAR
            if not said and self._password is None and channel.exit_status in (-1, 0):
                return _closed_at_once(self._target)
        return error_for(self.cause, self._target, said=said)

    def _answer_sudo(self, channel: ByteChannel, password: str, deadline: Deadline) -> None:
        """Give the password once, and only if sudo asks: unasked for, it would end up in the engine's log.

        That sudo took it shows in the engine's first answer, that it did not in a second prompt or its end.
        """
        said = ""
        while SUDO_PROMPT not in said:
            channel.settimeout(max(0.01, deadline.left_s))
            try:
                data = channel.recv_stderr(STDERR_BYTES)
            except TimeoutError:
                data = b""
            if not data or len(said) > STDERR_BYTES:
                self.cause = read_refusal(said)
                raise error_for(self.cause, self._target, said=said)
            said += data.decode("utf-8", "replace")
        channel.settimeout(max(0.01, deadline.left_s))
        channel.sendall(password.encode("utf-8", "surrogatepass") + b"\n")


def check_sudo_password(session: SshSession, target: ConnectionTarget, timeout_s: float) -> Cause | None:
    """Whether sudo takes the credential's password (None: it does), asked by ``sudo -v`` before anything else.

    sudo tells of a wrong password seconds later and reads on: without this check, the request that follows the
    password would be taken for a second and a third one, and the account might be locked.
    """
    password = (target.elevation_password or "").encode("utf-8", "surrogatepass")
    user = ["-u", target.become_user] if target.become_user else []
    command = ["env", "LC_ALL=C", "sudo", "-k", "-S", "-p", SUDO_PROMPT, *user, "-v"]
    try:
        result = session.run(command, timeout_s, stdin=password + b"\n")
    except ChannelRefused:
        return Cause.NO_SESSIONS
    if result.status == 0:
        return None
    cause = read_refusal(result.errors)
    return Cause.SUDO_WRONG_PASSWORD if cause is Cause.UNCLEAR else cause


def _read_stderr(channel: ByteChannel, deadline: Deadline) -> str:
    said = b""
    while len(said) < STDERR_BYTES:
        channel.settimeout(max(0.01, deadline.left_s))
        try:
            data = channel.recv_stderr(STDERR_BYTES)
        except TimeoutError:
            break
        if not data:
            break
        said += data
    return clean_text(said.replace(SUDO_PROMPT.encode(), b" "))


def _closed_at_once(target: ConnectionTarget) -> ConnectionLost:
    return ConnectionLost(
        f"{target.label}: the engine closed the connection without an answer.",
        fix="The engine may be restarting: try again in a moment, and see its log (journalctl -u docker).",
    )
