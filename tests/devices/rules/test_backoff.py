"""Waiting longer after each failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.rules.backoff import delay_s


@pytest.mark.parametrize(("failures", "expected"), [(0, 0), (1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (10_000, 60)])
def test_delay_without_jitter_doubles_up_to_the_longest(failures: int, expected: float) -> None:
    assert delay_s(failures, 0.0) == expected


@given(st.integers(1, 1000), st.floats(0, 1))
def test_delay_with_jitter_is_between_half_and_the_whole(failures: int, jitter: float) -> None:
    assert delay_s(failures, 0.0) / 2 <= delay_s(failures, jitter) <= delay_s(failures, 0.0)
