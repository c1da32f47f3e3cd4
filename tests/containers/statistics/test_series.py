"""Moments → points of a chart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.series import (
    MOST_POINTS,
    merge,
    plain_series,
    roll_up,
    rolled_columns,
    rolled_series,
    step_for,
    totals,
)
from containers.rules.statistics import Usage

COLUMNS = ("cpu_percent", "pids")


def test_rolled_columns_add_a_peak_where_it_matters():
    assert rolled_columns(COLUMNS) == ("cpu_percent", "pids", "cpu_percent_max")


def test_roll_up_gives_means_and_peaks_of_what_is_known():
    assert roll_up([[10.0, 1.0], [None, 3.0], [30.0, None]], COLUMNS) == [20.0, 2.0, 30.0]


def test_roll_up_of_what_is_unknown_is_not_available():
    assert roll_up([[None, 1.0]], COLUMNS) == [None, 1.0, None]


def test_merge_of_rolled_rows_keeps_their_peaks():
    assert merge([[10.0, 1.0, 99.0], [30.0, 1.0, 40.0], [None, None, None]], COLUMNS) == [20.0, 1.0, 99.0]


def test_plain_series_keeps_each_moment_and_marks_what_is_missing():
    points = [(0.0, [1.0, 2.0]), (60.0, [2.0, 2.0]), (120.0, None), (181.0, [3.0, 2.0]), (600.0, [4.0, 2.0])]

    series = plain_series(points, COLUMNS)

    assert series.times == [0, 60, 120, 181, 241, 600]
    assert series.columns["cpu_percent"] == [1.0, 2.0, None, 3.0, None, 4.0]
    assert series.columns["cpu_percent_max"] == series.columns["cpu_percent"]
    assert series.step_s == 60


def test_plain_series_of_nothing_has_all_columns():
    assert plain_series([], COLUMNS).columns == {"cpu_percent": [], "pids": [], "cpu_percent_max": []}


def test_rolled_series_has_a_point_for_each_step_and_gaps():
    series = rolled_series([(5.0, [10.0, 1.0]), (25.0, [20.0, 1.0]), (125.0, [5.0, 1.0])], COLUMNS, 0, 180, 60)

    assert series.times == [0, 60, 120, 180]
    assert series.columns["cpu_percent"] == [15.0, None, 5.0, None]
    assert series.columns["cpu_percent_max"] == [20.0, None, 5.0, None]


@given(st.floats(0, 400 * 86400), st.sampled_from([60, 300, 420, 900, 1800, 3600]))
def test_step_for_any_span_is_a_multiple_and_keeps_the_points_few(span_s, least_s):
    step = step_for(span_s, least_s)

    assert step % least_s == 0
    assert span_s / step <= MOST_POINTS


@pytest.mark.parametrize(("days", "step_s"), [(1, 900), (7, 900), (30, 1800), (90, 7200)])
def test_step_for_the_spans_of_charts_is_round(days, step_s):
    assert step_for(days * 86400, 900) == step_s


def test_totals_are_sums_of_what_is_known():
    sums = totals([Usage(cpu_percent=1.0, memory_bytes=10), Usage(cpu_percent=2.0)])

    assert sums == [3.0, 10, None, None, None, None, None, 2]


def test_totals_without_containers_are_not_available():
    assert totals([]) == [None] * 7 + [0]
