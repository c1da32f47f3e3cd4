"""Docker's log formats: frames, TTY streams, long lines, hostile bytes, any chunking."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.logframes import (
    FrameDecoder,
    LogDecoder,
    LogFormatError,
    LogStreamError,
    RawDecoder,
    record_stamps,
)

T1 = b"2026-11-24T10:42:03.000000001Z "
T2 = b"2026-11-24T10:42:03.000000002Z "
OUT, ERR, SYSTEM = 1, 2, 3


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxI", kind, len(payload)) + payload


def decode(decoder: LogDecoder, *chunks: bytes) -> tuple[int, bytes]:
    """Feed all chunks and finish: number of records, and the records."""
    fed = [decoder.feed(chunk) for chunk in chunks]
    fed.append(decoder.finish())
    return sum(records.count for records in fed), b"".join(records.data for records in fed)


def text_of(data: bytes) -> list[bytes]:
    return [record.partition(b" ")[2] for record in data.split(b"\n")[:-1]]


FRAME_CASES = {
    "one line": ([(OUT, T1 + b"hello\n")], b"o" + T1 + b"hello\n"),
    "both streams": ([(OUT, T1 + b"a\n"), (ERR, T2 + b"b\n")], b"o" + T1 + b"a\ne" + T2 + b"b\n"),
    "empty line": ([(OUT, T1 + b"\n")], b"o" + T1 + b"\n"),
    "last line without newline": ([(OUT, T1 + b"end")], b"o" + T1 + b"end\n"),
    "carriage return": ([(OUT, T1 + b"dos\r\n")], b"o" + T1 + b"dos\n"),
    "partial messages of one line": (
        [(OUT, T1 + b"abc"), (OUT, T1 + b"def"), (OUT, T1 + b"ghi\n")],
        b"o" + T1 + b"abcdefghi\n",
    ),
    "partial messages of two streams do not mix": (
        [(OUT, T1 + b"out "), (ERR, T2 + b"err "), (OUT, T1 + b"more\n"), (ERR, T2 + b"rest\n")],
        b"o" + T1 + b"out more\ne" + T2 + b"err rest\n",
    ),
    "line cut off by the end of its process": (
        [(OUT, T1 + b"dying"), (OUT, T2 + b"restarted\n")],
        b"o" + T1 + b"dying\no" + T2 + b"restarted\n",
    ),
    "message of several lines": ([(OUT, T1 + b"a\nb\n\n")], b"o" + T1 + b"a\no" + T1 + b"b\no" + T1 + b"\n"),
    "empty frame": ([(OUT, b""), (OUT, T1 + b"x\n")], b"o" + T1 + b"x\n"),
    "length byte that is a newline": (
        [(OUT, T1[:9] + b"\n"), (OUT, T1 + b"x\n")],
        b"o" + T1[:9] + b"\no" + T1 + b"x\n",
    ),
    "stdin counts as stdout": ([(0, T1 + b"x\n")], b"o" + T1 + b"x\n"),
    "binary": ([(ERR, T1 + b"\xff\x00\xc3(\x1b[31m\n")], b"e" + T1 + b"\xff\x00\xc3(\x1b[31m\n"),
}


@pytest.mark.parametrize(("frames", "expected"), FRAME_CASES.values(), ids=FRAME_CASES.keys())
def test_frames_known_stream_gives_records(frames, expected):
    stream = b"".join(frame(*each) for each in frames)

    count, data = decode(FrameDecoder(), stream)

    assert data == expected
    assert count == expected.count(b"\n")


@pytest.mark.parametrize(("frames", "expected"), FRAME_CASES.values(), ids=FRAME_CASES.keys())
def test_frames_split_at_each_byte_gives_same_records(frames, expected):
    stream = b"".join(frame(*each) for each in frames)

    for cut in range(len(stream) + 1):
        assert decode(FrameDecoder(), stream[:cut], stream[cut:])[1] == expected, cut
    assert decode(FrameDecoder(), *(stream[i : i + 1] for i in range(len(stream))))[1] == expected


def test_frames_line_longer_than_limit_is_split_with_a_mark():
    stream = frame(OUT, T1 + b"a" * 100 + b"\n") + frame(OUT, T2 + b"next\n")

    _, data = decode(FrameDecoder(limit=48), stream)

    assert data == b"".join(
        (b"O" + T1 + b"a" * 48 + b"\n", b"O" + T1 + b"a" * 48 + b"\n", b"o" + T1 + b"aaaa\n", b"o" + T2 + b"next\n")
    )


def test_frames_of_a_megabyte_line_hold_no_more_than_the_limit():
    decoder = FrameDecoder()
    chunk = frame(OUT, T1 + b"x" * 16384)

    sizes = [len(record) for _ in range(64) for record in decoder.feed(chunk).data.split(b"\n")]
    held = sum(opened.size for opened in decoder._open.values())

    assert max(sizes) <= 256 * 1024 + 64
    assert held <= 256 * 1024


def test_frames_announcing_four_gigabytes_are_used_as_they_come():
    decoder = FrameDecoder()
    decoder.feed(struct.pack(">BxxxI", OUT, 0xFFFFFFFF) + T1)

    for _ in range(50):
        decoder.feed(b"y" * 65536)

    assert sum(opened.size for opened in decoder._open.values()) <= 256 * 1024
    assert len(decoder._rest) < 64


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 500 oops", b"\x01\x00\x01\x00\x00\x00\x00\x01x", b"\x04\0\0\0\0\0\0\x01x"]
)
def test_frames_bad_header_raises_and_keeps_what_came_before(garbage):
    decoder = FrameDecoder()

    with pytest.raises(LogFormatError, match=garbage[:2].hex(" ")):
        decoder.feed(frame(OUT, T1 + b"good\n") + garbage)

    assert decoder.finish().data == b"o" + T1 + b"good\n"


def test_frames_engine_error_inside_stream_raises_its_sentence():
    stream = frame(OUT, T1 + b"good\n") + frame(SYSTEM, b"error grabbing logs: invalid character\n")
    decoder = FrameDecoder()

    decoder.feed(stream[:-10])
    with pytest.raises(LogStreamError, match="error grabbing logs: invalid character"):
        decoder.feed(stream[-10:])


texts = st.binary(max_size=80).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b""))


@st.composite
def chunked(draw, stream: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    whole = draw(stream)
    cuts = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    edges = [0, *cuts, len(whole)]
    return whole, [whole[a:b] for a, b in itertools.pairwise(edges)]


stamps = st.integers(1, 3).map(lambda n: b"2026-11-24T10:42:03.%09dZ " % n)
messages = st.tuples(
    st.sampled_from((OUT, ERR)), stamps, texts, st.sampled_from((b"\n", b"\n", b"", b"\r\n", b"\nq\n"))
)
frame_streams = st.lists(messages.map(lambda m: frame(m[0], m[1] + m[2] + m[3])), max_size=12).map(b"".join)


@given(chunked(frame_streams), st.sampled_from((40, 64, 256 * 1024)))
def test_frames_any_chunking_equals_one_shot(case, limit):
    whole, chunks = case

    assert decode(FrameDecoder(limit=limit), *chunks) == decode(FrameDecoder(limit=limit), whole)


@given(st.lists(st.tuples(st.sampled_from((OUT, ERR)), texts), max_size=30))
def test_frames_whole_lines_come_back_unchanged_in_order(lines):
    stream = b"".join(frame(kind, T1 + text + b"\n") for kind, text in lines)

    count, data = decode(FrameDecoder(), stream)

    assert count == len(lines)
    assert data == b"".join(b"oe"[kind - 1 : kind] + T1 + text + b"\n" for kind, text in lines)


@given(st.binary(max_size=200))
def test_frames_random_bytes_raise_only_documented_errors(noise):
    try:
        count, data = decode(FrameDecoder(), noise)
    except (LogFormatError, LogStreamError):
        return
    assert count == data.count(b"\n")


RAW_CASES = {
    "terminal line": (T1 + b"hello\r\n", b"o" + T1 + b"hello\n"),
    "two lines": (T1 + b"a\r\n" + T2 + b"b\r\n", b"o" + T1 + b"a\no" + T2 + b"b\n"),
    "prompt without newline": (T1 + b"login: ", b"o" + T1 + b"login: \n"),
    "progress bar": (T1 + b"10%\r20%\r\n", b"o" + T1 + b"10%\r20%\n"),
    "frame-like text": (b"\x01\0\0\0\0\0\0\x05hello\r\n", b"o \x01\0\0\0\0\0\0\x05hello\n"),
    "stamps at message borders": (T1 + b"abcd" + T1 + b"efgh" + T1 + b"ij\r\n", b"o" + T1 + b"abcdefghij\n"),
    "stamp-like text elsewhere": (T1 + b"ab" + T1 + b"\r\n", b"o" + T1 + b"ab" + T1 + b"\n"),
}


@pytest.mark.parametrize(("stream", "expected"), RAW_CASES.values(), ids=RAW_CASES.keys())
def test_raw_known_stream_split_at_each_byte_gives_records(stream, expected):
    for cut in range(len(stream) + 1):
        assert decode(RawDecoder(message_bytes=4), stream[:cut], stream[cut:])[1] == expected, cut
    assert decode(RawDecoder(message_bytes=4), *(stream[i : i + 1] for i in range(len(stream))))[1] == expected


def test_raw_endless_line_is_split_and_memory_bounded():
    decoder = RawDecoder()
    line = (T1 + b"z" * 16384) * 100 + b"\r\n"

    fed = [decoder.feed(line[i : i + 1000]) for i in range(0, len(line), 1000)]
    records = b"".join(each.data for each in fed).split(b"\n")[:-1]

    assert all(len(record) <= 256 * 1024 + 64 for record in records)
    assert b"".join(text_of(b"\n".join(records) + b"\n")) == b"z" * 16384 * 100
    assert [record[:1] for record in records] == [b"O"] * (len(records) - 1) + [b"o"]


raw_lines = st.tuples(stamps, texts, st.sampled_from((b"\r\n", b"\n"))).map(b"".join)
raw_streams = st.lists(raw_lines | texts.map(lambda text: text + b"\n"), max_size=12).map(b"".join)


@given(chunked(raw_streams), st.sampled_from((10, 40, 64, 256 * 1024)), st.sampled_from((4, 16, 16384)))
def test_raw_any_chunking_equals_one_shot(case, limit, message_bytes):
    whole, chunks = case

    got = decode(RawDecoder(limit=limit, message_bytes=message_bytes), *chunks)

    assert got == decode(RawDecoder(limit=limit, message_bytes=message_bytes), whole)
    assert got[0] == got[1].count(b"\n")


def test_record_stamps_gives_one_for_each_record():
    assert record_stamps(b"o" + T1 + b"a b\ne" + T2 + b"\no no stamp\n") == [T1[:-1], T2[:-1], b""]
