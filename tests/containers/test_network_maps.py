"""Where containers meet, drawn; which ports they take, and who is in whose way."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.network_map import BOX, MOST_CONTAINERS, ROW, MapContainer, MapNetwork, draw
from containers.rules.ports import Claimant, conflicts_of, port_uses, used_ports


def network(key: str, **changes: Any) -> MapNetwork:
    return MapNetwork(**{"key": key, "name": key, "url": f"/networks/{key}/", **changes})


def container(key: str, *networks: str) -> MapContainer:
    return MapContainer(key, key, f"/containers/{key}/", "good", dict.fromkeys(networks, "10.1.2.3"))


def test_draw_joins_each_container_to_each_of_its_networks() -> None:
    drawing = draw([network("a"), network("b")], [container("x", "a"), container("y", "a", "b"), container("z")])

    assert [(group.box.name, len(group.lines)) for group in drawing.groups] == [("a", 2), ("b", 1)]
    assert [box.name for box in drawing.containers] == ["x", "y"], "who is on none of them is not drawn"
    assert drawing.groups[1].lines[0].title == "y on b as 10.1.2.3"
    assert drawing.groups[0].box.title == "a: 2 containers"


def test_draw_puts_containers_beside_their_networks() -> None:
    drawing = draw(
        [network("a"), network("b"), network("c")], [container("1", "c"), container("2", "a"), container("3", "b")]
    )

    assert [box.name for box in drawing.containers] == ["2", "3", "1"]


def test_draw_nothing_is_a_small_empty_picture() -> None:
    drawing = draw([], [container("x")])

    assert (drawing.groups, drawing.containers, drawing.left_out) == ((), (), 0)


def test_draw_of_many_leaves_the_rest_to_the_table() -> None:
    drawing = draw([network("a")], [container(f"c{number:03}", "a") for number in range(MOST_CONTAINERS + 7)])

    assert (len(drawing.containers), drawing.left_out) == (MOST_CONTAINERS, 7)
    assert drawing.groups[0].box.title == f"a: {MOST_CONTAINERS + 7} containers"


@given(st.lists(st.sets(st.sampled_from("abcde")), max_size=30), st.integers(0, 5))
def test_draw_boxes_of_a_column_never_overlap_and_stay_inside(places: list[set[str]], count: int) -> None:
    networks = [network(key) for key in "abcde"[:count]]

    drawing = draw(networks, [container(f"c{number}", *keys) for number, keys in enumerate(places)])

    for column in ([group.box.y for group in drawing.groups], [box.y for box in drawing.containers]):
        assert all(lower - upper >= BOX for upper, lower in itertools.pairwise(column))
        assert all(0 <= y <= drawing.height - BOX for y in column)
    assert drawing.height >= max(len(networks), len(drawing.containers)) * ROW


# ---- ports


def claim(host_port: int | None, host_ip: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "container_port": 80,
        "protocol": "tcp",
        "host_ip": host_ip,
        "host_port": host_port,
        "host_range": "",
        **changes,
    }


def runs(key: str, *ports: dict[str, Any]) -> Claimant:
    return Claimant(key, key, is_running=True, ports=ports)


def stopped(key: str, *claims: dict[str, Any]) -> Claimant:
    return Claimant(key, key, is_running=False, claims=claims)


def test_port_uses_of_a_running_one_are_what_it_has_of_both_protocols_once() -> None:
    container = Claimant("w", "w", is_running=True, ports=(claim(80, "0.0.0.0"), claim(80, "::"), claim(None)))

    assert [(use.text, use.is_bound) for use in port_uses(container)] == [("80", True)]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (claim(8080), "8080"),
        (claim(8080, "127.0.0.1"), "127.0.0.1:8080"),
        (claim(8080, "[::1]"), "[::1]:8080"),
        (claim(53, protocol="udp"), "53/udp"),
        (claim(None), "any"),
        (claim(None, host_range="8000-8010"), "8000-8010"),
    ],
)
def test_port_use_is_written_as_people_write_it(entry: dict[str, Any], text: str) -> None:
    assert [use.text for use in port_uses(stopped("w", entry))] == [text]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (claim(80), claim(80), True),
        (claim(80), claim(80, "127.0.0.1"), True),
        (claim(80, "10.0.0.1"), claim(80, "127.0.0.1"), False),
        (claim(80), claim(81), False),
        (claim(80), claim(80, protocol="udp"), False),
        (claim(None), claim(None), False),
    ],
)
def test_conflicts_of_what_cannot_be_had_at_once(one: dict[str, Any], other: dict[str, Any], clash: bool) -> None:
    assert bool(conflicts_of([one], [stopped("b", other)])) is clash
    assert bool(conflicts_of([other], [runs("b", one)])) is (clash and one["host_port"] is not None)


def test_used_ports_tell_who_has_it_and_who_is_blocked() -> None:
    found = used_ports(
        [stopped("late", claim(80)), runs("first", claim(80)), runs("alone", claim(22)), stopped("any", claim(None))]
    )

    assert [(item.use.name, [rival.name for rival in item.rivals], item.is_blocked) for item in found] == [
        ("alone", [], False),
        ("first", ["late"], False),
        ("late", ["first"], True),
        ("any", [], False),
    ]


def test_used_ports_of_a_thousand_containers_take_no_time_squared() -> None:
    found = used_ports([stopped(f"c{number}", claim(number % 900 + 1)) for number in range(3000)])

    assert len(found) == 3000
    assert all(len(item.rivals) in (2, 3) for item in found)
