"""A series in a few numbers."""

from containers.rules.series import Series
from containers.rules.summaries import Measure, summaries

CPU = Measure("cpu_percent", "CPU", "percent")


def test_summary_of_means_takes_the_highest_of_the_peaks():
    series = Series(900, [0, 900, 1800], {"cpu_percent": [1.0, None, 3.0], "cpu_percent_max": [9.0, None, 4.0]})

    (summary,) = summaries(series, [CPU], 2000)

    assert (summary.last, summary.low, summary.mean, summary.high) == (3.0, 1.0, 2.0, 9.0)


def test_summary_of_nothing_is_not_available():
    for series in (Series(60, [0], {"cpu_percent": [None]}), Series(60, [], {})):
        (summary,) = summaries(series, [CPU], 30)
        assert (summary.last, summary.low, summary.mean, summary.high) == (None, None, None, None)


def test_summary_has_no_latest_figure_when_another_was_told_after_it():
    series = Series(60, [0, 60], {"cpu_percent": [1.0, None], "pids": [2.0, 2.0]})

    (summary,) = summaries(series, [CPU], 70)

    assert (summary.last, summary.mean) == (None, 1.0)


def test_summary_has_no_latest_figure_long_after_the_last():
    series = Series(60, [0, 60], {"cpu_percent": [1.0, 2.0]})

    assert summaries(series, [CPU], 200)[0].last == 2.0
    assert summaries(series, [CPU], 300)[0].last is None
