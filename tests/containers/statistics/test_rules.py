"""What the Engine answers → figures, equal to the docker CLI's."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.statistics import (
    Reading,
    Usage,
    parse_reading,
    reading_from_list,
    usage_between,
    with_block_counters,
)
from tests.containers.statistics.answers import PODMAN, STOPPED, V1, V2, changed

READ_AT = 1795516944.302887584


def test_parse_reading_of_version_1_gives_every_figure():
    assert parse_reading(V1) == Reading(
        read_at=pytest.approx(READ_AT, abs=1e-6),
        cpu_ns=515382936,
        system_ns=33465290000000,
        online_cpus=2,
        memory_bytes=495616 - 4096,
        memory_limit_bytes=25276510208,
        received_bytes=2604,
        sent_bytes=1126,
        read_bytes=5096,
        written_bytes=8192,
        pids=2,
    )


def test_parse_reading_of_version_2_gives_every_figure():
    assert parse_reading(V2) == Reading(
        read_at=pytest.approx(READ_AT, abs=1e-6),
        cpu_ns=100,
        system_ns=2000,
        online_cpus=4,
        memory_bytes=6537216 - 1048576,
        memory_limit_bytes=67108864,
        received_bytes=5,
        sent_bytes=6,
        read_bytes=4096,
        written_bytes=8192,
        pids=3,
    )


def test_parse_reading_of_podman_does_not_take_busy_time_for_time():
    reading = parse_reading(PODMAN)

    assert reading.system_ns is None
    assert (reading.cpu_ns, reading.online_cpus, reading.memory_bytes) == (1058882432, 2, 389120)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        pytest.param(changed(V1, "pids_stats", {}), "pids", id="no count of processes"),
        pytest.param(changed(V1, "networks", None), "received_bytes", id="the host's network"),
        pytest.param(changed(V1, "networks", {}), "sent_bytes", id="no network"),
        pytest.param(changed(V1, "memory_stats", {}), "memory_bytes", id="no memory controller"),
        pytest.param(changed(V1, "memory_stats.limit", 9223372036854771712), "memory_limit_bytes", id="no limit"),
        pytest.param(changed(V1, "blkio_stats.io_service_bytes_recursive", []), "read_bytes", id="no block I/O"),
        pytest.param(changed(V1, "blkio_stats.io_service_bytes_recursive", None), "written_bytes", id="null block I/O"),
        pytest.param(changed(V1, "cpu_stats.cpu_usage", {}), "cpu_ns", id="no CPU"),
        pytest.param(changed(V1, "cpu_stats.cpu_usage.total_usage", -1), "cpu_ns", id="negative"),
        pytest.param(changed(V1, "cpu_stats.cpu_usage.total_usage", 2**64), "cpu_ns", id="beyond a counter"),
        pytest.param(changed(V1, "cpu_stats.cpu_usage.total_usage", True), "cpu_ns", id="a boolean"),
        pytest.param(changed(V1, "cpu_stats.system_cpu_usage", "12"), "system_ns", id="a text"),
    ],
)
def test_parse_reading_without_a_figure_is_none_and_not_zero(answer, name):
    reading = parse_reading(answer)

    assert getattr(reading, name) is None
    assert reading.read_at is not None


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        pytest.param({"total_inactive_file": 400, "inactive_file": 1}, 600, id="version 1"),
        pytest.param({"inactive_file": 400}, 600, id="version 2"),
        pytest.param({"total_inactive_file": 1000, "inactive_file": 100}, 900, id="version 1 with more cache than use"),
        pytest.param({"inactive_file": 1000}, 1000, id="version 2 with as much cache as use"),
        pytest.param({}, 1000, id="not told"),
        pytest.param(None, 1000, id="null"),
    ],
)
def test_parse_reading_takes_the_cache_off_as_the_docker_cli_does(stats, expected):
    answer = changed(V1, "memory_stats", {"usage": 1000, "stats": stats, "limit": 5000})

    assert parse_reading(answer).memory_bytes == expected


def test_parse_reading_without_online_cpus_counts_the_list():
    assert parse_reading(changed(V1, "cpu_stats.online_cpus", 0)).online_cpus == 2


@pytest.mark.parametrize("answer", [STOPPED, None, [], "x", {}, {"read": "soon"}, {"read": "9" * 5000}])
def test_parse_reading_of_what_does_not_run_is_empty(answer):
    assert parse_reading(answer).is_empty
    assert parse_reading(answer) == Reading()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T10:42:24Z", 1795516944.0),
        ("2026-11-24T10:42:24.5Z", 1795516944.5),
        ("2026-11-24T12:42:24.250+02:00", 1795516944.25),
        ("2026-11-24T10:42:24", None),
    ],
)
def test_parse_reading_reads_the_engines_clock(text, expected):
    assert parse_reading(changed(V1, "read", text)).read_at == expected


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_paths = st.sampled_from(
    [
        *("read", "pids_stats", "blkio_stats", "cpu_stats", "memory_stats", "networks", "networks.eth0"),
        *("cpu_stats.cpu_usage", "cpu_stats.online_cpus", "memory_stats.stats"),
        "blkio_stats.io_service_bytes_recursive",
    ]
)


@given(_paths, _anything)
def test_parse_reading_of_hostile_answers_gives_counters_or_none(path, value):
    reading = parse_reading(changed(V1, path, value))

    for name in ("cpu_ns", "system_ns", "memory_bytes", "memory_limit_bytes", "received_bytes", "read_bytes", "pids"):
        figure = getattr(reading, name)
        assert figure is None or (isinstance(figure, int) and figure >= 0)


@given(st.builds(Reading, read_at=st.none() | st.floats(0, 4e9), cpu_ns=st.none() | st.integers(0, 2**64)))
def test_reading_as_list_comes_back_the_same(reading):
    assert reading_from_list(reading.as_list()) == reading


@pytest.mark.parametrize("values", [None, [], {}, [1] * 10, ["1"] * 11, [-1] + [None] * 10])
def test_reading_from_list_of_something_else_is_none(values):
    assert reading_from_list(values) is None


BEFORE: Any = parse_reading(V1)
AFTER = replace(
    BEFORE,
    read_at=BEFORE.read_at + 10,
    cpu_ns=BEFORE.cpu_ns + 5_000_000_000,
    system_ns=BEFORE.system_ns + 20_000_000_000,
    received_bytes=BEFORE.received_bytes + 1000,
    sent_bytes=BEFORE.sent_bytes,
    read_bytes=BEFORE.read_bytes + 40960,
    memory_bytes=1_000_000,
    pids=7,
)


def test_usage_between_two_readings_is_the_docker_clis():
    assert usage_between(BEFORE, AFTER) == Usage(
        cpu_percent=pytest.approx(50.0),
        memory_bytes=1_000_000,
        memory_limit_bytes=25276510208,
        network_received_bytes_per_s=pytest.approx(100.0),
        network_sent_bytes_per_s=0.0,
        block_read_bytes_per_s=pytest.approx(4096.0),
        block_written_bytes_per_s=0.0,
        pids=7,
    )


def test_usage_without_an_earlier_reading_has_gauges_alone():
    usage = usage_between(None, AFTER)

    assert usage == Usage(memory_bytes=1_000_000, memory_limit_bytes=25276510208, pids=7)


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("cpu_ns", "cpu_percent"),
        ("system_ns", "cpu_percent"),
        ("received_bytes", "network_received_bytes_per_s"),
        ("sent_bytes", "network_sent_bytes_per_s"),
        ("read_bytes", "block_read_bytes_per_s"),
        ("written_bytes", "block_written_bytes_per_s"),
    ],
)
def test_usage_of_a_counter_that_went_back_is_none(name, figure):
    usage = usage_between(BEFORE, replace(AFTER, **{name: getattr(BEFORE, name) - 1}))

    assert getattr(usage, figure) is None


@pytest.mark.parametrize("elapsed_s", [0, -5, 601])
def test_usage_over_no_time_or_too_long_a_time_has_no_rates(elapsed_s):
    usage = usage_between(BEFORE, replace(AFTER, read_at=BEFORE.read_at + elapsed_s))

    assert usage == Usage(memory_bytes=1_000_000, memory_limit_bytes=25276510208, pids=7)


def test_usage_over_a_long_time_that_was_asked_for_has_rates():
    after = replace(AFTER, read_at=BEFORE.read_at + 86400)

    assert usage_between(BEFORE, after, longest_s=90000).network_received_bytes_per_s == pytest.approx(1000 / 86400)


def test_usage_of_podman_is_by_the_clock():
    before: Any = parse_reading(PODMAN)
    after = replace(before, read_at=before.read_at + 2, cpu_ns=before.cpu_ns + 1_000_000_000)

    assert usage_between(before, after).cpu_percent == pytest.approx(50.0)


_readings = st.builds(
    Reading,
    read_at=st.none() | st.floats(1e9, 3e9),
    **{
        name: st.none() | st.integers(0, 2**64 - 1)
        for name in ("cpu_ns", "system_ns", "memory_bytes", "received_bytes", "sent_bytes", "read_bytes", "pids")
    },
    online_cpus=st.none() | st.integers(1, 4096),
)


@given(_readings, _readings)
def test_usage_is_never_negative(before, after):
    usage = usage_between(before, after)

    for name in ("cpu_percent", "network_received_bytes_per_s", "network_sent_bytes_per_s", "block_read_bytes_per_s"):
        figure = getattr(usage, name)
        assert figure is None or figure >= 0


def test_memory_percent_is_of_the_limit_and_none_without_one():
    assert Usage(memory_bytes=50, memory_limit_bytes=200).memory_percent == 25
    assert Usage(memory_bytes=50).memory_percent is None
    assert Usage(memory_limit_bytes=200).memory_percent is None


def test_block_counters_are_zero_where_the_host_counts_and_none_where_it_does_not():
    silent = Reading(read_at=1.0, cpu_ns=1)
    counted = Reading(read_at=1.0, cpu_ns=1, read_bytes=5, written_bytes=6)

    assert with_block_counters({"a": silent, "b": silent})["a"].read_bytes is None
    filled = with_block_counters({"a": silent, "b": counted, "c": Reading()})
    assert (filled["a"].read_bytes, filled["a"].written_bytes) == (0, 0)
    assert filled["b"] == counted
    assert filled["c"] == Reading()
