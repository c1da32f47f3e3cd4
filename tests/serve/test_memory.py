"""However many press at once, the process keeps its size and serves others."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.logstage import resident_mb
from tests.serve.conftest import OF_ONE_ADDRESS, Front
from tests.serve.raw import Wire, frame, handshake, head, request

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(180)]
PRESSING_S = 6.0
CLIENTS = 200
# Measured: 10 to 30 MiB.
MOST_MIB = 100.0
LINE = b"X: " + b"a" * 8000 + b"\r\n"
CHUNK = b"10000\r\n" + b"a" * 65536 + b"\r\n"
LARGE = frame(b'{"type": "' + b"a" * 200_000)
SMALL = frame(b"{}") * 2000


def peak_mb(pid: int) -> float:
    """The most memory that a process had since its peak was reset, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class Pressing:
    """Hostile clients, each in a thread of its own, and how much they got rid of."""

    def __init__(self, front: Front, until: float) -> None:
        self.front = front
        self.until = until
        self.sent = [0] * CLIENTS

    def run(self, number: int) -> None:
        """One client: over and over what its kind does."""
        kinds = (self._head, self._body, self._promise, self._unread, self._socket)
        while time.monotonic() < self.until:
            with contextlib.suppress(OSError, AssertionError):
                self._press(number, kinds[number % len(kinds)])

    def _press(self, number: int, kind: Callable[[Wire], list[bytes]]) -> None:
        if kind == self._socket:
            wire, _answer = handshake(
                self.front.port,
                "/ws/live/",
                f"Cookie: {self.front.operator}",
                "Origin: http://127.0.0.1",
                timeout_s=2,
                receive_bytes=2048,
            )
        else:
            wire = Wire(self.front.port, timeout_s=2, receive_bytes=2048)
        with wire:
            for data in kind(wire):
                if time.monotonic() > self.until or not wire.send(data):
                    break
                self.sent[number] += len(data)
            else:
                # Hold what there is for as long as the server bears it.
                wire.is_closed_within(min(2, max(self.until - time.monotonic(), 0.01)))

    @staticmethod
    def _head(_wire: Wire) -> list[bytes]:
        return [b"GET / HTTP/1.1\r\n", *[LINE] * 3000]

    @staticmethod
    def _body(_wire: Wire) -> list[bytes]:
        return [head("POST", "/devices/add/", "Transfer-Encoding: chunked"), *[CHUNK] * 38]

    @staticmethod
    def _promise(_wire: Wire) -> list[bytes]:
        return [head("POST", "/devices/add/", f"Content-Length: {2560 * 1024}"), b"a" * (2560 * 1024 - 1)]

    @staticmethod
    def _unread(_wire: Wire) -> list[bytes]:
        return [head("GET", "/static/vendor/htmx.min.js") * 50] * 20

    @staticmethod
    def _socket(_wire: Wire) -> list[bytes]:
        return [LARGE, SMALL] * 500


def test_process_under_many_hostile_clients_keeps_its_size_and_answers_others(front: Front) -> None:
    assert CLIENTS < OF_ONE_ADDRESS
    assert request(front.port, head("GET", "/login/")).status == 200
    before = resident_mb(front.pid)
    Path(f"/proc/{front.pid}/clear_refs").write_text("5")  # the peak begins anew, see proc(5)
    pressing = Pressing(front, time.monotonic() + PRESSING_S)
    threads = [threading.Thread(target=pressing.run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        assert request(front.port, head("GET", "/healthz")).status == 200, "others are served meanwhile"
    finally:
        for thread in threads:
            thread.join()

    assert sum(pressing.sent) > 100 * 1024 * 1024, "it was pressed"
    grown = peak_mb(front.pid) - before
    print(f"{CLIENTS} clients sent {sum(pressing.sent) >> 20} MiB: the process grew by {grown:.0f} MiB")
    assert grown < MOST_MIB
    # A moment later nothing is left of it.
    deadline = time.monotonic() + 20
    while request(front.port, head("GET", "/login/")).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
