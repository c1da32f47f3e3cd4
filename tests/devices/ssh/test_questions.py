"""Log-ins that OpenSSH needs PAM or accounts for, at a small server of the SSH library's own."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import paramiko
import pytest
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
)
from paramiko.server import InteractiveQuery

from devices.errors import AuthenticationFailed
from devices.rules.host_keys import PinnedKey
from devices.rules.targets import Answer, Authentication, ConnectionTarget
from devices.ssh.session import open_session
from tests.devices.waiting import no_threads_left

HOST_KEY = paramiko.ECDSAKey.generate()
# Rounds of questions: the text, whether it is shown while typed, and the right answer.
Round = list[tuple[str, bool, str]]


@dataclass
class Asking(paramiko.ServerInterface):
    """Lets in who answers all rounds rightly; without rounds, who asks for it."""

    methods: str
    rounds: list[Round] = field(default_factory=list)
    password: str = ""
    heard: list[str] = field(default_factory=list)
    _at: int = 0

    def get_allowed_auths(self, username: str) -> str:
        return self.methods

    def check_auth_none(self, username: str) -> int:
        return AUTH_SUCCESSFUL if self.methods == "none" else AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        if "password" not in self.methods:
            return AUTH_FAILED
        self.heard.append(password)
        if password != self.password:
            return AUTH_FAILED
        if self.rounds:
            self.methods = "keyboard-interactive"
            return AUTH_PARTIALLY_SUCCESSFUL
        return AUTH_SUCCESSFUL

    def check_auth_interactive(self, username: str, submethods: str) -> int | InteractiveQuery:
        # The library's server side does not hold back methods that were not offered.
        return self._question() if "keyboard-interactive" in self.methods else AUTH_FAILED

    def _question(self) -> InteractiveQuery:
        query = InteractiveQuery("Log-in", "")
        for text, echo, _right in self.rounds[self._at]:
            query.add_prompt(text, echo)
        return query

    def check_auth_interactive_response(self, responses: list[str]) -> int | InteractiveQuery:
        self.heard += responses
        if responses != [right for _text, _echo, right in self.rounds[self._at]]:
            return AUTH_FAILED
        self._at += 1
        return AUTH_SUCCESSFUL if self._at == len(self.rounds) else self._question()

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


@contextlib.contextmanager
def asking(server: Asking) -> Iterator[ConnectionTarget]:
    """The server on a free port for one connection; gives the target without a log-in."""
    listener = socket.create_server(("127.0.0.1", 0))
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
            connection, _peer = listener.accept()
            transport = paramiko.Transport(connection)
            transports.append(transport)
            transport.add_server_key(HOST_KEY)
            transport.start_server(server=server)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield ConnectionTarget(
            device_id="1",
            name="web",
            address="127.0.0.1",
            port=listener.getsockname()[1],
            authentication=Authentication("op"),
            pinned_keys=(PinnedKey(HOST_KEY.get_name(), HOST_KEY.get_base64()),),
            connect_timeout_s=8,
        )
    finally:
        listener.close()
        thread.join(10)
        for transport in transports:
            transport.close()
            transport.join(10)


QUESTIONS: list[Round] = [
    [("Password: ", False, "secret"), ("Verification code: ", False, "123456")],
    [("Which site? ", True, "berlin")],
]
ANSWERS = (Answer("*code*", "123456"), Answer("site", "berlin"))


def enter(target: ConnectionTarget, **who: object) -> None:
    """Log in and leave again."""
    with no_threads_left():
        open_session(replace(target, authentication=Authentication("op", **who))).close()


def test_several_rounds_of_questions_are_answered() -> None:
    server = Asking("keyboard-interactive", QUESTIONS)
    with asking(server) as target:
        enter(target, password="secret", answers=ANSWERS)

    assert server.heard == ["secret", "123456", "berlin"]


def test_questions_after_the_password_are_answered() -> None:
    server = Asking("password", [QUESTIONS[1]], password="secret")
    with asking(server) as target:
        enter(target, password="secret", answers=ANSWERS)

    assert server.heard == ["secret", "berlin"]


def test_answers_without_a_password_are_enough() -> None:
    server = Asking("keyboard-interactive", [[("PIN: ", False, "1")]])
    with asking(server) as target:
        enter(target, answers=(Answer("*", "1"),))


def test_question_without_an_answer_is_told_and_gets_no_secret() -> None:
    server = Asking("keyboard-interactive", [[("Password: ", False, "secret"), ("\x1b[31mToken: ", False, "1")]])
    with asking(server) as target, no_threads_left(), pytest.raises(AuthenticationFailed) as caught:
        open_session(replace(target, authentication=Authentication("op", password="secret")))

    assert caught.value.details["asked"] == ["[31mToken:"]
    assert "Add an answer" in caught.value.fix
    assert "secret" not in str(caught.value)
    assert server.heard == ["secret", ""]


def test_server_that_asks_for_nothing_lets_in_without_a_proof() -> None:
    with asking(Asking("none")) as target:
        enter(target)


def test_endless_questions_end_the_log_in() -> None:
    server = Asking("keyboard-interactive", [[("Again: ", False, "x")]] * 50)
    with asking(server) as target, no_threads_left(), pytest.raises(Exception, match="web: "):
        open_session(replace(target, authentication=Authentication("op", answers=(Answer("*", "x"),))))

    assert len(server.heard) <= 10
