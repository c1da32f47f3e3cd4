"""The end of the web process: nothing new, sockets are told to come back, what is under way is answered."""

import os
import signal
import time

import pytest

from tests.containers.logstage import database_url, web_process
from tests.serve.raw import Wire, closing_code, handshake, head

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(120)]


def test_stop_answers_what_is_under_way_and_tells_sockets_to_come_back() -> None:
    body = b"a" * 200_000
    with web_process(database_url(), SSM_WEB_STOP_SECONDS="20", SSM_LOG_LEVEL="ERROR") as (port, pid):
        with Wire(port) as idle, Wire(port) as busy:
            idle.send(head("GET", "/healthz"))
            assert idle.answer().status == 200
            busy.send(head("POST", "/devices/add/", f"Content-Length: {len(body)}") + body[:-1])
            # Refused for having no session, but only behind its handshake: a socket that is there.
            socket, answer = handshake(port, "/ws/live/", "Origin: http://127.0.0.1")
            assert answer.status == 101 and closing_code(socket) == 4401
            socket.socket.close()
            os.kill(pid, signal.SIGTERM)

            assert idle.is_closed_within(10)
            with pytest.raises(ConnectionRefusedError):
                Wire(port)
            busy.send(body[-1:])
            answer = busy.answer()
            assert answer.status == 403 and answer.headers["connection"] == "close"
            assert busy.is_closed_within(10)
        begun = time.monotonic()
        assert os.waitpid(pid, 0)[1] == 0
        assert time.monotonic() - begun < 15, "it does not wait where nothing is left"
