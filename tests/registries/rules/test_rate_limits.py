"""Quota headers and waiting times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.rate_limits import (
    LONGEST_WAIT_S,
    SHORTEST_WAIT_S,
    is_low,
    parse_amount,
    unknown_wait_seconds,
    wait_seconds,
)

NOW = 1_772_366_400.0  # 2026-03-01 12:00:00 UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100;w=21600", (100, 21600)),
        (" 20 ; w = 3600 ", (20, 3600)),
        ("5", (5, None)),
        ("0;w=1", (0, 1)),
        ("100;w=21600;comment=x", (100, 21600)),
        ("100, 100;w=60", (100, None)),
        ("", None),
        ("-1", None),
        ("many", None),
        ("9" * 40, None),
    ],
)
def test_amount_is_read_with_its_window(text: str, expected: tuple[int, int | None] | None) -> None:
    assert parse_amount(text) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "30"}, 30),
        ({"retry-after": "0.0005"}, SHORTEST_WAIT_S),
        ({"retry-after": "0"}, SHORTEST_WAIT_S),
        ({"retry-after": "999999999"}, LONGEST_WAIT_S),
        ({"retry-after": "Sun, 01 Mar 2026 12:05:00 GMT"}, 300),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, SHORTEST_WAIT_S),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 99 Mar 2026 11:00:00 GMT"}, None),
        ({"x-retry-after": str(int(NOW) + 90)}, 90),
        ({"x-retry-after": "90"}, 90),
        ({"x-retry-after": "soon"}, None),
    ],
)
def test_waiting_time_is_read_in_every_form(headers: dict[str, str], expected: float | None) -> None:
    assert wait_seconds(headers, NOW) == expected


@given(st.text(max_size=40))
def test_waiting_time_of_any_text_is_bounded(text: str) -> None:
    for name in ("retry-after", "x-retry-after"):
        wait = wait_seconds({name: text}, NOW)
        assert wait is None or SHORTEST_WAIT_S <= wait <= LONGEST_WAIT_S


def test_unknown_waits_grow_to_an_hour() -> None:
    assert [unknown_wait_seconds(count) for count in (0, 1, 2, 3, 4, 99)] == [60, 60, 300, 900, 3600, 3600]


@pytest.mark.parametrize(
    ("limit", "remaining", "expected"),
    [(100, 10, False), (100, 9, True), (200, 20, False), (200, 19, True), (10, 2, False), (10, 1, True), (1, 1, False)],
)
def test_quota_is_low_below_a_tenth_or_ten(limit: int, remaining: int, expected: bool) -> None:
    assert is_low(limit, remaining) is expected
