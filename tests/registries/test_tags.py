"""Tags as versions: what they hold, and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.tags import Version, change_between, is_compact_date, parse_version


def version_of(text: str) -> Version:
    version = parse_version(text)
    assert version is not None
    return version


WORDS = [
    "latest",
    "latest-arm64",
    "pg16",
    "jdk17",
    "9f8e7d6c",
    "main-9f8e7d6c",
    "g9f8e7d6c",
    "bookworm",
    "b4719",
    "v",
    "",
    "x" * 300,
    "lts-alpine",
    "-",
    "é",
]


@pytest.mark.parametrize("text", WORDS)
def test_parse_version_word_is_none(text: str) -> None:
    assert parse_version(text) is None


@pytest.mark.parametrize(
    ("text", "prefix", "numbers"),
    [
        ("1.2.3", "", "1 2 3"),
        ("v1.2.3", "v", "1 2 3"),
        ("Version-1.2", "version-", "1 2"),
        ("linux-amd64-2.9.3", "linux-amd64-", "2 9 3"),
        ("linux-arm32v7-2.9.3-alpine", "linux-arm32v7-", "2 9 3"),
        ("7-alpine3.18", "", "7"),
        ("alpine3.20", "alpine", "3 20"),
        ("php8.3-fpm", "php", "8 3"),
        ("server-b4719", "server-b", "4719"),
        ("33acdda4-ls73", "33acdda4-ls", "73"),
        ("RELEASE.2024-01-16T16-07-38Z", "release.", "2024 01 16 16 07 38"),
        ("2024-02-27-alpine", "", "2024 02 27"),
        ("2025-13-05", "", "2025"),
        ("bookworm-20240211-slim", "bookworm-", "20240211"),
        ("1.43.3.10896-cb3ebc72d", "", "1 43 3 10896"),
        ("8u402-b06-jdk", "", "8"),
        ("99999999999999999999999.1", "", "99999999999999999999999 1"),
    ],
)
def test_parse_version_number_and_prefix(text: str, prefix: str, numbers: str) -> None:
    version = parse_version(text)

    assert version is not None
    assert (version.prefix, " ".join(version.numbers)) == (prefix, numbers)


@pytest.mark.parametrize(
    ("text", "prerelease"),
    [
        ("1.2.3-rc.1", "rc.1"),
        ("1.2.3-RC1-alpine", "RC1"),
        ("3.13.0a6", "a6"),
        ("0.5.0b3.dev101-ls250", "b3.dev101"),
        ("3.0.0-M1", "M1"),
        ("1.0-nightly", "nightly"),
        ("8.0.0-preview.2.23128.3", "preview.2.23128.3"),
        ("8u402-b06-jdk", ""),
        ("1.2.3-alpine", ""),
        ("1.1.1w", ""),
    ],
)
def test_parse_version_prerelease_text(text: str, prerelease: str) -> None:
    version = parse_version(text)

    assert version is not None
    assert version.prerelease == prerelease


ORDERED = [
    ["1.9", "1.10", "2.0", "10.0"],
    ["2.0.0-dev", "2.0.0-alpha1", "2.0.0-alpha2", "2.0.0-beta", "2.0.0-pre", "2.0.0-rc2", "2.0.0-rc10", "2.0.0"],
    ["1.0b3.dev1", "1.0b3", "1.0"],
    ["1.0-ls9", "1.0-ls10", "1.1-ls1"],
    ["1.0-r1-ls5", "1.0-r2-ls1"],
    ["2024-02-27", "2024-03-01", "2025-01-01"],
    ["18.4", "18.10", "20.04"],
    ["4.0.9.2244", "4.0.15.2941", "4.0.15.2942"],
    ["1.2.3-20240101", "1.2.3-20240102"],
]


@pytest.mark.parametrize("tags", ORDERED, ids=[tags[0] for tags in ORDERED])
def test_key_sorts_oldest_first(tags: list[str]) -> None:
    versions = [version_of(tag) for tag in reversed(tags)]

    assert [v.text for v in sorted(versions, key=lambda v: v.key())] == tags


@pytest.mark.parametrize(("one", "other"), [("18.04", "18.4"), ("v1.2", "1.2"), ("1.0-7b368146", "1.0-9c368146")])
def test_key_of_other_spelling_is_equal(one: str, other: str) -> None:
    assert version_of(one).key() == version_of(other).key()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1.0-alpine", "2.0-Alpine", True),
        ("1.0-alpine", "2.0_alpine", False),
        ("1.0-alpine3.18", "2.0-alpine3.19", False),
        ("1.0-debian-12-r3", "2.0-debian-12-r9", True),
        ("1.0-debian-12-r3", "2.0-debian-11-r3", False),
        ("1.0-7b368146", "1.1-12345678", True),
        ("1.0-12345678", "1.1-7b368146", True),
        ("1.0-99", "1.1-7b368146", False),
        ("1.0-r1", "1.1-ls1", False),
        ("1.0-rc1-alpine", "1.0-alpine", True),
    ],
)
def test_shape_table(one: str, other: str, same: bool) -> None:
    assert version_of(one).has_shape_of(version_of(other)) is same


@pytest.mark.parametrize(
    ("current", "newer", "change"),
    [
        ("1.2.3", "2.0.0", "major"),
        ("14", "17", "major"),
        ("1.2.3", "1.3.0", "minor"),
        ("1.2.3", "1.2.4", "patch"),
        ("1.2.3.4", "1.2.3.5", "revision"),
        ("1.2.3-r1", "1.2.3-r2", "revision"),
        ("1.2.3-rc1", "1.2.3", "prerelease"),
        ("1.2.3-rc1", "1.2.3-rc2", "prerelease"),
        ("1.2.3-rc1", "1.3.0-rc1", "minor"),
        ("2024-01-01", "2025-01-01", "unknown"),
        ("20240101", "20250101", "unknown"),
        ("abc-ls5", "abc-ls6", "revision"),
    ],
)
def test_change_between_table(current: str, newer: str, change: str) -> None:
    assert change_between(version_of(current), version_of(newer)) == change


@pytest.mark.parametrize(
    ("digits", "is_date"),
    [
        ("20240227", True),
        ("20240230", False),
        ("2024022715", True),
        ("20240227153000", True),
        ("202402271", False),
        ("18991231", False),
    ],
)
def test_compact_date_table(digits: str, is_date: bool) -> None:
    assert is_compact_date(digits) is is_date


WORDS_AND_NUMBERS = (
    "1 2 10 04 0 v - . _ + rc beta a b alpine debian ls r 7b368146 12345678 20240227 2024-02-27 amd64 pg14 dev x T Z"
)
PIECES = st.sampled_from(WORDS_AND_NUMBERS.split())
TAGS = st.one_of(st.lists(PIECES, max_size=9).map("".join), st.text(max_size=40))


@given(TAGS)
def test_parse_version_anything_is_a_version_or_none(text: str) -> None:
    version = parse_version(text)

    assert version is None or (version.numbers and version.text == text and version.key() == version.key())


@given(TAGS, TAGS, TAGS)
def test_key_is_a_total_order(one: str, two: str, three: str) -> None:
    keys = [version.key() for version in map(parse_version, (one, two, three)) if version]

    for a in keys:
        for b in keys:
            assert (a < b) + (a == b) + (a > b) == 1
            for c in keys:
                assert not (a < b and b < c) or a < c


@given(TAGS, TAGS)
def test_shape_is_symmetric(one: str, two: str) -> None:
    first, second = parse_version(one), parse_version(two)

    if first and second:
        assert first.has_shape_of(second) == second.has_shape_of(first)
        assert first.has_shape_of(first)
