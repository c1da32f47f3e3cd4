"""Resuming a log: nothing lost, nothing twice, whatever the timestamps look like."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.logframes import NO_RECORDS, Records, record_stamps
from containers.rules.logresume import (
    MARGIN_NS,
    EdgeFinder,
    Resumer,
    edge_of,
    engine_time,
    resume_point,
    stamp_ns,
)

BASE_NS = 1_795_500_000_000_000_000


def stamp(ns: int, *, seconds_only: bool = False) -> bytes:
    seconds, rest = divmod(ns, 1_000_000_000)
    text = f"2026-11-24T{(seconds // 3600) % 24:02d}:{(seconds // 60) % 60:02d}:{seconds % 60:02d}"
    return (text + ("Z" if seconds_only else f".{rest:09d}Z")).encode()


def log_of(gaps: list[int], *, seconds_only: bool = False) -> list[bytes]:
    """A log file's records whose times differ by ``gaps`` (ns, may be negative or zero)."""
    times = itertools.accumulate(gaps, initial=BASE_NS)
    return [b"o%s line %d" % (stamp(time, seconds_only=seconds_only), n) for n, time in enumerate(times)]


def records_of(lines: list[bytes]) -> Records:
    return Records(len(lines), b"".join(line + b"\n" for line in lines)) if lines else NO_RECORDS


def stamps_of(lines: list[bytes]) -> list[bytes]:
    return record_stamps(records_of(lines).data)


def resumer_of(lines: list[bytes]) -> Resumer:
    point = resume_point(lines)
    assert point is not None
    return Resumer(point)


def engine_since(log: list[bytes], since_ns: int) -> list[bytes]:
    """What the Engine sends: each line is judged by its own time, the order is the file's."""
    return [line for line in log if (stamp_ns(stamps_of([line])[0]) or 0) >= since_ns]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2026-11-24T06:23:29.573322154Z", 1795501409573322154),
        (b"2026-11-24T06:23:29Z", 1795501409000000000),
        (b"2026-11-24T07:23:29.5+01:00", 1795501409500000000),
        (b"1970-01-01T00:00:00.000000001Z", 1),
        (b"", None),
        (b"yesterday", None),
        (b"2026-13-24T06:23:29Z", None),
    ],
    ids=["docker", "podman", "zone", "epoch", "empty", "word", "no such month"],
)
def test_stamp_ns_reads_what_engines_write(text, expected):
    assert stamp_ns(text) == expected


def test_engine_time_keeps_nanoseconds():
    assert engine_time(1795501409000000001) == "1795501409.000000001"


gap_lists = st.lists(
    st.sampled_from((0, 0, 1, 900, 40_000, -1, -5_000, 30_000_000, 700_000_000, 2_000_000_000)), max_size=40
)


@given(gap_lists, st.integers(0, 40), st.integers(0, 40), st.booleans(), st.integers(1, 60))
def test_resume_of_any_log_loses_and_doubles_nothing(gaps, seen_count, chunk, seconds_only, ring):
    log = log_of(gaps, seconds_only=seconds_only)
    seen = log[: min(seen_count, len(log))]
    point = resume_point(seen[-ring:])

    if point is None:
        assert not seen
        return
    resumer = Resumer(point)
    stream = engine_since(log, point.since_ns)
    cuts = [stream[:chunk], stream[chunk:]]
    new = [line for part in cuts for line in resumer.filter(records_of(part)).data.split(b"\n")[:-1]]

    assert new == log[len(seen) :]
    assert resumer.matched


def test_resume_after_rotation_says_that_lines_may_be_missing_and_doubles_nothing():
    log = log_of([2 * MARGIN_NS] + [1000] * 20)
    resumer = resumer_of(log[:15])

    new = resumer.filter(records_of(log[10:]))

    assert resumer.matched is False
    assert new == records_of(log[15:])


def test_resume_with_few_known_lines_leaves_out_older_ones_that_come_first():
    log = log_of([1000] * 50)
    resumer = resumer_of(log[20:30])

    new = resumer.filter(records_of(log))

    assert resumer.matched is True
    assert new == records_of(log[30:])


def test_resume_with_few_known_lines_that_are_gone_goes_on_after_a_second():
    log = log_of([1000] * 20 + [2 * MARGIN_NS] + [1000] * 5)
    resumer = resumer_of(log[5:10])

    new = resumer.filter(records_of(log[8:]))

    assert resumer.matched is False
    assert new == records_of(log[21:])


def test_resume_when_all_known_lines_are_gone_gives_everything():
    log = log_of([1000] * 5 + [2 * MARGIN_NS] + [1000] * 5)
    resumer = resumer_of(log[:3])

    new = resumer.filter(records_of(log[8:]))

    assert resumer.matched is False
    assert new == records_of(log[8:])
    assert resumer.is_done


def test_resume_point_without_stamps_is_none():
    assert resume_point([]) is None
    assert resume_point([b"o no stamp"]) is None


@given(gap_lists, st.integers(0, 40), st.integers(1, 12), st.integers(1, 5))
def test_edge_finder_gives_exactly_what_precedes_the_held_lines(gaps, held_from, count, chunk):
    log = log_of(gaps)
    held_from = min(held_from, len(log) - 1)
    edge = [edge_of(line) for line in log[held_from : held_from + 16]]
    finder = EdgeFinder(edge, count, 1 << 20)

    for start in range(0, len(log), chunk):
        if finder.feed(records_of(log[start : start + chunk])):
            break

    expected = log[max(0, held_from - count) : held_from]
    assert finder.is_found
    assert finder.records() == expected


def test_edge_finder_without_the_edge_gives_nothing():
    log = log_of([1000] * 10)
    finder = EdgeFinder([edge_of(line) for line in log[6:8]], 3, 1 << 20)

    finder.feed(records_of(log[:6] + log[8:]))

    assert not finder.is_found
    assert finder.records() == []


def test_edge_finder_holds_no_more_than_its_size():
    log = [line + b"x" * 1000 for line in log_of([1000] * 500)]
    finder = EdgeFinder([edge_of(line) for line in log[490:]], 400, 20_000)

    finder.feed(records_of(log))

    assert finder.is_found
    assert finder.is_cut
    assert len(finder.records()) <= 20
    assert finder.records()[-1] == log[489]
