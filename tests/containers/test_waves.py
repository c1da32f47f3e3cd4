"""The order within compose projects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.waves import DEPENDS_ON, Member, waits_for, waves


def member(service: str, *needed: str, project: str = "shop", place: str = "host-a", key: str = "") -> Member:
    return Member(key or f"{place}/{project}/{service}", place, project, service, frozenset(needed))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", set()),
        ("db:service_started:false", {"db"}),
        ("db:service_healthy:true,cache:service_started:false", {"db", "cache"}),
        (" db , ,:x:y,", {"db"}),
    ],
    ids=["none", "one", "two", "blanks"],
)
def test_waits_for_reads_compose_label(text: str, names: set[str]) -> None:
    assert waits_for({DEPENDS_ON: text}) == names


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("start", {"db": 0, "api": 1, "web": 2}), ("stop", {"db": 2, "api": 1, "web": 0})],
    ids=["start: what others wait for first", "stop: turned round"],
)
def test_waves_follow_the_dependencies(kind: str, expected: dict[str, int]) -> None:
    found = waves([member("web", "api"), member("api", "db"), member("db")], kind)

    assert {key.rpartition("/")[2]: wave for key, wave in found.items()} == expected


def test_waves_of_other_devices_and_projects_do_not_mix() -> None:
    found = waves([member("web", "db"), member("db", place="host-b"), member("db", project="blog")], "start")

    assert set(found.values()) == {0}


def test_waves_of_a_circle_are_one() -> None:
    assert set(waves([member("a", "b"), member("b", "a"), member("c")], "start").values()) == {0}


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.frozensets(st.sampled_from("abcdefg"), max_size=4)), min_size=1),
    st.sampled_from(["start", "stop", "restart"]),
)
def test_waves_give_every_member_one_and_replicas_the_same(rows: list[tuple[str, frozenset[str]]], kind: str) -> None:
    members = [Member(str(number), "h", "p", name, needed) for number, (name, needed) in enumerate(rows)]

    found = waves(members, kind)

    assert set(found) == {entry.key for entry in members}
    assert min(found.values()) == 0
    assert all(
        found[one.key] == found[other.key] for one in members for other in members if one.service == other.service
    )
