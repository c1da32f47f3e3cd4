"""What goes out on a channel while the server closes it: sshd ends the whole connection over a message too many."""

import threading
from typing import Any

from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_EOF
from pytest import raises

from devices.ssh.session import open_session
from tests.devices.targets import target_of
from tests.fleet import Fleet, Host


def test_end_of_input_while_the_server_closes_does_not_follow_the_closing(fleet: Fleet, docker_host: Host) -> None:
    session = open_session(target_of(fleet, docker_host))
    try:
        channel = session.open_program("true", 5)
        _hold_back(session, cMSG_CHANNEL_EOF, channel.is_gone)

        channel.shutdown_write()

        assert channel.is_gone.wait(5)
        assert session.run(["echo", "still there"], 5).output == "still there"
    finally:
        session.close()


def test_data_while_the_server_closes_does_not_follow_the_closing(fleet: Fleet, docker_host: Host) -> None:
    session = open_session(target_of(fleet, docker_host))
    try:
        channel = session.open_program("true", 5)
        _hold_back(session, cMSG_CHANNEL_DATA, channel.is_gone)

        channel.send(b"too late")

        assert channel.is_gone.wait(5)
        with raises(OSError, match="closed"):
            channel.send(b"more")
        assert session.run(["echo", "still there"], 5).output == "still there"
    finally:
        session.close()


def _hold_back(session: Any, kind: bytes, gone: threading.Event) -> None:
    """Let messages of one kind wait until the server has closed the channel, or for a second if it cannot."""
    transport = session._transport
    send = transport._send_user_message

    def hold(message: Any) -> None:
        if message.asbytes()[:1] == kind:
            gone.wait(1)
        send(message)

    transport._send_user_message = hold
