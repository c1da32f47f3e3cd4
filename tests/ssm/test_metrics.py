"""/metrics, /healthz and /readyz: who may ask, by what name, and whether the figures are true."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from containers import operations
from containers.models import Container, ContainerUsage, HostUsage, Operation
from devices.connections import ConnectionPool
from devices.models import Device
from registries.models import Origin
from ssm import probes
from ssm.lib import presence, tallies
from ssm.metrics.containers import containers
from tests.factories import ContainerFactory, DeviceFactory

TOKEN = "a-token-of-the-metrics-alone"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def store() -> Iterator["Redis"]:
    made = Redis.from_url(django_settings.REDIS_URL)
    made.delete("ssm:tally:operations", "ssm:tally:work")
    yield made
    made.close()


def asked(path: str = "/metrics", **headers: str) -> Any:
    return Client(headers={"Authorization": f"Bearer {TOKEN}", **headers}).get(path)


def body(response: Any) -> bytes:
    """Also of an answer that is streamed as in a web process."""
    if not response.streaming:
        return bytes(response.content)

    async def read() -> bytes:
        return b"".join([piece async for piece in response])

    return async_to_sync(read)()


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


@pytest.fixture
def open_metrics(settings: Any) -> None:
    settings.SSM_METRICS_TOKEN = TOKEN


# ---- who may ask


@pytest.mark.parametrize("path", ["/metrics", "/metrics/containers"])
@pytest.mark.parametrize(
    ("token", "addresses", "header", "peer", "status"),
    [
        ("", [], f"Bearer {TOKEN}", "127.0.0.1", 404),
        ("", [], "Bearer ", "127.0.0.1", 404),
        (TOKEN, [], f"Bearer {TOKEN}", "192.0.2.7", 200),
        (TOKEN, [], f"bearer {TOKEN}", "192.0.2.7", 200),
        (TOKEN, [], "", "192.0.2.7", 401),
        (TOKEN, [], "Bearer wrong", "192.0.2.7", 401),
        (TOKEN, [], "Bearer wröng", "192.0.2.7", 401),
        (TOKEN, [], f"Basic {TOKEN}", "192.0.2.7", 401),
        ("", ["10.0.0.0/8"], "", "10.1.2.3", 200),
        ("", ["10.0.0.0/8"], "", "192.0.2.7", 403),
        ("", ["fd00::/8"], "", "10.1.2.3", 403),
        (TOKEN, ["10.0.0.0/8"], "", "10.1.2.3", 200),
        (TOKEN, ["10.0.0.0/8"], "", "192.0.2.7", 401),
    ],
)
@pytest.mark.django_db
def test_metrics_are_for_the_token_and_the_addresses_alone(
    settings: Any, path: str, token: str, addresses: list[str], header: str, peer: str, status: int
) -> None:
    settings.SSM_METRICS_TOKEN, settings.SSM_METRICS_ADDRESSES = token, addresses
    response = Client(headers={"Authorization": header}).get(path, REMOTE_ADDR=peer)

    assert response.status_code == status
    assert (b"ssm_" in body(response)) is (status == 200)


@pytest.mark.django_db
def test_address_that_a_stranger_claims_opens_nothing(settings: Any) -> None:
    settings.SSM_METRICS_ADDRESSES = ["10.0.0.0/8"]
    assert Client(headers={"X-Forwarded-For": "10.1.2.3"}).get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == 403


# ---- probes


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("host", ["10.42.0.17:8000", "evil.example", "[fd00::1]", "a b"])
@pytest.mark.django_db
@pytest.mark.usefixtures("open_metrics")
def test_probe_is_answered_under_any_name(settings: Any, path: str, host: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    response = asked(path, Host=host)

    assert response.status_code == 200
    assert response["X-Content-Type-Options"] == "nosniff" and "default-src" in response["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/", "/metrics/nothing"])
def test_other_paths_stay_closed_to_unknown_names(path: str) -> None:
    assert Client(headers={"Host": "evil.example"}).get(path).status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probe_takes_no_other_methods(path: str) -> None:
    assert Client().post(path).status_code == 405


def test_liveness_asks_no_store(settings: Any) -> None:
    # Without the fixture of the database a query fails.
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    assert Client().get("/healthz").content == b"ok\n"


@pytest.mark.django_db
def test_readiness_waits_for_the_tables_of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probes._seen, "tables", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'containers' AND name = '0012_requests'")
    response = Client().get("/readyz")
    assert response.status_code == 503 and b"migrate" in response.content
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('containers', '0012_requests', now())"
        )
    assert Client().get("/readyz").status_code == 200
    assert probes._seen["tables"]


@pytest.mark.django_db
def test_readiness_names_the_store_that_is_away(settings: Any) -> None:
    away = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}}
    settings.CACHES = away
    response = Client().get("/readyz")
    assert (response.status_code, response.content) == (503, b"Redis does not answer\n")


# ---- figures


@pytest.mark.django_db
@pytest.mark.usefixtures("open_metrics", "store")
def test_fleet_figures_are_those_of_the_rows() -> None:
    alpha = DeviceFactory(name='al"pha\n\\', state=Device.State.ONLINE, last_seen_at=datetime.now(UTC))
    DeviceFactory(name="beta", state=Device.State.UNREACHABLE)
    DeviceFactory(name="off", watch_enabled=False, state=Device.State.DISABLED)
    HostUsage.objects.create(device=alpha, sampled_at=datetime.now(UTC), cpu_percent=50.0, disk_used_bytes=7)
    ContainerFactory.create_batch(2, device=alpha, state=Container.State.RUNNING)
    ContainerFactory(device=alpha, state=Container.State.EXITED)
    ContainerFactory(device=alpha, state=Container.State.RUNNING, removed_at=datetime.now(UTC))
    Origin.objects.create(
        host="docker.io", quota_remaining=61, quota_limit=100, last_poll_at=datetime.now(UTC), failing_since=None
    )
    found = samples(asked().content.decode())

    assert value(found, "ssm_devices", state="online") == 1
    assert value(found, "ssm_devices", state="unknown") == 0
    assert value(found, "ssm_device_up", device="beta") == 0
    assert value(found, "ssm_device_up", device="off") is None
    assert value(found, "ssm_device_up", device='al"pha\\n\\') == 1
    assert value(found, "ssm_host_cpu_ratio", device='al"pha\\n\\') == 0.5
    assert value(found, "ssm_containers", state="running") == 2
    assert value(found, "ssm_containers", state="exited") == 1
    assert value(found, "ssm_registry_quota_remaining", registry="docker.io", account="") == 61
    assert value(found, "ssm_registry_failing", registry="docker.io", account="") == 0
    assert value(found, "ssm_store_up", store="redis") == value(found, "ssm_store_up", store="postgresql") == 1
    assert (value(found, "ssm_database_size_bytes") or 0) > 1_000_000
    assert not any("container_" in name for name, _labels in found)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("open_metrics")
def test_operation_that_ends_is_counted_with_its_time(store: "Redis") -> None:
    container = ContainerFactory()
    columns = {"device": container.device, "device_name": "a", "target_name": "b", "worker": "w"}
    for state, ago in (("running", 3), ("running", 400), ("queued", 50)):
        Operation.objects.create(
            kind="restart", state=state, created_at=datetime.now(UTC) - timedelta(seconds=ago), **columns
        )
    before = samples(asked().content.decode())
    for operation in Operation.objects.filter(state="running"):
        assert operations.succeed(operation)
        assert not operations.succeed(operation), "an operation ends once"
    operations.cancel_queued(Operation.objects.all(), "Not wanted.")
    found = samples(asked().content.decode())

    name, of_succeeded = "ssm_operation_duration_seconds", {"kind": "restart", "outcome": "succeeded"}
    assert value(before, "ssm_operations_active", state="running") == 2
    assert 400 <= (value(before, "ssm_operations_oldest_seconds", state="running") or 0) < 500
    assert value(found, "ssm_operations_active", state="running") == 0
    assert value(found, f"{name}_count", **of_succeeded) == 2
    assert value(found, f"{name}_bucket", le="2.5", **of_succeeded) == 0
    assert value(found, f"{name}_bucket", le="60.0", **of_succeeded) == 1
    assert value(found, f"{name}_bucket", le="+Inf", **of_succeeded) == 2
    assert 403 <= (value(found, f"{name}_sum", **of_succeeded) or 0) < 500
    assert value(found, f"{name}_count", kind="restart", outcome="cancelled") == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("open_metrics")
def test_processes_and_their_connections_are_told_by_all(store: "Redis") -> None:
    pool = ConnectionPool()
    presence.add_source("ssh", lambda: {**pool.figures(), "open": 4, "opened": 9})
    announcer = presence.Announcer("listener")
    try:
        announcer.tell()
        found = samples(asked().content.decode())
    finally:
        announcer.close()
        from devices.connections import pool as usual

        presence.add_source("ssh", usual.figures)

    assert (value(found, "ssm_processes", process="listener") or 0) >= 1
    assert value(found, "ssm_processes", process="scheduler") is not None
    opened = [n for (name, labels), n in found.items() if name == "ssm_ssh_connections" and ("state", "open") in labels]
    assert 4.0 in opened
    assert value(found, "ssm_queue_messages", queue="celery") is not None
    assert value(found, "ssm_tick_late", tick="settle-operations") is not None
    assert value(found, "ssm_devices_followed") == 0


@pytest.mark.django_db
@pytest.mark.usefixtures("open_metrics")
def test_metrics_without_redis_still_tell_what_postgresql_knows(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    DeviceFactory(state=Device.State.ONLINE)
    found = samples(asked().content.decode())

    assert value(found, "ssm_store_up", store="redis") == 0
    assert value(found, "ssm_devices", state="online") == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("open_metrics", "store")
def test_metrics_cost_the_same_queries_for_any_number_of_devices(django_assert_max_num_queries: Any) -> None:
    for device in DeviceFactory.create_batch(12, state=Device.State.ONLINE):
        ContainerFactory.create_batch(2, device=device)
        HostUsage.objects.create(device=device, sampled_at=datetime.now(UTC), cpu_percent=1.0)
    with django_assert_max_num_queries(12):
        asked()


def test_openmetrics_is_spoken_to_who_asks_for_it(open_metrics: None, db: None) -> None:
    response = asked(Accept="application/openmetrics-text; version=1.0.0")
    assert response["Content-Type"].startswith("application/openmetrics-text")
    assert response.content.endswith(b"# EOF\n")


# ---- single containers


@pytest.mark.django_db
@pytest.mark.usefixtures("open_metrics")
def test_container_figures_are_those_of_the_last_reading(django_assert_max_num_queries: Any) -> None:
    device = DeviceFactory(name="alpha", groups=["shop"])
    web = ContainerFactory(device=device, name="web", state="running", health="healthy", compose_project='p"1\n')
    old = ContainerFactory(device=device, name="old", state="exited")
    ContainerFactory(name="elsewhere")
    fresh, stale = datetime.now(UTC), datetime.now(UTC) - timedelta(hours=1)
    ContainerUsage.objects.create(container=web, sampled_at=fresh, cpu_percent=150.0, memory_bytes=1024)
    ContainerUsage.objects.create(container=old, sampled_at=stale, cpu_percent=7.0)

    with django_assert_max_num_queries(1):
        found = samples(body(asked("/metrics/containers?group=shop")).decode())

    own = {"device": "alpha", "container": "web"}
    assert value(found, "ssm_container_cpu_cores", **own) == 1.5
    assert value(found, "ssm_container_memory_bytes", **own) == 1024
    assert value(found, "ssm_container_pids", **own) is None
    assert value(found, "ssm_container_up", **own) == 1
    assert value(found, "ssm_container_up", device="alpha", container="old") == 0
    assert value(found, "ssm_container_cpu_cores", device="alpha", container="old") is None
    assert value(found, "ssm_container_health", **own) == 1
    (info,) = [
        dict(labels) for name, labels in found if name == "ssm_container_info" and ("container", "web") in labels
    ]
    assert info["project"] == 'p"1\\n' and info["id"] == str(web.pk)
    assert not any(("container", "elsewhere") in labels for _name, labels in found)


@pytest.mark.django_db
def test_many_containers_come_in_pieces() -> None:
    device = DeviceFactory()
    Container.objects.bulk_create(
        Container(device=device, engine_id=f"{number:064x}", name=f"c-{number}") for number in range(2100)
    )
    pieces = list(containers())

    assert max(piece.count("\n") for piece in pieces) <= 2002
    assert len(samples("".join(pieces))) == 2100 * 3


# ---- counting


@pytest.mark.parametrize(("seconds", "place"), [(0.0, 0), (0.1, 0), (0.11, 1), (3600.0, 11), (3601.0, 12), (-5.0, 0)])
def test_tally_counts_into_the_first_bucket_that_holds_it(store: "Redis", seconds: float, place: int) -> None:
    tallies.count("work", ("sweep",), seconds)
    (found,) = tallies.tallies(store, "work", 1)
    assert found.count == 1 and found.buckets[place] == 1 and found.seconds == max(0.0, seconds)


def test_tally_of_another_version_is_passed_over(store: "Redis") -> None:
    tallies.count("work", ("sweep",), 1.0)
    store.hset("ssm:tally:work", mapping={"x": "1", '99:["a"]': "1", '0:["a","b"]': "2", "0:{": "1", '1:["c"]': "no"})
    assert [found.labels for found in tallies.tallies(store, "work", 1)] == [("sweep",)]


def test_counting_without_redis_is_silent(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    tallies.count("work", ("sweep",), 1.0)
