"""What is printed: cleaned texts, widths, sizes and times."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies

from ssm.cli import text as texts
from ssm.cli.output import Output, age, percent, size, span


@settings(max_examples=80, deadline=None)
@given(told=strategies.text(max_size=200))
def test_text_of_strangers_holds_nothing_that_a_terminal_acts_on(told: str) -> None:
    assert texts.plain(told).isascii() or not any(
        ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in texts.plain(told)
    )
    assert "\x1b" not in texts.log_text(told, colours=False)
    assert "\n" not in texts.plain(told)


@pytest.mark.parametrize(
    ("told", "most", "wanted"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("", 3, ""),
        ("é", 1, "é"),
    ],
)
def test_text_is_cut_by_columns(told: str, most: int, wanted: str) -> None:
    assert texts.cut(told, most) == wanted
    assert texts.width(texts.cut(told, most)) <= most


def test_table_keeps_its_columns_with_wide_letters_and_escapes() -> None:
    out = io.StringIO()
    Output(as_json=False, colours=False, out=out, err=out).table(
        ("NAME", "STATE"), [("日本", "running"), ("a\x1b[2Jb\nc", "exited (1)"), ("x", "")]
    )
    rows = out.getvalue().splitlines()
    assert rows[0].index("STATE") == 14 and rows[1].endswith("running") and texts.width(rows[1]) == 14 + 7
    assert rows[2] == r"a\x1b[2Jb\nc  exited (1)"


def test_table_without_rows_has_its_titles() -> None:
    out = io.StringIO()
    Output(as_json=False, colours=True, out=out, err=out).table(("NAME", "STATE"), [])
    assert "NAME" in out.getvalue()


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (150 * 1024, "150 KiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 40, "3.0 TiB"),
        (None, ""),
    ],
)
def test_sizes_are_told_as_people_say_them(count: int | None, wanted: str) -> None:
    assert size(count) == wanted


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7500, "2h 5m"), (36_000, "10h"), (200_000, "2d")]
)
def test_spans_are_told_in_their_largest_unit(seconds: float, wanted: str) -> None:
    assert span(seconds) == wanted


def test_age_of_what_is_not_known_is_empty() -> None:
    assert age(None) == age("yesterday") == percent(None) == ""
    assert age((datetime.now(UTC) - timedelta(hours=30)).isoformat()) == "1d"
