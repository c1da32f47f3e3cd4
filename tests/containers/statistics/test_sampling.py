"""Figures of real containers on real hosts, against what people read there."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from containers.models import Container, ContainerUsage, HostUsage
from containers.rules.statistics import parse_reading, usage_between
from containers.statistics import hosts, partitions
from containers.statistics.asking import ONE_SHOT
from containers.statistics.reading import container_series
from containers.statistics.sampling import read_and_store
from containers.tasks import keep_statistics, sample_device
from devices.connections import Engine, open_engine, pool
from devices.services import connection_target
from tests.containers.stage import MakeStage, Stage, eventually, heard, unique
from tests.containers.statistics.cli import Shown, docker_stats, podman_cpu_percent
from tests.devices.targets import target_of
from tests.factories import DeviceFactory
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost

pytestmark = pytest.mark.django_db(transaction=True)

# A small share of one CPU, which even a busy machine can give; 16 MiB of memory that stay.
LOAD_PERCENT = 5.0
# Of CPU figures of spans that overlap but are not the same, on a machine that does other things meanwhile.
CPU_TOLERANCE = 1.5
ATTEMPTS = 12
LOAD = ["sh", "-c", "dd if=/dev/zero of=/dev/shm/held bs=1M count=16 2>/dev/null; while :; do :; done"]
IDLE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]


@pytest.fixture(autouse=True)
def forget_readings() -> None:
    cache.clear()


def run_load(host: Host) -> tuple[str, str]:
    """A container with a constant load; its id and name."""
    name = unique("load")
    if host.engine == "podman":
        limit, label = ["--cpus", str(LOAD_PERCENT / 100)], ["--label", f"fleet.run={host.label}"]
        words = ["podman", "run", "-d", "--pull", "never", "--name", name, *limit, *label, "demo/clock:1.0.0", *LOAD]
        engine_id = host.exec(words).strip().splitlines()[-1]
    else:
        engine_id = host.run(name, "demo/clock:1.0.0", command=LOAD)
        host.api("POST", f"/containers/{engine_id}/update", {"NanoCpus": int(LOAD_PERCENT * 1e7)})
    eventually(lambda: host.api("GET", f"/containers/{engine_id}/stats?stream=false")["memory_stats"]["usage"] > 2**24)
    return engine_id, name


def usage_of(row: Container) -> ContainerUsage:
    return ContainerUsage.objects.get(container=row)


def read(stage: Stage) -> str:
    return read_and_store(stage.device, stage.engine)


@pytest.mark.parametrize("which", ["20", "26", "28"])
def test_figures_equal_those_of_docker_stats_at_the_same_moment(
    fleet: Fleet, make_stage: MakeStage, which: str
) -> None:
    stage = make_stage(which)
    engine_id, _name = run_load(stage.host)
    stage.sweep()

    usage, shown = _both(stage, engine_id, lambda: docker_stats(fleet, stage.host, engine_id))

    raw = parse_reading(stage.engine.get_json(f"/containers/{engine_id}/stats", ONE_SHOT))
    assert usage.cpu_percent == pytest.approx(shown.cpu_percent, abs=CPU_TOLERANCE)
    # The CLI rounds to four digits; the kernel's own share of it moves by some pages.
    assert usage.memory_bytes == pytest.approx(shown.memory_bytes, rel=0.01)
    assert usage.memory_limit_bytes == pytest.approx(shown.memory_limit_bytes, rel=0.001)
    assert usage.memory_percent == pytest.approx(shown.memory_percent, abs=0.01)
    assert usage.pids == shown.pids
    assert raw.received_bytes == pytest.approx(shown.received_bytes, abs=200)
    assert raw.sent_bytes == pytest.approx(shown.sent_bytes, abs=200)


def test_figures_of_podman_equal_its_own(fleet: Fleet, make_stage: MakeStage) -> None:
    stage = make_stage("podman")
    engine_id, name = run_load(stage.host)
    stage.sweep()

    def look() -> Shown:
        # By the docker CLI's rule podman's answers give a share of the busy time; its own command tells it right.
        shown = docker_stats(fleet, stage.host, engine_id)
        return replace(shown, cpu_percent=podman_cpu_percent(stage.host, name))

    usage, shown = _both(stage, engine_id, look)

    assert usage.cpu_percent == pytest.approx(shown.cpu_percent, abs=CPU_TOLERANCE)
    assert usage.memory_bytes == pytest.approx(shown.memory_bytes, rel=0.02)
    assert usage.pids == shown.pids


def _both(stage: Stage, engine_id: str, look: Callable[[], Shown]) -> tuple[ContainerUsage, Shown]:
    """Our figures and the host's own of the same moment; again, when the machine was too busy to keep the load even."""
    for _attempt in range(ATTEMPTS):
        assert read(stage) == ""
        shown = look()
        assert read(stage) == ""
        usage = usage_of(stage.row(engine_id))
        is_even = abs((usage.cpu_percent or 0) - shown.cpu_percent) <= CPU_TOLERANCE
        if is_even and usage.memory_bytes == pytest.approx(shown.memory_bytes, rel=0.01):
            break
    return usage, shown


def test_figures_are_right_to_a_hair_over_the_engines_own_second(stage: Stage) -> None:
    engine_id, _name = run_load(stage.host)
    # The Engine's slow answer holds two moments: what the CLI computes from them, and what we do.
    answer = stage.engine.get_json(f"/containers/{engine_id}/stats", {"stream": "false"})
    now, before = answer["cpu_stats"], answer["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now["system_cpu_usage"] - before["system_cpu_usage"]
    expected = used / passed * now["online_cpus"] * 100

    earlier = parse_reading({**answer, "cpu_stats": before, "read": answer["preread"]})

    assert usage_between(earlier, parse_reading(answer)).cpu_percent == pytest.approx(expected)


@pytest.mark.parametrize("which", ["20", "26", "28", "podman"])
def test_figures_of_the_host_equal_free_and_df(make_stage: MakeStage, which: str) -> None:
    stage = make_stage(which)
    stage.sweep()
    read(stage)

    read(stage)

    usage = HostUsage.objects.get(device=stage.device)
    memory = stage.host.exec("free -b | sed -n 2p").split()
    meminfo = dict(line.split(":") for line in stage.host.exec("cat /proc/meminfo").splitlines())
    disk = stage.host.exec(["df", "-P", "-k", usage.data_folder]).splitlines()[-1].split()
    assert (usage.source, usage.reason) == ("ssh", "")
    assert usage.memory_total_bytes == int(memory[1])
    # By the kernel's word for it, which this machine's version of free may or may not use; others work here too.
    in_use = (int(meminfo["MemTotal"].split()[0]) - int(meminfo["MemAvailable"].split()[0])) * 1024
    assert usage.memory_used_bytes == pytest.approx(in_use, abs=400 * 2**20)
    assert usage.disk_total_bytes == int(disk[1]) * 1024
    assert usage.disk_used_bytes == pytest.approx(int(disk[2]) * 1024, abs=500 * 2**20)
    assert usage.cpu_percent is not None
    assert 0 <= usage.cpu_percent <= 100
    assert usage.load_1 is not None


def test_paused_container_is_not_asked_and_has_a_gap(stage: Stage) -> None:
    engine_id = stage.host.run(unique("paused"), "demo/clock:1.0.0", command=IDLE)
    stage.sweep()
    read(stage)
    stage.host.api("POST", f"/containers/{engine_id}/pause")
    stage.sweep()
    asked: list[str] = []

    read_and_store(stage.device, _noting(stage.engine, asked))

    assert not [path for path in asked if engine_id in path]
    usage = usage_of(stage.row(engine_id))
    assert (usage.memory_bytes, usage.cpu_percent, usage.recent_memory[-1]) == (None, None, None)
    stage.host.api("POST", f"/containers/{engine_id}/unpause")


def test_restarted_container_gives_no_spike(stage: Stage) -> None:
    engine_id, _name = run_load(stage.host)
    stage.sweep()
    read(stage)
    stage.host.api("POST", f"/containers/{engine_id}/restart?t=0")
    eventually(lambda: stage.host.api("GET", f"/containers/{engine_id}/json")["State"]["Running"])
    stage.sweep()

    read(stage)
    after_restart = usage_of(stage.row(engine_id)).cpu_percent
    read(stage)

    assert after_restart is None
    assert usage_of(stage.row(engine_id)).cpu_percent is not None
    figures = usage_of(stage.row(engine_id)).recent_cpu
    assert all(figure is None or figure < 10 * LOAD_PERCENT for figure in figures)


def test_recreated_container_keeps_its_past(stage: Stage) -> None:
    name = unique("recreated")
    first_id = stage.host.run(name, "demo/clock:1.0.0", command=IDLE)
    stage.sweep()
    read(stage)
    row = stage.row(first_id)
    stage.host.api("DELETE", f"/containers/{first_id}?force=1")
    second_id = stage.host.run(name, "demo/clock:1.0.0", command=IDLE)
    stage.sweep()

    read(stage)

    assert stage.row(second_id).pk == row.pk
    usage = usage_of(row)
    assert usage.cpu_percent is None
    assert len(usage.recent_memory) == 2
    series = container_series(row, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(minutes=1))
    assert len(series.times) >= 1
    assert series.columns["memory_bytes"][0] is not None


def test_container_that_went_meanwhile_is_missing_and_nothing_else(stage: Stage) -> None:
    gone = stage.host.run(unique("gone"), "demo/clock:1.0.0", command=IDLE)
    stopped = stage.host.run(unique("stopped"), "demo/clock:1.0.0", command=IDLE)
    there = stage.host.run(unique("there"), "demo/clock:1.0.0", command=IDLE)
    stage.sweep()
    stage.host.api("DELETE", f"/containers/{gone}?force=1")
    stage.host.api("POST", f"/containers/{stopped}/kill")
    eventually(lambda: not stage.host.api("GET", f"/containers/{stopped}/json")["State"]["Running"])

    note = read(stage)

    assert note == ""
    assert usage_of(stage.row(there)).memory_bytes is not None
    for engine_id in (gone, stopped):
        assert not ContainerUsage.objects.filter(container=stage.row(engine_id)).exists()


def test_commands_refused_leave_the_containers_figures_and_the_reason(make_stage: MakeStage) -> None:
    stage = make_stage("26", exclusive=True)
    stage.sweep()
    with _forced_command(stage.host, "echo this key is for one program only"):
        pool.close_all()
        tied = Stage(stage.host, stage.device, pool.engine(connection_target(stage.device)))
        note = read(tied)

        usage = HostUsage.objects.get(device=stage.device)
        assert note == ""
        assert ContainerUsage.objects.filter(container__device=stage.device, memory_bytes__gt=0).exists()
        assert (usage.source, usage.cpu_percent, usage.load_1) == ("engine", None, None)
        assert usage.memory_total_bytes is not None
        assert "this key is for one program only" in usage.reason
        # Not tried again with every reading.
        started: list[Any] = []
        read_and_store(stage.device, _noting(tied.engine, started))
        assert "program" not in started
        again = HostUsage.objects.get(device=stage.device)
        assert (again.reason, again.source) == (usage.reason, "engine")
    # But once the time has come.
    HostUsage.objects.update(retry_at=datetime.now(UTC) - timedelta(seconds=1))
    pool.close_all()
    read(Stage(stage.host, stage.device, pool.engine(connection_target(stage.device))))
    usage = HostUsage.objects.get(device=stage.device)
    assert (usage.source, usage.reason, usage.refused_target) == ("ssh", "", "")


def test_host_without_free_sessions_has_a_reason(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)
    host.set_ssh_mode("max1")
    engine = open_engine(target_of(fleet, host))
    try:
        channel = engine._session.open_program("sleep 30", 5)  # takes the only session
        figures, ticks, changed_columns = hosts.read_host(engine, HostUsage(), 1000, None)
        channel.close_and_wait()
    finally:
        engine.close()

    assert (figures.source, figures.memory_total_bytes, figures.load_1, ticks) == ("engine", 1000, None, None)
    assert "no commands over SSH" in figures.reason
    assert changed_columns["retry_at"] > datetime.now(UTC) + timedelta(hours=1)


# ---- the task


def test_sample_notes_when_and_how_long_and_tells_open_pages_once(stage: Stage) -> None:
    stage.sweep()

    with heard() as messages:
        sample_device(str(stage.device.pk))
        told = [message for message in messages(1) if message["kind"] == "usage"]

    stage.device.refresh_from_db()
    assert stage.device.last_statistics_at is not None
    assert stage.device.last_statistics_duration_ms is not None
    assert (stage.device.last_statistics_error, stage.device.statistics_interval_s) == ("", None)
    assert [(message["device"], message["ids"]) for message in told] == [(str(stage.device.pk), [str(stage.device.pk)])]
    assert HostUsage.objects.filter(device=stage.device).exists()


@pytest.mark.parametrize("column", ["watch_enabled", "statistics_enabled"])
def test_sample_of_a_device_without_statistics_does_nothing(column: str) -> None:
    device = DeviceFactory(online=True, **{column: False})

    sample_device(str(device.pk))

    device.refresh_from_db()
    assert (device.last_statistics_at, device.last_statistics_error) == (None, "")


def test_sample_of_a_host_that_is_away_notes_why_and_keeps_the_figures() -> None:
    device = DeviceFactory(online=True)
    HostUsage.objects.create(device=device, load_1=1.5)

    sample_device(str(device.pk))

    device.refresh_from_db()
    assert device.last_statistics_at is None
    assert "127.0.0.1" in device.last_statistics_error
    assert HostUsage.objects.get(device=device).load_1 == 1.5


def test_sample_of_a_deleted_device_does_nothing() -> None:
    sample_device(str(uuid.uuid4()))


def test_keep_statistics_makes_partitions_ahead() -> None:
    keep_statistics()

    assert partitions.SAMPLES.begin_of(datetime.now(UTC)) in partitions.begins(partitions.SAMPLES)


def _noting(engine: Engine, asked: list[Any]) -> Any:
    """The engine, which notes what it is asked."""

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        def get_json(self, path: str, *arguments: Any, **options: Any) -> Any:
            asked.append(path)
            return engine.get_json(path, *arguments, **options)

        def run_program(self, *arguments: Any) -> Any:
            asked.append("program")
            return engine.run_program(*arguments)

    return Noting()


@contextmanager
def _forced_command(host: Host, command: str) -> Iterator[None]:
    """The fleet's key may start nothing but this command on the host."""
    keys = Path(f"/proc/{host.body.require_init()}/root/etc/ssh/fleet_keys")
    before = keys.read_text()
    keys.write_text(f'command="{command}" {before}')
    try:
        yield
    finally:
        keys.write_text(before)
