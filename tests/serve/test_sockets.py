"""What the web process does with WebSockets that flood, sleep, lie about where they come from, or never begin."""

import time

import pytest

from containers.routing import websocket_urlpatterns
from tests.serve.conftest import Front
from tests.serve.raw import Wire, closing_code, frame, handshake, head

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(120)]
SOME_ID = "00000000-0000-0000-0000-000000000001"
PATHS = ["/" + str(route.pattern).replace("<uuid:container_id>", SOME_ID) for route in websocket_urlpatterns]
LIVE = "/ws/live/"


def opened(front: Front, path: str = LIVE, **wire: int) -> Wire:
    """A socket of somebody who may have it."""
    connection, answer = handshake(
        front.port,
        path,
        f"Cookie: {front.operator}",
        f"Origin: http://127.0.0.1:{front.port}",
        host=f"127.0.0.1:{front.port}",
        **wire,
    )
    assert answer.status == 101
    return connection


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "origin",
    [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://127.0.0.1.evil.example",
        "Origin: file://",
        "Origin: http://127.0.0.1@evil.example",
        "Referer: http://127.0.0.1/",
    ],
)
def test_socket_from_elsewhere_is_refused_with_the_headers_of_every_answer(
    front: Front, path: str, origin: str
) -> None:
    wire, answer = handshake(front.port, path, f"Cookie: {front.operator}", origin)

    assert answer.status == 403
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers
    assert wire.is_closed_within(8)
    wire.socket.close()


@pytest.mark.parametrize("path", PATHS)
def test_socket_of_nobody_is_closed_with_4401(front: Front, path: str) -> None:
    wire, answer = handshake(front.port, path, "Origin: http://127.0.0.1")

    assert answer.status == 101
    assert closing_code(wire) == 4401
    wire.socket.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Upgrade: websocket"], 400),
        (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"], 400),
        (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 13"], 400),
        (["Upgrade: websocket", "Connection: Upgrade", "Content-Length: 3"], 400),
    ],
)
def test_handshake_that_is_none_is_refused(front: Front, headers: list[str], status: int) -> None:
    with Wire(front.port) as wire:
        wire.send(head("GET", LIVE, *headers) + b"abc")
        answer = wire.answer()
        assert answer.status == status and "content-security-policy" in answer.headers
        assert wire.is_closed_within(8)


@pytest.mark.parametrize(
    "data",
    [
        frame(b"a" * 300_000),
        # In pieces that are small each.
        b"".join(frame(b"a" * 60_000, code=0 if place else 1, is_last=False) for place in range(6)),
    ],
    ids=["one frame", "many frames"],
)
def test_message_that_is_too_large_closes_the_socket(front: Front, data: bytes) -> None:
    with opened(front) as wire:
        wire.send(data)
        assert closing_code(wire) == 1009


def test_frame_that_promises_gigabytes_closes_the_socket_at_once(front: Front) -> None:
    with opened(front) as wire:
        wire.send(b"\x81\xff" + (8 << 30).to_bytes(8, "big") + b"abcd")
        assert closing_code(wire) == 1009


def test_text_that_is_none_closes_the_socket(front: Front) -> None:
    with opened(front) as wire:
        wire.send(frame(b"\xff\xfe"))
        assert closing_code(wire) == 1007


def test_pings_of_somebody_who_reads_nothing_do_not_pile_up(front: Front) -> None:
    pings = frame(b"a" * 120, code=9) * 500
    with opened(front, receive_bytes=2048) as wire:
        wire.socket.settimeout(3)
        sent = 0
        # The kernel's buffers take some; then nobody reads any more.
        while sent < 64 * 1024 * 1024 and wire.send(pings):
            sent += len(pings)

        assert sent < 64 * 1024 * 1024
    with opened(front) as wire:
        wire.send(frame(b"", code=9))
        assert wire.socket.recv(2) == b"\x8a\x00", "others are served"


def test_handshake_that_is_never_finished_holds_nothing(front: Front) -> None:
    with Wire(front.port) as wire:
        wire.send(head("GET", LIVE, "Upgrade: websocket")[:-2])
        started = time.monotonic()
        assert wire.answer().status == 408
        assert time.monotonic() - started < 12
