"""Restart loops: when events make one, when it is over, and what is stored of it."""

from datetime import UTC, datetime, timedelta

import pytest

from containers import tasks
from containers.events.loops import end_loops, note_loop
from containers.models import Container, Event
from containers.rules.loops import WINDOW_NS, Loop, Told, find_loop
from devices.models import now
from tests.factories import ContainerFactory, EventFactory

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def told(text: str) -> list[Told]:
    """``10 die, 12 start``: seconds after START and words."""
    pairs = [entry.split() for entry in text.split(",") if entry.strip()]
    return [Told(word, START + round(float(seconds) * SECOND)) for seconds, word in pairs]


def found(text: str, at_s: float | None = None) -> tuple[float, float, int] | None:
    events = told(text)
    now_ns = events[-1].time_ns if at_s is None else START + round(at_s * SECOND)
    loop = find_loop(events, now_ns)
    return None if loop is None else ((loop.since_ns - START) / SECOND, (loop.last_ns - START) / SECOND, loop.ends)


@pytest.mark.parametrize(
    ("text", "at_s", "loop"),
    [
        ("0 die, 1 start, 2 die, 3 start", None, None),
        ("0 die, 1 start, 2 die, 3 start, 4 die", None, (0, 4, 3)),
        ("0 die, 1 start, 2 die, 3 start, 4 die, 5 start, 6 die", None, (0, 6, 4)),
        ("0 die, 1 start, 200 die, 201 start, 400 die", None, None),
        ("0 die, 1 start, 200 die, 201 start, 290 die", None, (0, 290, 3)),
        ("0 kill, 1 die, 2 start, 3 kill, 4 die, 5 start, 6 kill, 7 die", None, None),
        ("0 die, 1 start, 2 die, 3 start, 4 kill, 5 die", None, None),
        ("0 kill, 1 die, 2 start, 3 die, 4 start, 5 die, 6 start, 7 die", None, (3, 7, 3)),
        ("0 die, 1 start, 2 die, 3 start, 4 die, 5 kill, 6 stop", None, None),
        ("0 die, 1 start, 2 die, 3 start, 4 die, 5 start", 303, (0, 4, 3)),
        ("0 die, 1 start, 2 die, 3 start, 4 die, 5 start", 306, None),
        ("0 die, 1 start, 2 die, 3 start, 4 die, 5 start, 200 die, 201 start, 450 die", None, (0, 450, 5)),
        ("0 die, 1 start, 2 die, 3 start, 4 die, 5 start, 400 die", None, None),
        ("0 die, 1 start, 2 die, 3 start, 4 die, 5 destroy", None, None),
        # A signal that the program lives on with does not excuse what it dies of much later.
        ("0 kill, 700 die, 701 start, 702 die, 703 start, 704 die", None, (700, 704, 3)),
    ],
)
def test_find_loop(text: str, at_s: float | None, loop: tuple[float, float, int] | None) -> None:
    assert found(text, at_s) == loop


def test_find_loop_without_events_is_none() -> None:
    assert find_loop([], START) is None
    assert Loop(1, 2, 3).ends == 3


# ---- stored


def ended(container: Container, *seconds_ago: float, received: timedelta = timedelta(0)) -> int:
    """Ends of the container so long ago; the time of the last one."""
    last = 0
    for ago in seconds_ago:
        moment = datetime.now(UTC) - timedelta(seconds=ago)
        last = round(moment.timestamp() * SECOND)
        EventFactory(
            container=container, action="die", time=moment, time_ns=last, received_at=moment - received, severity=3
        )
    return last


@pytest.mark.django_db
def test_note_loop_third_end_is_a_loop_and_further_ones_are_counted() -> None:
    container = ContainerFactory()
    for ago in (30, 20):
        note_loop(container.device, str(container.pk), container.engine_id, ended(container, ago))
    before = Container.objects.get(pk=container.pk)
    for ago in (10, 5):
        note_loop(container.device, str(container.pk), container.engine_id, ended(container, ago))

    after = Container.objects.get(pk=container.pk)
    assert before.looping_since is None
    assert after.looping_since is not None
    assert abs((datetime.now(UTC) - after.looping_since).total_seconds() - 30) < 5
    assert after.loop_ends == 4
    assert list(Container.objects.needing_action()) == [container]


@pytest.mark.django_db
def test_note_loop_stopped_by_somebody_is_over() -> None:
    container = ContainerFactory(looping_since=now(), loop_ends=7)
    last = ended(container, 9, 8, 7)
    EventFactory(container=container, action="stop", time_ns=last + SECOND)

    note_loop(container.device, str(container.pk), container.engine_id, last + SECOND)

    row = Container.objects.get(pk=container.pk)
    assert (row.looping_since, row.loop_ends) == (None, 0)


@pytest.mark.django_db
def test_note_loop_of_a_predecessor_is_not_the_successors() -> None:
    container = ContainerFactory()
    last = ended(container, 9, 8, 7)
    Event.objects.update(actor_id="another")

    note_loop(container.device, str(container.pk), container.engine_id, last)

    assert Container.objects.get(pk=container.pk).looping_since is None


@pytest.mark.django_db
def test_end_loops_ends_those_that_stay_up() -> None:
    long_ago = WINDOW_NS / SECOND + 20
    quiet, loud, gone = (ContainerFactory(looping_since=now(), loop_ends=3) for _number in range(3))
    ended(quiet, long_ago)
    ended(loud, 20)
    ended(gone, 20)
    Container.objects.filter(pk=gone.pk).update(removed_at=now())

    tasks.end_loops()

    assert set(Container.objects.filter(looping_since__isnull=False)) == {loud}
    assert end_loops() == 0
