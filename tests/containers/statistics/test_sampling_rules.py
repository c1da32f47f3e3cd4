"""How often a host is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.sampling import LONGEST_INTERVAL_S, interval_s, slow_host_text


@pytest.mark.parametrize(
    ("took_s", "previous_s", "expected"),
    [
        pytest.param(1, None, None, id="quick"),
        pytest.param(15, None, None, id="just within its share"),
        pytest.param(20, None, 90, id="longer, rounded up"),
        pytest.param(20, 300, 150, id="comes back in steps"),
        pytest.param(1, 90, None, id="quick again"),
        pytest.param(1, 300, 150, id="quick again after very slow"),
        pytest.param(5000, None, LONGEST_INTERVAL_S, id="never longer than an hour"),
    ],
)
def test_interval_follows_what_a_reading_took(took_s, previous_s, expected):
    assert interval_s(60, took_s, 25, previous_s) == expected


@given(st.floats(30, 3600), st.floats(0, 900), st.integers(1, 100), st.none() | st.integers(15, 3600))
def test_interval_keeps_to_the_share_up_to_an_hour(scheduled_s, took_s, share, previous_s):
    interval = interval_s(scheduled_s, took_s, share, previous_s)

    assert (interval or scheduled_s) * share / 100 >= took_s - 0.01 or interval == LONGEST_INTERVAL_S


def test_interval_settles_as_scheduled_once_a_host_is_quick():
    interval: int | None = 3600
    for _ in range(8):
        if interval is not None:
            interval = interval_s(60, 1, 25, interval)

    assert interval is None


def test_slow_host_text_tells_both_intervals():
    assert "every 90 s in place of every 60 s" in slow_host_text(60, 20, 25, 90)
