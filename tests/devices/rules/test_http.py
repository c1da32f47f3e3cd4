"""HTTP answers cut at each byte, and hostile ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.rules.http import ChunkedDecoder, HeadReader, HttpError, parse_head

HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"


def chunked(pieces: list[bytes], *, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n" + trailer + b"\r\n"


@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_chunked_body_split_anywhere_is_decoded(pieces: list[bytes], data: st.DataObject) -> None:
    encoded = chunked(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=6)))
    decoder = ChunkedDecoder()

    decoded = b"".join(decoder.feed(encoded[a:b]) for a, b in zip([0, *cuts], [*cuts, len(encoded)], strict=True))

    assert decoded == b"".join(pieces)
    assert decoder.is_done
    assert decoder.rest == b""


def test_chunked_body_split_at_each_byte_is_decoded() -> None:
    encoded = chunked([b"first line\n", b"x" * 5000, b"\r\n0\r\n\r\n"], trailer=b"Etag: 1\r\n")

    for cut in range(len(encoded) + 1):
        decoder = ChunkedDecoder()
        assert (
            decoder.feed(encoded[:cut]) + decoder.feed(encoded[cut:])
            == b"first line\n" + b"x" * 5000 + b"\r\n0\r\n\r\n"
        )
        assert decoder.is_done


def test_chunked_body_fed_byte_by_byte_is_decoded() -> None:
    decoder = ChunkedDecoder()

    decoded = b"".join(decoder.feed(bytes([byte])) for byte in chunked([b"ab", b"c" * 300]))

    assert decoded == b"ab" + b"c" * 300
    assert decoder.is_done


def test_chunked_body_with_bytes_behind_its_end_keeps_them_apart() -> None:
    decoder = ChunkedDecoder()

    assert decoder.feed(chunked([b"body"]) + b"HTTP/1.1 200 OK") == b"body"
    assert decoder.rest == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "size", [b"00a", b"A", b"a;name=value", b"0000000000a"], ids=["zeros", "upper", "extension", "long"]
)
def test_chunk_size_in_unusual_form_is_read(size: bytes) -> None:
    assert ChunkedDecoder().feed(size + b"\r\n0123456789\r\n0\r\n\r\n") == b"0123456789"


@pytest.mark.parametrize(
    "hostile",
    [
        b"xyz\r\n",
        b"-1\r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b"1_0\r\n",
        b"5\n",
        b"\r\n",
        b"f" * 16 + b"\r\n",
        b"2\r\nabcd\r\n",
        b"1" * 2000,
    ],
    ids=[
        "letters",
        "negative",
        "plus",
        "0x",
        "underscore",
        "bare-newline",
        "empty",
        "huge",
        "too-much-data",
        "endless-line",
    ],
)
def test_chunk_that_is_malformed_is_refused(hostile: bytes) -> None:
    with pytest.raises(HttpError):
        ChunkedDecoder().feed(hostile)


def test_trailers_without_end_are_refused() -> None:
    decoder = ChunkedDecoder()
    decoder.feed(b"0\r\n")

    with pytest.raises(HttpError):
        for _ in range(1000):
            decoder.feed(b"a: " + b"b" * 90 + b"\r\n")


def test_head_split_at_each_byte_is_read() -> None:
    whole = HEAD + b"\r\n\r\n5\r\nhello"

    for cut in range(len(whole) + 1):
        reader = HeadReader()
        first = reader.feed(whole[:cut])
        head, rest = first or reader.feed(whole[cut:]) or pytest.fail("no head")
        assert (head.status, head.is_chunked, head.headers["api-version"]) == (200, True, "1.45")
        assert rest + (whole[cut:] if first else b"") == b"5\r\nhello"


def test_head_after_interim_answer_is_the_final_one() -> None:
    done = HeadReader().feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")

    assert done is not None
    assert done[0].status == 204
    assert not done[0].has_body


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02", b"<html>", b"http/1.1 200 OK\r\n", b"GET / HTTP/1.1\r\n"],
    ids=["ssh", "binary", "html", "lower-case", "request"],
)
def test_head_of_another_protocol_is_refused_at_once(garbage: bytes) -> None:
    with pytest.raises(HttpError):
        HeadReader().feed(garbage)


def test_head_without_end_is_refused() -> None:
    reader = HeadReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n")

    with pytest.raises(HttpError):
        for _ in range(2000):
            reader.feed(b"X-Filler: " + b"y" * 60 + b"\r\n")


@pytest.mark.parametrize(
    "block",
    [
        b"HTTP/1.1 999 Odd",
        b"HTTP/2 200",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\nbad name: x",
        b"HTTP/1.1 200 OK\r\n folded: x",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nX: a\nInjected: b",
    ],
)
def test_head_that_is_malformed_is_refused(block: bytes) -> None:
    with pytest.raises(HttpError):
        parse_head(block)


@pytest.mark.parametrize(
    ("block", "keeps"),
    [
        (HEAD, True),
        (b"HTTP/1.1 204 No Content", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive", True),
        (b"HTTP/1.1 200 OK", False),
        (b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade", False),
    ],
    ids=["chunked", "no-content", "close", "http-1.0", "http-1.0-keep", "until-end", "upgrade"],
)
def test_head_tells_whether_the_connection_may_be_kept(block: bytes, *, keeps: bool) -> None:
    assert parse_head(block).keeps_alive is keeps
