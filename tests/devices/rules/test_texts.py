"""Text of hosts, made harmless."""

import pytest

from devices.rules.texts import clean_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand tab", "two lines and tab"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\u202eevil\u2066b", "a evil b"),
        (b"bad \xff utf-8", "bad \ufffd utf-8"),
        ("", ""),
    ],
)
def test_text_of_a_host_is_one_printable_line(raw: str | bytes, clean: str) -> None:
    assert clean_text(raw) == clean


def test_text_of_a_host_is_bounded() -> None:
    assert len(clean_text("x" * 10_000_000)) == 500
    assert clean_text("x" * 501).endswith("…")
