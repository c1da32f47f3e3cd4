"""Several events of one thing are one mark, and what a person would say of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.marks import KINDS, Happening, Mark, marks_of, thinned


def told(*events: tuple[float, str] | tuple[float, str, dict[str, str]]) -> list[tuple[float, str, str]]:
    """Marks of one container's events, as tuples."""
    happenings = [Happening(event[0], event[1], "c1", "web", event[2] if len(event) == 3 else {}) for event in events]
    return [(mark.time, mark.kind, mark.text) for mark in marks_of(happenings)]


OLD, NEW = {"image": "demo/web:1"}, {"image": "demo/web:2"}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([(1, "create"), (2, "start")], [(2, "start", "Started")], id="first start"),
        pytest.param([(5, "die", {"exitCode": "0"})], [(5, "stop", "Stopped (exit code 0)")], id="ended well"),
        pytest.param([(5, "die", {"exitCode": "143"})], [(5, "stop", "Stopped (exit code 143)")], id="asked to end"),
        pytest.param([(5, "die", {"exitCode": "3"})], [(5, "fail", "Failed (exit code 3)")], id="failed"),
        pytest.param([(5, "die", {"exitCode": "137"})], [(5, "fail", "Killed (exit code 137)")], id="killed"),
        pytest.param([(5, "die")], [(5, "stop", "Stopped")], id="without a code"),
        pytest.param(
            [(4, "kill"), (5, "die", {"exitCode": "0"}), (5, "stop"), (6, "start"), (6, "restart")],
            [(6, "restart", "Restarted")],
            id="restart is one",
        ),
        pytest.param(
            [(5, "die", {"exitCode": "1"}), (6, "start")],
            [(5, "fail", "Failed (exit code 1), started again")],
            id="restarted by its policy",
        ),
        pytest.param(
            [(5, "oom"), (6, "die", {"exitCode": "137"}), (7, "start")],
            [(5, "oom", "Killed, out of memory (exit code 137), started again")],
            id="out of memory",
        ),
        pytest.param(
            [(5, "oom"), (60, "die", {"exitCode": "0"})],
            [(5, "oom", "Out of memory"), (60, "stop", "Stopped (exit code 0)")],
            id="out of memory, ended long after",
        ),
        pytest.param(
            [(5, "die", {"exitCode": "0"}), (500, "start")],
            [(5, "stop", "Stopped (exit code 0)"), (500, "start", "Started")],
            id="started long after",
        ),
        pytest.param(
            [(5, "die", {"exitCode": "0", **OLD}), (6, "create", NEW), (7, "start", NEW)],
            [(7, "update", "Updated: demo/web:1 → demo/web:2")],
            id="updated",
        ),
        pytest.param(
            [(5, "die", {"exitCode": "1", **OLD}), (6, "create", NEW), (7, "start", NEW)],
            [(5, "fail", "Failed (exit code 1)"), (7, "update", "Updated: demo/web:1 → demo/web:2")],
            id="updated after it failed",
        ),
        pytest.param(
            [(5, "die", {"exitCode": "0", **OLD}), (6, "create", OLD), (7, "start", OLD)],
            [(7, "update", "Recreated")],
            id="recreated",
        ),
        pytest.param(
            [(1, "health_status: unhealthy"), (2, "health_status: unhealthy"), (3, "health_status: healthy")],
            [(1, "health", "Unhealthy"), (3, "health", "Healthy again")],
            id="health of docker",
        ),
        pytest.param([(1, "health_status: healthy")], [], id="healthy from the start"),
        pytest.param(
            [(1, "health_status", {"health_status": "unhealthy"})], [(1, "health", "Unhealthy")], id="health of podman"
        ),
        pytest.param(
            [(1, "pause"), (2, "unpause"), (3, "update")],
            [(1, "other", "Paused"), (2, "other", "Resumed"), (3, "other", "Limits changed")],
            id="others",
        ),
        pytest.param([(1, "rename"), (2, "destroy"), (3, "attach")], [], id="no news"),
    ],
)
def test_marks_of_events_say_what_happened(events, expected):
    assert told(*events) == expected


def test_marks_of_several_containers_name_each_and_never_mix():
    happenings = [
        Happening(1, "die", "c1", "web", {"exitCode": "0"}),
        Happening(2, "die", "c2", "db", {"exitCode": "1"}),
        Happening(3, "start", "c1", "web"),
        Happening(4, "start", "c2", "db"),
    ]

    marks = marks_of(happenings, named=True)

    assert [mark.text for mark in marks] == ["web: Restarted", "db: Failed (exit code 1), started again"]


def test_marks_near_each_other_become_the_worst_with_all_texts():
    marks = [
        Mark(10, "start", "Started"),
        Mark(11, "fail", "Failed (exit code 1)"),
        Mark(12, "fail", "Failed (exit code 1)"),
        Mark(13, "other", "a"),
        Mark(13, "other", "b"),
        Mark(30, "stop", "Stopped"),
    ]

    first, second = thinned(marks, 10)

    assert first == Mark(11, "fail", "Failed (exit code 1) (2 times); Started; a; 1 more")
    assert second == Mark(30, "stop", "Stopped")


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e9),
            st.sampled_from(["create", "start", "die", "oom", "health_status: unhealthy", "pause", "x"]),
            st.sampled_from(["c1", "c2"]),
            st.dictionaries(st.sampled_from(["exitCode", "image"]), st.text(max_size=500)),
        )
    ),
    st.floats(1, 1e6),
)
def test_marks_of_anything_are_bounded_and_known(events, distance):
    happenings = [Happening(time, action, who, who, facts) for time, action, who, facts in sorted(events, key=str)]

    marks = marks_of(happenings, named=True)

    assert all(mark.kind in KINDS and len(mark.text) <= 200 for mark in marks)
    assert len(marks) <= len(events)
    apart = thinned(marks, distance)
    assert len(apart) <= len(marks)
