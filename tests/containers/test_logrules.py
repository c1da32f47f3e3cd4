"""Filters, levels and spans of logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.logs.density import MOST_BUCKETS, bucket_step_ns
from containers.rules.logfilter import LineFilterError, read_filter
from containers.rules.loglevels import LEVELS, level_of
from containers.rules.logspans import SpanError, read_moment, read_whole

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("query", "line", "expected"),
    [
        ({}, "anything", True),
        ({"q": "err"}, "An ERROR", True),
        ({"q": "err", "case": "1"}, "An ERROR", False),
        ({"q": "!err"}, "An ERROR", False),
        ({"q": "!"}, "hey!", True),
        ({"exclude": "health"}, "GET /health", False),
        ({"q": "get", "exclude": "health"}, "GET /shop", True),
        ({"q": "^get /s", "pattern": "1"}, "GET /shop", True),
        ({"q": "a.c", "pattern": "0"}, "abc", False),
        ({"q": "err", "exclude": r"code=\d{3}", "pattern": "on"}, "err code=12", True),
    ],
)
def test_filter_keeps_what_is_wanted(query: dict[str, str], line: str, expected: bool) -> None:
    assert read_filter(query).takes(b"o", line.encode()) is expected


def test_filter_by_stream_counts_pieces_of_long_lines_too() -> None:
    wanted = read_filter({"stream": "stderr"})

    assert [wanted.takes(mark, b"x") for mark in (b"o", b"e", b"O", b"E")] == [False, True, False, True]


@pytest.mark.parametrize(
    ("query", "field"),
    [({"q": "(", "pattern": "1"}, "q"), ({"exclude": "x" * 301}, "exclude"), ({"stream": "both"}, "stream")],
)
def test_filter_with_a_mistake_names_the_field(query: dict[str, str], field: str) -> None:
    with pytest.raises(LineFilterError) as caught:
        read_filter(query)
    assert caught.value.field == field


@given(st.text(max_size=60), st.binary(max_size=200))
def test_filter_takes_or_refuses_any_pattern_and_any_line(pattern: str, line: bytes) -> None:
    try:
        wanted = read_filter({"q": pattern, "pattern": "1"})
    except LineFilterError:
        return
    assert wanted.takes(b"o", line) in (True, False)


def test_filter_with_a_hostile_pattern_is_quick() -> None:
    wanted = read_filter({"q": "(a+)+$", "pattern": "1"})

    assert not wanted.takes(b"o", b"a" * 100_000 + b"b")


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('{"level":"error","msg":"x"}', "error"),
        ('{"time":1,"level":30,"msg":"x"}', "info"),
        ("ts=1 level=warn msg=hey", "warning"),
        ("2026-11-24 10:00:00 ERROR something", "error"),
        ("[WARN] disk", "warning"),
        ("E1124 10:42:03.123456 1 main.go:1] boom", "error"),
        ("level=verbose", "debug"),
        ("[debug] x", "debug"),
        ("INFO: started without errors", "info"),
        ("no-error here", "other"),
        ("/var/log/error/x", "other"),
        ("terror", "other"),
        ("\x1b[31mERROR\x1b[0m boom", "error"),
        ("10:00 \x1b[1;33mWARN\x1b[39m disk", "warning"),
        ("", "other"),
    ],
)
def test_level_of_a_line(line: str, level: str) -> None:
    assert LEVELS[level_of(line.encode())] == level


@given(st.binary(max_size=500))
def test_level_of_any_bytes_is_one_of_them(line: bytes) -> None:
    assert 0 <= level_of(line) < len(LEVELS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("15m", 10**18 - 900 * SECOND),
        ("2d", 10**18 - 2 * 86_400 * SECOND),
        ("2026-11-24T10:00:00Z", 1_795_514_400 * SECOND),
        ("2026-11-24T12:00:00 02:00", 1_795_514_400 * SECOND),
    ],
)
def test_moment_is_read_as_people_write_it(text: str, expected: int | None) -> None:
    assert read_moment("since", text, 10**18) == expected


@pytest.mark.parametrize("text", ["soon", "5y", "-5m", "2026-13-01T00:00:00Z"])
def test_moment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SpanError, match=r"^since: "):
        read_moment("since", text, 10**18)


def test_whole_number_is_bounded() -> None:
    assert (read_whole("n", "", 5, 10), read_whole("n", "99", 5, 10)) == (5, 10)
    with pytest.raises(SpanError, match=r"^n: "):
        read_whole("n", "²", 5, 10)


@given(st.integers(1, 400 * 86_400 * SECOND), st.integers(1, MOST_BUCKETS))
def test_bucket_steps_cover_the_span_with_no_more_than_asked_for(span: int, buckets: int) -> None:
    step = bucket_step_ns(span, buckets)

    assert step % SECOND == 0
    assert -(-span // step) <= buckets
