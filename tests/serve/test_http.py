"""What the web process says to requests that are too large, too slow, or none."""

import threading
import time
from pathlib import Path

import pytest

from tests.serve.conftest import HEAD_S, OF_ONE_ADDRESS, STALL_S, Front
from tests.serve.raw import Wire, head, request

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(120)]
KIB = 1024
USUAL = 2560 * KIB
MOMENT_S = 8.0


def test_request_is_answered_and_the_connection_serves_the_next(front: Front) -> None:
    with Wire(front.port) as wire:
        for _ in range(2):
            wire.send(head("GET", "/healthz"))
            assert wire.answer().body == b"ok\n"
        # Sent ahead, answered in turn.
        wire.send(head("GET", "/healthz") * 3 + head("GET", "/healthz", "Connection: close"))
        assert [wire.answer().status for _ in range(5)] == [200, 200, 200, 200, 0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x0bb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX Y: a\r\n\r\n", 400),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", 400),
        # Two programs would not agree where this request ends.
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\naaaa", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\naaaa", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 400_000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"a" * 17_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 5 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"a" * 400_000, 431),
    ],
)
def test_head_that_is_none_or_too_large_is_refused_and_the_connection_closed(
    front: Front, data: bytes, status: int
) -> None:
    with Wire(front.port) as wire:
        wire.send(data)
        answer = wire.answer()

        assert answer.status == status
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff" and "server" not in answer.headers
        assert wire.is_closed_within(MOMENT_S)


@pytest.mark.parametrize(
    ("path", "size"),
    [("/login/", 64 * KIB), ("/csp-report", 16 * KIB), ("/devices/add/", USUAL), ("/api/v1/devices/", USUAL)],
)
def test_body_that_says_it_is_too_large_is_refused_before_it_is_sent(front: Front, path: str, size: int) -> None:
    with Wire(front.port) as wire:
        wire.send(head("POST", path, f"Content-Length: {size + 1}", "Expect: 100-continue"))
        answer = wire.answer()

    assert answer.status == 413
    if path.startswith("/api/"):
        assert answer.json["code"] == "too_large" and answer.json["message"] and answer.json["fix"]
    else:
        assert b"<h1>Content Too Large</h1>" in answer.body


@pytest.mark.parametrize("path", ["/login/", "/devices/add/"])
def test_body_in_chunks_is_cut_off_where_it_becomes_too_large(front: Front, path: str) -> None:
    piece = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    with Wire(front.port) as wire:
        wire.send(head("POST", path, "Transfer-Encoding: chunked"))
        sent = 0
        while sent < 40 * USUAL and wire.send(piece):
            sent += len(piece)

        assert wire.answer().status in (413, 0), "nothing else than the refusal is said"
        assert sent < 20 * USUAL, "it was not read on"
    assert _refused_with(front, path) == 413


def _refused_with(front: Front, path: str) -> int:
    """The status for a body in chunks that is a little too large; the client reads it."""
    with Wire(front.port) as wire:
        wire.send(head("POST", path, "Transfer-Encoding: chunked"))
        for _ in range(USUAL // 0x8000 + 2):
            wire.send(b"8000\r\n" + b"a" * 0x8000 + b"\r\n")
        return wire.answer().status


def test_body_as_large_as_allowed_reaches_the_application(front: Front) -> None:
    body = b"a" * USUAL
    answer = request(front.port, head("POST", "/devices/add/", f"Content-Length: {len(body)}") + body)

    assert answer.status in (302, 403), "Django answers, not the front"
    assert b"Content Too Large" not in answer.body


@pytest.mark.parametrize(
    "begun", [b"GET / HT", b"GET /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\r\nGET / HTTP/1.1\r\nX: "]
)
def test_head_that_does_not_end_is_given_up(front: Front, begun: bytes) -> None:
    with Wire(front.port) as wire:
        wire.send(begun)
        started = time.monotonic()
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.3) and wire.send(b"a"):
                pass

        # One byte now and then does not begin the time anew.
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert wire.answer().status == 408
            assert HEAD_S * 0.9 < time.monotonic() - started < HEAD_S + MOMENT_S
        finally:
            stop.set()
            thread.join()


def test_connection_that_says_nothing_is_closed_without_a_word(front: Front) -> None:
    with Wire(front.port) as wire:
        assert wire.answer().status == 0


@pytest.mark.parametrize("encoding", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_body_that_trickles_is_given_up(front: Front, encoding: str) -> None:
    piece = b"1\r\na\r\n" if "chunked" in encoding else b"a"
    with Wire(front.port) as wire:
        wire.send(head("POST", "/devices/add/", encoding))
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.2) and wire.send(piece):
                pass

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert wire.answer().status == 408
        finally:
            stop.set()
            thread.join()


def test_answer_that_nobody_reads_is_cut_off(front: Front) -> None:
    largest = max(
        (path for path in Path("static").rglob("*") if path.suffix in (".js", ".css")),
        key=lambda path: path.stat().st_size,
    )
    ask = head("GET", f"/{largest}")
    with Wire(front.port, receive_bytes=2048) as wire:
        # Many times the largest file, so that it fits into no buffer of the kernel's.
        for _ in range(200):
            if not wire.send(ask):
                break
        time.sleep(STALL_S)

        assert _is_cut(wire), "the connection is reset once nothing was taken for a while"


def _is_cut(wire: Wire) -> bool:
    """Whether the server gave up, seen from the sending side: nothing is read."""
    until = time.monotonic() + 5 * STALL_S + MOMENT_S
    while time.monotonic() < until:
        if not wire.send(head("GET", "/healthz")):
            return True
        time.sleep(0.2)
    return False


def test_one_address_gets_so_many_connections_and_then_a_polite_word(front: Front) -> None:
    held = [Wire(front.port) for _ in range(OF_ONE_ADDRESS)]
    try:
        with Wire(front.port) as wire:
            answer = wire.answer()
        assert answer.status == 429 and answer.headers["retry-after"]
    finally:
        for wire in held:
            wire.socket.close()
    until = time.monotonic() + MOMENT_S
    while request(front.port, head("GET", "/healthz")).status != 200:
        assert time.monotonic() < until, "closed connections count no more"


def test_upload_is_taken_from_those_who_may_and_asked_for_before_it_is_sent(front: Front) -> None:
    size = 64 * 1024 * KIB
    ask = ("POST", "/backups/upload/", f"Content-Length: {size}", "Expect: 100-continue")
    statuses = []
    for cookies in ([], [f"Cookie: {front.viewer}"], ["Cookie: sessionid=nobody"], ["Authorization: Bearer ssm_a_b"]):
        with Wire(front.port) as wire:
            wire.send(head(*ask, *cookies))
            statuses.append(wire.answer().status)
    assert statuses == [403] * 4

    with Wire(front.port) as wire:
        wire.send(head(*ask, f"Cookie: {front.operator}"))
        assert wire.answer().status == 100
        for _ in range(64):
            wire.send(b"a" * 1024 * KIB)
        # Without the token of the form: Django's own refusal.
        answer = wire.answer()
        assert answer.status == 403 and b"Page too old" in answer.body


def test_upload_beyond_the_largest_archive_is_refused(front: Front) -> None:
    size = 10_242 * 1024 * KIB
    ask = head("POST", "/backups/upload/", f"Content-Length: {size}", f"Cookie: {front.operator}")

    assert request(front.port, ask).status == 413


def test_only_so_many_uploads_are_taken_at_once(front: Front) -> None:
    ask = head(
        "POST", "/backups/upload/", "Content-Length: 9000000", "Expect: 100-continue", f"Cookie: {front.operator}"
    )
    wires = [Wire(front.port) for _ in range(5)]
    try:
        for wire in wires:
            wire.send(ask)
        statuses = sorted(wire.answer().status for wire in wires)
        assert statuses == [100, 100, 100, 100, 503]
    finally:
        for wire in wires:
            wire.socket.close()
    until = time.monotonic() + MOMENT_S
    while True:
        with Wire(front.port) as wire:
            wire.send(ask)
            if wire.answer().status == 100:
                break
        assert time.monotonic() < until, "uploads that were broken off count no more"
