"""Cron expressions: what is taken, what is refused with a reason, and when it fires next."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.models import Device
from devices.rules.schedules import ScheduleError, check_schedule, next_run
from devices.work import SWEEP

START = datetime(2026, 2, 27, 10, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 * * * *", ["02-27 11:00", "02-27 12:00", "02-27 13:00"]),
        ("*/20 * * * *", ["02-27 10:40", "02-27 11:00", "02-27 11:20"]),
        ("0 3 * * *", ["02-28 03:00", "03-01 03:00", "03-02 03:00"]),
        ("0 0 1 * *", ["03-01 00:00", "04-01 00:00", "05-01 00:00"]),
        ("30 10 * * *", ["02-28 10:30", "03-01 10:30", "03-02 10:30"]),
        ("0 0 * * mon", ["03-02 00:00", "03-09 00:00", "03-16 00:00"]),
        ("31 10 * * *", ["02-27 10:31", "02-28 10:31", "03-01 10:31"]),
    ],
)
def test_check_schedule_next_three_runs(expression: str, expected: list[str]) -> None:
    runs = check_schedule(expression, START)

    assert [f"{run:%m-%d %H:%M}" for run in runs] == expected
    assert all(run.utcoffset() == timedelta(0) for run in runs)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "x",
        "* * * *",
        "* * * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "*/0 * * * *",
        "-1 * * * *",
        "1-99999999999 * * * *",
        "0 0 31 2 *",
        "@hourly",
        "0 * * * *\n* * * * *",
        "²  * * * *",
        "٣ * * * *",
        "9" * 5000 + " * * * *",
        "\x00 * * * *",
        "\ud800 * * * *",
        "," * 10_000 + " * * * *",
        "*" * 100_000,
    ],
)
def test_check_schedule_wrong_or_never_firing_is_refused_quickly(expression: str) -> None:
    started = time.process_time()

    with pytest.raises(ScheduleError) as caught:
        check_schedule(expression, START)

    assert time.process_time() - started < 1
    assert len(str(caught.value)) < 600
    assert "cron" in str(caught.value) or "never fires" in str(caught.value)


@given(st.text(alphabet="0123456789*/,-LW#? \tabcmonjan²\x00", max_size=40))
@settings(deadline=None)
def test_check_schedule_any_text_gives_three_later_runs_or_a_reason(expression: str) -> None:
    try:
        runs = check_schedule(expression, START)
    except ScheduleError:
        return
    assert START < runs[0] < runs[1] < runs[2]


def test_next_run_spread_is_stable_and_less_than_a_minute() -> None:
    runs = [next_run("0 * * * *", START, spread_key=key) for key in range(200)]

    assert runs == [next_run("0 * * * *", START, spread_key=key) for key in range(200)]
    assert {run - datetime(2026, 2, 27, 11, tzinfo=UTC) for run in runs} == {timedelta(seconds=s) for s in range(60)}


def test_next_run_after_its_own_run_is_the_following_one() -> None:
    first = next_run("*/5 * * * *", START, spread_key=59)

    assert next_run("*/5 * * * *", first, spread_key=59) == first + timedelta(minutes=5)


@pytest.mark.parametrize("expression", ["nonsense", "", "0 0 31 2 *"])
def test_plan_unusable_expression_counts_as_hourly(expression: str) -> None:
    device = Device(name="x", sweep_schedule=expression)

    due = SWEEP.plan(device, START)

    assert timedelta(0) < due - START <= timedelta(hours=1, minutes=1)
