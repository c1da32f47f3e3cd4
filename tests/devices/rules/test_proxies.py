"""What is said to proxies and what their answers mean."""

import pytest

from devices.rules.proxies import (
    ProxyError,
    connect_reply,
    connect_request,
    socks_login,
    socks_method,
    socks_reply,
    socks_request,
)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.0.0.1", b"\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x16"),
        ("::1", b"\x05\x01\x00\x04" + b"\x00" * 15 + b"\x01\x00\x16"),
        ("web", b"\x05\x01\x00\x03\x03web\x00\x16"),
    ],
)
def test_socks_request_leaves_names_to_the_proxy(host: str, expected: bytes) -> None:
    assert socks_request(host, 22) == expected


@pytest.mark.parametrize(
    ("head", "more"),
    [(b"\x05\x00\x00\x01\x7f", 5), (b"\x05\x00\x00\x03\x09", 11), (b"\x05\x00\x00\x04\x00", 17)],
)
def test_socks_reply_tells_how_much_more_comes(head: bytes, more: int) -> None:
    assert socks_reply(head) == more


@pytest.mark.parametrize(
    "head", [b"\x05\x02\x00\x01\x00", b"\x05\x63\x00\x01\x00", b"\x05\x00\x00\x09\x00", b"\x04\x00\x00\x01\x00"]
)
def test_socks_reply_that_refuses_is_an_error(head: bytes) -> None:
    with pytest.raises(ProxyError):
        socks_reply(head)


@pytest.mark.parametrize("answer", [b"\x05\xff", b"HT", b"\x05\x01"])
def test_socks_method_that_we_do_not_know_is_an_error(answer: bytes) -> None:
    with pytest.raises(ProxyError):
        socks_method(answer)


@pytest.mark.parametrize(("username", "password"), [("", "x"), ("u" * 256, "x"), ("u", "x" * 256)])
def test_socks_login_beyond_the_protocol_is_refused(username: str, password: str) -> None:
    with pytest.raises(ProxyError):
        socks_login(username, password)


def test_connect_request_holds_address_and_login() -> None:
    request = connect_request("2001:db8::1", 22, "me", "pässwort\r\nX: y")

    assert request.startswith(b"CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n")
    assert request.count(b"\r\n") == 4
    assert request.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 204\r\n\r\n"])
def test_connect_reply_that_opens_the_way_passes(head: bytes) -> None:
    connect_reply(head)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"HTTP/1.1 407 Proxy\r\n\r\n", "user name"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
        (b"SSH-2.0-x\r\n\r\n", "not an HTTP proxy"),
        (b"HTTP/2 200\r\n\r\n", "not an HTTP proxy"),
    ],
)
def test_connect_reply_that_refuses_is_an_error(head: bytes, words: str) -> None:
    with pytest.raises(ProxyError, match=words):
        connect_reply(head)
