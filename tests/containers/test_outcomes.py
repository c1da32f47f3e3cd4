"""Whether an act took place, for every kind and every pair of looks that differ in what matters."""

import pytest

from containers.rules.inspection import container_facts
from containers.rules.outcomes import Standing, already_so, took_place

T1, T2, T3 = "2026-01-01T00:00:01+00:00", "2026-01-01T00:00:02+00:00", "2026-01-01T00:00:03+00:00"
CREATED = Standing("created", "", "")
RUNNING = Standing("running", T1, "")
PAUSED = Standing("paused", T1, "")
EXITED = Standing("exited", T1, T2)
AGAIN = Standing("running", T3, T2)
ENDED_AGAIN = Standing("exited", T3, T3)
LOOPING = Standing("restarting", T1, T2)
DEAD = Standing("dead", T1, T2)
GONE = None


@pytest.mark.parametrize(
    ("kind", "now", "expected"),
    [
        ("start", RUNNING, True),
        ("start", PAUSED, False),
        ("start", EXITED, False),
        ("start", CREATED, False),
        ("stop", RUNNING, False),
        ("stop", PAUSED, False),
        ("stop", LOOPING, False),
        ("stop", EXITED, True),
        ("stop", CREATED, True),
        ("stop", DEAD, True),
        ("restart", RUNNING, False),
        ("restart", EXITED, False),
        ("pause", PAUSED, True),
        ("pause", RUNNING, False),
        ("pause", EXITED, False),
        ("unpause", RUNNING, True),
        ("unpause", PAUSED, False),
        ("unpause", EXITED, False),
        ("kill", EXITED, False),
        ("kill", RUNNING, False),
        ("remove", EXITED, False),
        ("remove", GONE, True),
        ("start", GONE, False),
        ("stop", GONE, False),
        ("kill", GONE, False),
        ("unheard of", RUNNING, False),
    ],
)
def test_already_so_table(kind: str, now: Standing | None, expected: bool) -> None:
    assert already_so(kind, now) is expected


@pytest.mark.parametrize(
    ("kind", "before", "now", "expected"),
    [
        ("start", EXITED, RUNNING, True),
        ("start", EXITED, EXITED, False),
        ("start", CREATED, ENDED_AGAIN, True),
        ("start", EXITED, ENDED_AGAIN, True),
        ("stop", RUNNING, EXITED, True),
        ("stop", RUNNING, RUNNING, False),
        ("stop", RUNNING, AGAIN, True),
        ("restart", RUNNING, RUNNING, False),
        ("restart", RUNNING, AGAIN, True),
        ("restart", RUNNING, EXITED, False),
        ("restart", EXITED, AGAIN, True),
        ("restart", EXITED, EXITED, False),
        ("pause", RUNNING, PAUSED, True),
        ("pause", RUNNING, RUNNING, False),
        ("unpause", PAUSED, RUNNING, True),
        ("unpause", PAUSED, PAUSED, False),
        ("unpause", PAUSED, EXITED, False),
        ("kill", RUNNING, EXITED, True),
        ("kill", RUNNING, AGAIN, True),
        ("kill", RUNNING, RUNNING, False),
        ("remove", EXITED, GONE, True),
        ("remove", EXITED, EXITED, False),
        ("stop", RUNNING, GONE, False),
        ("restart", RUNNING, GONE, False),
        # Nobody had looked before: only what can be seen now counts.
        ("start", None, RUNNING, True),
        ("stop", None, EXITED, True),
        ("restart", None, RUNNING, False),
        ("kill", None, EXITED, False),
        ("remove", None, GONE, True),
    ],
)
def test_took_place_table(kind: str, before: Standing | None, now: Standing | None, expected: bool) -> None:
    assert took_place(kind, before, now) is expected


@pytest.mark.parametrize("standing", [CREATED, RUNNING, EXITED])
def test_standing_stored_and_read_is_the_same(standing: Standing) -> None:
    assert Standing.from_json(standing.as_json()) == standing


def test_standing_nothing_stored_is_none() -> None:
    assert Standing.from_json({}) is None


def test_standing_of_facts_takes_state_and_times() -> None:
    state = {"Status": "exited", "StartedAt": "2026-01-01T00:00:01Z", "FinishedAt": "2026-01-01T00:00:02Z"}

    assert Standing.of(container_facts({"State": state})) == EXITED
