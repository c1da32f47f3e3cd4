"""What PostgreSQL knows: devices, hosts, containers, operations under way, registries, the database itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection
from django.db.models import Count, Min, Q
from prometheus_client.core import GaugeMetricFamily, Metric

from containers.models import Container, HostUsage, Operation, UpdateStatus
from devices.models import Device
from registries.models import Origin
from ssm.lib.log_lines import one_line

# Older figures are not a host's any more.
FRESH: Final = timedelta(minutes=10)
_LONGEST_LABEL: Final = 255


def label(text: object) -> str:
    """A text as the value of a label: names are strangers' texts."""
    return one_line(str(text), _LONGEST_LABEL)


def fleet() -> Iterator[Metric]:
    """All families that come from rows. Some ten queries, whatever the size of the fleet. DatabaseError."""
    yield from _devices()
    yield from _hosts()
    yield from _containers()
    yield from _operations()
    yield from _registries()
    yield from _database()


def _devices() -> Iterator[Metric]:
    by_state = GaugeMetricFamily("ssm_devices", "Devices by how the connection to them stands.", labels=["state"])
    up = GaugeMetricFamily("ssm_device_up", "1 while the device answers, 0 while it does not.", labels=["device"])
    seen = GaugeMetricFamily(
        "ssm_device_last_seen_timestamp_seconds", "When the device was heard of last.", labels=["device"]
    )
    swept = GaugeMetricFamily(
        "ssm_device_last_sweep_timestamp_seconds", "When the device's inventory was read last.", labels=["device"]
    )
    totals = dict.fromkeys(Device.State.values, 0)
    columns = ("name", "state", "watch_enabled", "last_seen_at", "last_sweep_at")
    for name, state, is_watched, last_seen_at, last_sweep_at in Device.objects.order_by("name").values_list(*columns):
        totals[state] = totals.get(state, 0) + 1
        labels = [label(name)]
        if is_watched:
            up.add_metric(labels, int(state == Device.State.ONLINE))
        if last_seen_at:
            seen.add_metric(labels, last_seen_at.timestamp())
        if last_sweep_at:
            swept.add_metric(labels, last_sweep_at.timestamp())
    for state, number in totals.items():
        by_state.add_metric([state], number)
    yield from (by_state, up, seen, swept)


_HOST: Final = (
    ("cpu_percent", "ssm_host_cpu_ratio", "Share of all CPUs of the host that is used, 0 to 1.", 0.01),
    ("memory_used_bytes", "ssm_host_memory_used_bytes", "Memory of the host that is used, without caches.", 1),
    ("memory_total_bytes", "ssm_host_memory_total_bytes", "Memory of the host.", 1),
    ("disk_used_bytes", "ssm_host_disk_used_bytes", "Used space of the disk with the engine's data.", 1),
    ("disk_total_bytes", "ssm_host_disk_total_bytes", "Size of the disk with the engine's data.", 1),
    ("load_1", "ssm_host_load1", "Load average of the last minute.", 1),
)


def _hosts() -> Iterator[Metric]:
    families = [GaugeMetricFamily(name, text, labels=["device"]) for _column, name, text, _factor in _HOST]
    rows = HostUsage.objects.filter(sampled_at__gte=datetime.now(UTC) - FRESH).order_by("device__name")
    for device, *values in rows.values_list("device__name", *(column for column, *_ in _HOST)):
        for family, value, (*_, factor) in zip(families, values, _HOST, strict=True):
            if value is not None:
                family.add_metric([label(device)], float(value) * factor)
    yield from families


def _containers() -> Iterator[Metric]:
    by_state = GaugeMetricFamily("ssm_containers", "Containers by state.", labels=["state"])
    by_health = GaugeMetricFamily("ssm_containers_health", "Running containers by health.", labels=["health"])
    states, healths = dict.fromkeys(Container.State.values, 0), dict.fromkeys(Container.Health.values, 0)
    present = Container.objects.present()
    for state, health, number in present.order_by().values_list("state", "health").annotate(number=Count("pk")):
        states[state] = states.get(state, 0) + number
        if state == Container.State.RUNNING:
            healths[health] = healths.get(health, 0) + number
    for family, totals in ((by_state, states), (by_health, healths)):
        for name, number in totals.items():
            family.add_metric([name], number)
        yield family
    looping = present.exclude(looping_since=None).count()
    yield GaugeMetricFamily("ssm_containers_looping", "Containers in a restart loop.", value=looping)
    updates = GaugeMetricFamily(
        "ssm_updates_available", "Containers for which a newer image exists, by the kind of change.", labels=["change"]
    )
    offered = UpdateStatus.objects.offering(datetime.now(UTC)).order_by()
    for change, number in offered.values_list("change").annotate(number=Count("pk")).order_by("change"):
        updates.add_metric([change or "unknown"], number)
    yield updates


def _operations() -> Iterator[Metric]:
    active = GaugeMetricFamily("ssm_operations_active", "Operations that have not ended, by state.", labels=["state"])
    oldest = GaugeMetricFamily(
        "ssm_operations_oldest_seconds", "Age of the oldest operation that has not ended, by state.", labels=["state"]
    )
    moment = datetime.now(UTC)
    rows = Operation.objects.filter(state__in=Operation.ACTIVE_STATES).order_by()
    found = {
        state: (number, first)
        for state, number, first in rows.values_list("state").annotate(number=Count("pk"), first=Min("created_at"))
    }
    for state in Operation.ACTIVE_STATES:
        number, first = found.get(state, (0, moment))
        active.add_metric([state], number)
        oldest.add_metric([state], max(0.0, (moment - first).total_seconds()))
    yield from (active, oldest)


def _registries() -> Iterator[Metric]:
    names = ["registry", "account"]
    remaining = GaugeMetricFamily(
        "ssm_registry_quota_remaining", "Requests that the registry still allows, as it told last.", labels=names
    )
    limit = GaugeMetricFamily("ssm_registry_quota_limit", "Requests that the registry allows.", labels=names)
    failing = GaugeMetricFamily("ssm_registry_failing", "1 while the registry cannot be asked.", labels=names)
    asleep = GaugeMetricFamily(
        "ssm_registry_resting", "1 while the registry is left alone, as it refused for too many requests.", labels=names
    )
    moment = datetime.now(UTC)
    columns = ("host", "account__name", "quota_remaining", "quota_limit", "failing_since", "sleeping_until")
    known = Origin.objects.filter(Q(last_poll_at__isnull=False) | Q(quota_seen_at__isnull=False))
    for host, account, left, most, failing_since, sleeping_until in known.order_by("host").values_list(*columns):
        labels = [label(host), label(account or "")]
        if left is not None:
            remaining.add_metric(labels, left)
        if most is not None:
            limit.add_metric(labels, most)
        failing.add_metric(labels, int(failing_since is not None))
        asleep.add_metric(labels, int(sleeping_until is not None and sleeping_until > moment))
    yield from (remaining, limit, failing, asleep)


def _database() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_database_size(current_database()),"
            " (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),"
            " current_setting('max_connections')::int"
        )
        size, used, most = cursor.fetchone()
    yield GaugeMetricFamily("ssm_database_size_bytes", "Size of SSM's database.", value=size)
    yield GaugeMetricFamily("ssm_database_connections", "Connections to SSM's database.", value=used)
    yield GaugeMetricFamily("ssm_database_connections_max", "Connections that PostgreSQL allows.", value=most)
