"""Samples → rows, over partitions, roll-up and retention, and back as series."""

import threading
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from containers.models import ContainerUsage, HostUsage
from containers.models.statistics import RECENT_LENGTH
from containers.rules.series import CONTAINER_COLUMNS, DEVICE_COLUMNS
from containers.rules.statistics import Usage
from containers.statistics import partitions, rollup
from containers.statistics.partitions import HISTORY, SAMPLES
from containers.statistics.reading import container_series, device_series
from containers.statistics.storing import HostFigures, Sample, store
from ssm.lib.database import database_work
from tests.factories import ContainerFactory, DeviceFactory

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC).replace(microsecond=0)
YESTERDAY = (NOW - timedelta(days=1)).replace(hour=0, minute=0, second=0)
HOST = HostFigures(cpu_percent=10.0, memory_used_bytes=4000, memory_total_bytes=8000, load_1=0.5, source="ssh")


def usage(cpu_percent=10.0, **figures):
    return Usage(**{"cpu_percent": cpu_percent, "memory_bytes": 1000, "pids": 3} | figures)


def rows(table):
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name)))
        return cursor.fetchone()[0]


def fill(container, start, minutes, *, usage_of=lambda minute: usage()):
    """One sample a minute."""
    for minute in range(minutes):
        sample = Sample(start + timedelta(minutes=minute, seconds=20), HOST, {container.pk: usage_of(minute)})
        store(container.device, sample)


def test_store_writes_the_latest_figures_and_one_row_of_the_past():
    container = ContainerFactory()
    figures = Usage(12.5, 1000, 2000, 1.5, 2.5, 3.5, 4.5, 7)

    store(container.device, Sample(NOW, HOST, {container.pk: figures}))

    row = ContainerUsage.objects.get(container=container)
    assert {name: getattr(row, name) for name in CONTAINER_COLUMNS} == {
        name: getattr(figures, name) for name in CONTAINER_COLUMNS
    }
    assert (row.sampled_at, row.recent_cpu, row.recent_memory, row.memory_percent) == (NOW, [12.5], [1000.0], 50.0)
    host = HostUsage.objects.get(device=container.device)
    assert (host.cpu_percent, host.memory_percent, host.disk_percent, host.source) == (10.0, 50.0, None, "ssh")
    assert rows(SAMPLES) == 1


def test_store_twice_at_the_same_moment_keeps_the_later_one():
    container = ContainerFactory()

    for cpu in (1.0, 2.0):
        store(container.device, Sample(NOW, HOST, {container.pk: usage(cpu)}))

    series = container_series(container, NOW - timedelta(minutes=5), NOW)
    assert series.columns["cpu_percent"] == [2.0]


def test_store_keeps_as_many_recent_figures_as_are_drawn():
    container = ContainerFactory()

    fill(container, NOW - timedelta(hours=1), RECENT_LENGTH + 5, usage_of=lambda minute: usage(float(minute)))

    row = ContainerUsage.objects.get(container=container)
    assert row.recent_cpu == [float(minute) for minute in range(5, RECENT_LENGTH + 5)]
    assert len(row.recent_memory) == RECENT_LENGTH


def test_store_of_a_container_that_told_nothing_is_a_gap_and_not_zero():
    container = ContainerFactory()
    store(container.device, Sample(NOW, HOST, {container.pk: usage(5.0)}))

    store(container.device, Sample(NOW + timedelta(minutes=1), HOST, {}))

    row = ContainerUsage.objects.get(container=container)
    assert (row.cpu_percent, row.memory_bytes, row.pids) == (None, None, None)
    assert (row.recent_cpu, row.sampled_at) == ([5.0, None], NOW)


def test_store_of_a_container_that_is_silent_for_long_writes_its_row_no_more():
    container = ContainerFactory()
    store(container.device, Sample(NOW, HOST, {container.pk: usage(5.0)}))
    for minute in range(1, RECENT_LENGTH + 1):
        store(container.device, Sample(NOW + timedelta(minutes=minute), HOST, {}))
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid::text FROM containers_containerusage")
        before = cursor.fetchone()

        store(container.device, Sample(NOW + timedelta(hours=2), HOST, {}))

        cursor.execute("SELECT ctid::text FROM containers_containerusage")
        assert cursor.fetchone() == before


def test_store_passes_over_a_container_that_was_deleted_meanwhile():
    container = ContainerFactory()

    store(container.device, Sample(NOW, HOST, {container.pk: usage(), uuid4(): usage()}))

    assert ContainerUsage.objects.count() == 1


def test_store_leaves_the_containers_of_other_devices_alone():
    here, there = ContainerFactory(), ContainerFactory()
    store(there.device, Sample(NOW, HOST, {there.pk: usage(5.0)}))

    store(here.device, Sample(NOW, HOST, {here.pk: usage(6.0)}))

    assert ContainerUsage.objects.get(container=there).recent_cpu == [5.0]


def test_store_takes_as_many_queries_for_many_containers_as_for_one(django_assert_num_queries):
    device = DeviceFactory()
    containers = ContainerFactory.create_batch(30, device=device)
    partitions.make(SAMPLES, NOW)

    with django_assert_num_queries(6):  # with the two of its transaction
        store(device, Sample(NOW, HOST, {containers[0].pk: usage()}))
    with django_assert_num_queries(6):
        store(device, Sample(NOW + timedelta(minutes=1), HOST, {container.pk: usage() for container in containers}))


def test_store_at_a_time_without_partition_makes_it():
    container = ContainerFactory()
    far = NOW + timedelta(days=40)

    store(container.device, Sample(far, HOST, {container.pk: usage()}))

    assert SAMPLES.begin_of(far) in partitions.begins(SAMPLES)
    assert rows(SAMPLES) == 1


def test_make_ahead_covers_two_days_and_may_be_called_again():
    partitions.make_ahead(NOW)
    made = partitions.begins(SAMPLES), partitions.begins(HISTORY)

    partitions.make_ahead(NOW)

    assert made == (partitions.begins(SAMPLES), partitions.begins(HISTORY))
    for table in (SAMPLES, HISTORY):
        assert table.begin_of(NOW + partitions.AHEAD) in partitions.begins(table)


def test_series_of_the_last_hour_are_the_samples_with_gaps():
    container = ContainerFactory()
    start = NOW - timedelta(minutes=50)
    fill(container, start, 10, usage_of=lambda minute: usage(float(minute)))
    store(container.device, Sample(start + timedelta(minutes=10, seconds=20), HOST, {}))
    fill(container, start + timedelta(minutes=30), 5)

    series = container_series(container, NOW - timedelta(hours=1), NOW)

    assert series.step_s == 60
    assert series.columns["cpu_percent"] == [*map(float, range(10)), None, None, *[10.0] * 5]
    assert set(series.columns) == {*CONTAINER_COLUMNS, "cpu_percent_max", "memory_bytes_max"}
    assert all(len(column) == len(series.times) for column in series.columns.values())


def test_series_of_a_device_have_the_host_and_the_sums_over_its_containers():
    device = DeviceFactory()
    one, two = ContainerFactory.create_batch(2, device=device)

    store(device, Sample(NOW, HOST, {one.pk: usage(1.0), two.pk: usage(2.0, memory_bytes=None)}))

    columns = device_series(device, NOW - timedelta(hours=1), NOW).columns
    assert columns["cpu_percent"] == [pytest.approx(10, rel=1e-3)]
    assert columns["containers_cpu_percent"] == [3.0]
    assert columns["containers_memory_bytes"] == [pytest.approx(1000, rel=1e-3)]
    assert columns["containers_sampled"] == [2.0]
    assert columns["disk_used_bytes"] == [None]
    assert set(DEVICE_COLUMNS) < set(columns)


def test_roll_up_gives_means_and_peaks_of_a_day_and_the_rest_of_today_is_read_from_samples():
    container = ContainerFactory()
    fill(container, YESTERDAY, 30, usage_of=lambda minute: usage(100.0 if minute == 3 else 10.0))
    fill(container, NOW - timedelta(minutes=5), 5, usage_of=lambda minute: usage(50.0))

    assert rollup.roll_up(NOW) == []

    series = container_series(container, YESTERDAY, NOW)
    assert series.step_s == 900
    assert series.columns["cpu_percent"][:3] == [pytest.approx(16, rel=1e-3), 10.0, None]
    assert series.columns["cpu_percent_max"][:2] == [100.0, 10.0]
    assert 50.0 in series.columns["cpu_percent"][-2:]
    assert series.columns["pids"][:2] == [3.0, 3.0]
    assert rows(HISTORY) == 2
    of_device = device_series(container.device, YESTERDAY, NOW)
    assert of_device.columns["containers_cpu_percent_max"][:2] == [100.0, 10.0]


def test_roll_up_again_gives_the_same_rows_and_reads_nothing_twice(django_assert_max_num_queries):
    container = ContainerFactory()
    fill(container, YESTERDAY, 20)
    rollup.roll_up(NOW)
    before = container_series(container, YESTERDAY, NOW)

    with django_assert_max_num_queries(5):
        rollup.roll_up(NOW)
    rollup.roll_up_device(container.device_id, YESTERDAY.date())

    assert rows(HISTORY) == 2
    assert container_series(container, YESTERDAY, NOW) == before


def test_roll_up_that_was_cut_off_is_begun_again(monkeypatch):
    container = ContainerFactory()
    fill(container, YESTERDAY, 3)
    with monkeypatch.context() as patched:
        patched.setattr(rollup, "_INSERT", "SELECT 1 / 0, %s, %s, %s, %s")
        assert rollup.roll_up(NOW) == [YESTERDAY.date()]
    assert rows(HISTORY) == 0

    assert rollup.roll_up(NOW) == []

    assert rows(HISTORY) == 2


def test_roll_up_leaves_the_day_alone_that_is_not_over():
    container = ContainerFactory()
    fill(container, YESTERDAY + timedelta(hours=23), 3)

    rollup.roll_up(YESTERDAY + timedelta(days=1, minutes=5))

    assert rows(HISTORY) == 0


def test_keep_drops_what_is_too_old_by_partition_and_keeps_the_rest(settings):
    settings.SSM_STATISTICS_COARSE_DAYS = 5
    container = ContainerFactory()
    old = YESTERDAY - timedelta(days=25)
    fill(container, old, 2)
    rollup.roll_up(old + timedelta(days=2))
    fill(container, YESTERDAY - timedelta(days=2), 2)
    fill(container, NOW - timedelta(minutes=3), 2)

    rollup.keep(NOW)

    assert old not in partitions.begins(SAMPLES)
    assert HISTORY.begin_of(old) not in partitions.begins(HISTORY)
    assert rows(SAMPLES) == 2
    assert rows(HISTORY) == 2
    series = container_series(container, NOW - timedelta(days=4), NOW)
    assert len([value for value in series.columns["cpu_percent"] if value is not None]) >= 2


def test_keep_does_not_drop_samples_of_a_day_that_could_not_be_rolled_up(monkeypatch):
    container = ContainerFactory()
    start = YESTERDAY - timedelta(days=1)
    fill(container, start, 2)
    monkeypatch.setattr(rollup, "_INSERT", "SELECT 1 / 0, %s, %s, %s, %s")

    rollup.keep(NOW)
    assert rows(SAMPLES) == 2

    rollup.keep(NOW + timedelta(days=3))
    assert rows(SAMPLES) == 0


@pytest.mark.django_db(transaction=True)
def test_drop_of_a_table_that_somebody_reads_waits_for_another_time(monkeypatch):
    monkeypatch.setattr(partitions, "_LOCK_MS", 100)
    begin = SAMPLES.begin_of(NOW - timedelta(days=50))
    partitions.make(SAMPLES, begin)
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
    ) as reader:
        reader.execute("SELECT count(*) FROM containers_usage_sample")

        assert partitions.drop(SAMPLES, begin) is False
        reader.rollback()

    assert partitions.drop(SAMPLES, begin) is True
    assert begin not in partitions.begins(SAMPLES)


@pytest.mark.django_db(transaction=True)
def test_make_by_several_at_once_makes_one_partition():
    moment = NOW - timedelta(days=60)

    def make():
        with database_work():
            partitions.make(SAMPLES, moment)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert partitions.begins(SAMPLES).count(SAMPLES.begin_of(moment)) == 1
    partitions.drop(SAMPLES, SAMPLES.begin_of(moment))


def test_history_of_another_version_with_other_columns_is_a_gap():
    container = ContainerFactory()
    fill(container, YESTERDAY, 20)
    rollup.roll_up(NOW)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE containers_usage_history SET figures = 'garbage'")

    series = container_series(container, YESTERDAY - timedelta(days=1), YESTERDAY + timedelta(hours=1))

    assert set(series.columns["cpu_percent"]) == {None}


@pytest.mark.parametrize("days", [1, 7, 30, 300])
def test_series_of_any_span_have_few_points_in_two_queries(days, django_assert_max_num_queries):
    container = ContainerFactory()
    fill(container, NOW - timedelta(minutes=5), 5)

    with django_assert_max_num_queries(2):
        series = container_series(container, NOW - timedelta(days=days), NOW)

    assert 5 <= len(series.times) <= 1502 or days == 1
    assert any(series.columns["cpu_percent"])


def test_series_before_there_was_anything_are_gaps():
    series = container_series(ContainerFactory(), NOW - timedelta(days=7), NOW)

    assert set(series.columns["cpu_percent"]) == {None}


def test_series_that_end_before_they_start_are_empty_or_gaps():
    series = device_series(DeviceFactory(), NOW, NOW - timedelta(days=3))

    assert all(set(column) <= {None} for column in series.columns.values())


def test_partition_names_tell_where_they_begin():
    moment = datetime(2026, 11, 24, 11, 59, tzinfo=UTC)

    assert SAMPLES.partition(SAMPLES.begin_of(moment)) == "containers_usage_sample_2026112406"
    assert HISTORY.begin_of(moment).date() == date(2026, 11, 21)
