"""The choice of a newer tag: what no list of cases can cover."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers.rules.candidates import Choice, Rules, choose_tag, seen_to_float
from containers.rules.traces import EXAMPLES, Trace, lines_of
from containers.rules.transforms import Transform
from registries.rules.tags import parse_version


def choose(current: str, tags: list[str], rules: Rules | None = None) -> Choice:
    return choose_tag(current, tags, rules or Rules(), Trace())


def test_choice_in_lines_gives_the_best_of_each() -> None:
    choice = choose("1.2.3", ["1.2.9", "1.4.0", "2.0.0", "1.2.3", "1.3.0"])

    assert (choice.update, choice.in_major, choice.in_minor) == ("2.0.0", "1.4.0", "1.2.9")


@pytest.mark.parametrize(
    ("rules", "update", "withheld"),
    [
        (Rules(ignored=frozenset({"2.0.0"})), "1.4.0", "2.0.0"),
        (Rules(stay="major"), "1.4.0", "2.0.0"),
        (Rules(stay="minor"), "1.2.9", "2.0.0"),
        (Rules(stay="minor", ignored=frozenset({"1.2.9"})), "", "2.0.0"),
        (Rules(), "2.0.0", ""),
    ],
)
def test_choice_by_what_users_set(rules: Rules, update: str, withheld: str) -> None:
    choice = choose("1.2.3", ["1.2.9", "1.4.0", "2.0.0", "1.2.3"], rules)

    assert (choice.update, choice.withheld) == (update, withheld)


def test_other_variants_are_counted_and_the_best_is_named() -> None:
    choice = choose("1.27.3", ["1.28.0-alpine", "1.28.0-perl", "v1.29.0", "2.0.0-rc1", "1.26.0-alpine", "1.27.3"])

    assert choice.update == ""
    assert (choice.other_variants, choice.other_best) == (4, "2.0.0-rc1")


@pytest.mark.parametrize(
    ("current", "tags", "update"),
    [
        ("5.1.4", ["20.04.1", "5.2.0"], "5.2.0"),
        ("18.04", ["20.04"], "20.04"),
        ("22.10", ["23.04"], "23.04"),
        ("2024.1.1", ["2024.02.01"], "2024.02.01"),
        ("2.0.0-rc2", ["2.0.0", "2.1.0-rc1"], "2.0.0"),
        ("2.0.0-rc2", ["2.1.0-rc1"], "2.1.0-rc1"),
        ("1.0.0-7b368146", ["1.0.0-12345678", "1.0.0-9c368146"], ""),
        ("1.0.0-12345678", ["1.0.0-7b368146"], ""),
        ("1.2.3", ["sha256-" + "a" * 64, "sha256-" + "b" * 64 + ".sig", "sha-1234567", "1.2.4.sig", "1.2.4.att"], ""),
        ("1.2.3", ["1.2.3"], ""),
    ],
)
def test_choice_table(current: str, tags: list[str], update: str) -> None:
    assert choose(current, tags).update == update


@pytest.mark.parametrize(
    ("include", "reason"),
    [
        ("([", "invalid_include"),
        ("a" * 1025, "invalid_include"),
        ("(?=x)", "invalid_include"),
        ('"^1"', "include_matches_nothing"),
        ("^1\\.", ""),
    ],
)
def test_include_that_is_wrong_never_counts_as_none(include: str, reason: str) -> None:
    choice = choose("1.2.3", ["1.2.4", "1.2.3"], Rules(include=include))

    assert choice.reason == reason
    assert choice.update == ("" if reason else "1.2.4")


def test_exclude_that_is_wrong_is_a_reason() -> None:
    assert choose("1.2.3", ["1.2.4"], Rules(exclude="([")).reason == "invalid_exclude"


def test_include_is_searched_in_linear_time() -> None:
    choice = choose("1.2.3", ["a" * 120 + "!"] * 3, Rules(include="(a*)*b"))

    assert choice.reason == "include_matches_nothing"


@pytest.mark.parametrize(
    ("tag", "tags", "by"),
    [
        ("1.27", ["1.27.3", "1.28"], "1.27.3"),
        ("1.27-alpine", ["1.27.3-alpine"], "1.27.3-alpine"),
        ("1.27", ["1.27.3-alpine", "1.28.0", "1.27.4-rc1"], ""),
        ("1.27", ["1.27"], ""),
    ],
)
def test_seen_to_float_table(tag: str, tags: list[str], by: str) -> None:
    version = parse_version(tag)
    assert version is not None

    assert seen_to_float(version, tags, Transform("")) == by


def test_trace_is_bounded_however_many_tags() -> None:
    trace = Trace()

    choose_tag("1.0.0", [f"1.0.{n}-{'x' * 100}" for n in range(5000)], Rules(), trace)

    assert all(len(step["examples"]) <= EXAMPLES for step in trace.steps)
    assert len("".join(lines_of(trace.steps))) < 20_000


PARTS = st.integers(0, 30).map(str)
VERSIONS = st.builds(
    lambda prefix, numbers, suffix: prefix + ".".join(numbers) + suffix,
    st.sampled_from(["", "v", "release-"]),
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "-alpine", "-rc1", "-rc2", "-r3", "-ls10", "b1", "-7b368146", "-12345678", "-20240227"]),
)
TAGS = st.one_of(VERSIONS, st.text(min_size=1, max_size=20))
RULES = st.builds(
    Rules,
    include=st.sampled_from(["", "^v?\\d", "alpine$", "(["]),
    exclude=st.sampled_from(["", "rc", "(["]),
    transform=st.sampled_from(["", "s/^v//", "^(.*)-r\\d+$ => $1", "[ => x"]),
    stay=st.sampled_from(["", "major", "minor"]),
)


@settings(max_examples=300)
@given(TAGS, st.lists(TAGS, max_size=15), RULES)
def test_choice_is_never_older_or_equal_and_does_not_depend_on_order(
    current: str, tags: list[str], rules: Rules
) -> None:
    choice = choose(current, tags, rules)

    assert choice.update == choose(current, sorted(tags, reverse=True) * 2, rules).update
    if choice.update:
        transform = Transform(rules.transform)
        old = parse_version(transform.apply(current).result)
        new = parse_version(transform.apply(choice.update).result)
        assert old is not None and new is not None
        assert choice.update in tags
        assert new.key(old.commit_places) > old.key(old.commit_places)
        assert len(new.parts) == len(old.parts)
        # The way back is never offered.
        assert choose(choice.update, [current], Rules(transform=rules.transform)).update == ""
    else:
        assert choice.change in ("none", "unknown")
