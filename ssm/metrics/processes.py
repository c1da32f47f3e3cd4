"""What Redis knows of all processes: who lives, their SSH connections, queues, ticks, and what was counted."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import redis
from django.conf import settings
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from containers.events.leases import holders
from devices.models import Device
from ssm.lib import presence
from ssm.lib.tallies import BUCKETS, Tally, tallies

_SHOWN: Final = ("web", "worker", "transfers", "scheduler", "listener")


def processes(store: "redis.Redis") -> Iterator[Metric]:
    """All families that come from Redis, and one query for the ids of devices. RedisError, DatabaseError."""
    alive = [one for one in presence.presences(store) if not one.is_silent]
    yield from _alive(alive)
    yield from _queues()
    yield from _ticks(store, min((one.started_at for one in alive if one.kind == "scheduler"), default=None))
    yield from _leases(store)
    yield _histogram(
        "ssm_operation_duration_seconds",
        "Operations that ended, and how long that took since they were asked for.",
        ("kind", "outcome"),
        tallies(store, "operations", 2),
    )
    yield _histogram(
        "ssm_device_work_duration_seconds",
        "Readings of devices (sweep, statistics, updates), and how long they took.",
        ("kind",),
        tallies(store, "work", 1),
    )


def _alive(found: Sequence[presence.Presence]) -> Iterator[Metric]:
    alive = GaugeMetricFamily("ssm_processes", "Processes that were heard of lately, by kind.", labels=["process"])
    for kind in sorted({*_SHOWN, *(one.kind for one in found)}):
        alive.add_metric([kind], sum(one.kind == kind for one in found))
    yield alive

    own = ["process", "host", "pid"]
    info = GaugeMetricFamily("ssm_process_info", "A process and the version it runs.", labels=[*own, "version"])
    started = GaugeMetricFamily("ssm_process_start_timestamp_seconds", "When the process was started.", labels=own)
    memory = GaugeMetricFamily("ssm_process_resident_memory_bytes", "Memory of the process.", labels=own)
    threads = GaugeMetricFamily("ssm_process_threads", "Threads of the process.", labels=own)
    skew = GaugeMetricFamily("ssm_process_clock_skew_seconds", "How far its clock is before Redis's.", labels=own)
    connections = GaugeMetricFamily(
        "ssm_ssh_connections",
        "Connections to hosts: open, busy (of the open ones), opening, resting (left alone after failures).",
        labels=[*own, "state"],
    )
    opened = CounterMetricFamily(
        "ssm_ssh_connections_opened", "Connections to hosts that were made or failed.", labels=[*own, "outcome"]
    )
    for one in found:
        labels = [one.kind, one.host, str(one.pid)]
        info.add_metric([*labels, one.version], 1)
        started.add_metric(labels, one.started_at.timestamp())
        threads.add_metric(labels, one.threads)
        skew.add_metric(labels, one.skew_s)
        if one.memory_bytes is not None:
            memory.add_metric(labels, one.memory_bytes)
        figures = one.figures.get("ssh")
        if figures:
            for state in ("open", "busy", "opening", "resting"):
                connections.add_metric([*labels, state], figures.get(state, 0))
            for outcome, name in (("made", "opened"), ("failed", "failed")):
                opened.add_metric([*labels, outcome], figures.get(name, 0))
    yield from (info, started, memory, threads, skew, connections, opened)


def _queues() -> Iterator[Metric]:
    waiting = GaugeMetricFamily("ssm_queue_messages", "Tasks that wait for a worker.", labels=["queue"])
    oldest = GaugeMetricFamily("ssm_queue_oldest_seconds", "Age of the task that waits longest.", labels=["queue"])
    for queue in presence.queues():
        waiting.add_metric([queue.name], queue.waiting)
        oldest.add_metric([queue.name], queue.oldest_s or 0.0)
    yield from (waiting, oldest)


def _ticks(store: "redis.Redis", since: datetime | None) -> Iterator[Metric]:
    ran = GaugeMetricFamily(
        "ssm_tick_last_run_timestamp_seconds", "When each tick of the scheduler was last worked off.", labels=["tick"]
    )
    late = GaugeMetricFamily("ssm_tick_late", "1 while a tick is much later than it should be.", labels=["tick"])
    for tick in presence.ticks(store, settings.CELERY_BEAT_SCHEDULE):
        if tick.ran_at:
            ran.add_metric([tick.name], tick.ran_at.timestamp())
        late.add_metric([tick.name], int(tick.is_late(since)))
    yield from (ran, late)


def _leases(store: "redis.Redis") -> Iterator[Metric]:
    watched = Device.objects.watched().filter(watch_events=True).values_list("pk", flat=True)
    devices = [str(pk) for pk in watched.iterator()]
    held = 0
    for begin in range(0, len(devices), 1000):
        held += len(holders(store, devices[begin : begin + 1000]))
    yield GaugeMetricFamily("ssm_devices_followed", "Devices whose events a listener follows at present.", value=held)
    yield GaugeMetricFamily("ssm_devices_to_follow", "Devices whose events are to be followed.", value=len(devices))


def _histogram(name: str, text: str, labels: Sequence[str], found: Sequence[Tally]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=list(labels))
    for tally in found:
        total, buckets = 0, []
        for bound, number in zip((*map(str, BUCKETS), "+Inf"), tally.buckets, strict=True):
            total += number
            buckets.append((bound, total))
        family.add_metric(list(tally.labels), buckets=buckets, sum_value=tally.seconds)
    return family
