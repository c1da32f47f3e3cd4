"""The Events page: what its filters find, how it is paged, what is exported, and what a host may put into it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from containers.models import Container, Event
from containers.rules.events import describe
from devices.models import Device
from tests.factories import ContainerFactory, DeviceFactory, EventFactory
from tests.people import People

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def told(
    container: Container, action: str, *, minutes_ago: float = 0, kind: str = "container", **attributes: str
) -> Event:
    moment = NOW - timedelta(minutes=minutes_ago)
    number = Event.objects.count()
    event: Event = EventFactory(
        container=container,
        action=action,
        kind=kind,
        attributes=attributes,
        time=moment,
        time_ns=int(moment.timestamp()) * 1_000_000_000 + number,
    )
    Event.objects.filter(pk=event.pk).update(severity=describe(event).severity)
    return event


@pytest.fixture
def web() -> Container:
    container: Container = ContainerFactory(name="web", device=DeviceFactory(online=True, name="berlin"))
    return container


@pytest.fixture
def fleet(web: Container) -> dict[str, Event]:
    other = ContainerFactory(name="database", device=DeviceFactory(online=True, name="lab"))
    return {
        "started": told(web, "start", minutes_ago=50),
        "failed": told(web, "die", minutes_ago=40, exitCode="137"),
        "unhealthy": told(other, "health_status: unhealthy", minutes_ago=30),
        "pulled": told(other, "pull", minutes_ago=20, kind="image"),
        "removed": told(other, "destroy", minutes_ago=10),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"started", "failed", "unhealthy", "pulled", "removed"}),
        ("severity=bad", {"failed", "unhealthy"}),
        ("severity=good", {"started", "failed", "unhealthy"}),
        ("act=ended", {"failed"}),
        ("act=health", {"unhealthy"}),
        ("act=removed", {"removed"}),
        ("kind=image", {"pulled"}),
        ("q=WEB", {"started", "failed"}),
        ("q=lab", {"unhealthy", "pulled", "removed"}),
        ("since=2026-03-04T11:25", {"unhealthy", "pulled", "removed"}),
        ("until=2026-03-04T11:25", {"started", "failed"}),
        ("since=2026-03-04T12:25%2B01:00", {"unhealthy", "pulled", "removed"}),
        ("since=nonsense&kind=nonsense&severity=x&device=1&container=2", None),
        ("q=%00&until=9999-12-31T23:59&since=0001-01-01T00:00", None),
    ],
)
def test_events_filters_find_what_they_say(
    people: People, fleet: dict[str, Event], query: str, expected: set[str] | None
) -> None:
    answer = people.client("viewer").get(f"/events/?{query}")

    shown = {event.pk for event in answer.context["page"].rows}
    assert answer.status_code == 200
    assert shown == {fleet[name].pk for name in (set(fleet) if expected is None else expected)}


def test_events_of_one_device_and_container(people: People, fleet: dict[str, Event], web: Container) -> None:
    client = people.client("viewer")

    by_device = client.get(f"/events/?device={web.device_id}").context["page"].rows
    by_container = client.get(f"/events/?container={web.pk}").context["page"].rows

    assert [event.pk for event in by_device] == [fleet["failed"].pk, fleet["started"].pk]
    assert by_container == by_device


def test_events_pages_hold_each_event_once_both_ways(people: People, web: Container) -> None:
    # Several at one and the same time, as coarse clocks tell them.
    for number in range(130):
        EventFactory(container=web, action=f"act-{number}", time_ns=1_700_000_000_000_000_000 + number // 7)
    client = people.client("viewer")

    seen, pages, query = [], [], ""
    while True:
        page = client.get(f"/events/?{query}").context["page"]
        pages.append([event.pk for event in page.rows])
        seen += pages[-1]
        if not page.older:
            break
        query = f"before={page.older}"
    back = client.get(f"/events/?after={page.newer}").context["page"]
    first = client.get(f"/events/?after={back.newer}").context["page"]

    assert len(seen) == len(set(seen)) == 130
    assert [event.pk for event in back.rows] == pages[1]
    assert [event.pk for event in first.rows] == pages[0]
    assert first.is_first


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "²-1", f"{'9' * 30}-1", "1-2-3"])
def test_events_odd_cursor_is_the_first_page(people: People, web: Container, cursor: str) -> None:
    told(web, "start")

    answer = people.client("viewer").get("/events/", {"before": cursor, "after": cursor})

    assert answer.status_code == 200
    assert len(answer.context["page"].rows) == 1


def test_events_take_as_many_queries_for_many_as_for_one(
    people: People, web: Container, django_assert_max_num_queries: Any
) -> None:
    told(web, "start")
    client = people.client("viewer")
    client.get("/events/")

    with django_assert_max_num_queries(20) as one:
        client.get("/events/")
    for number in range(30):
        told(ContainerFactory(device=DeviceFactory(online=True)), "die", minutes_ago=number, exitCode="1")
    with django_assert_max_num_queries(len(one)):
        client.get("/events/")


def test_events_words_of_hosts_are_shown_as_text(people: People, web: Container) -> None:
    event = told(web, "<script>alert(1)</script>", image="<b>image</b>")
    Event.objects.filter(pk=event.pk).update(actor_name="<i>name</i>")
    client = people.client("viewer")

    for url in ("/events/", f"/containers/{web.pk}/events/", f"/devices/{web.device_id}/"):
        page = client.get(url).content.decode()
        assert "<script>alert" not in page
        assert "<b>image" not in page
        assert "<i>name" not in page


def test_new_events_counts_what_came_after_and_passes(people: People, fleet: dict[str, Event]) -> None:
    client = people.client("viewer")
    than = fleet["started"].pk

    assert client.get(f"/events/new/?than={than}").json()["count"] == 4
    assert client.get(f"/events/new/?than={than}&severity=bad").json()["count"] == 2
    assert client.get("/events/new/?than=nonsense").json()["count"] == 5


# ---- export


async def exported(people: People, query: str) -> str:
    from asgiref.sync import sync_to_async
    from django.test import AsyncClient

    client = AsyncClient()
    await sync_to_async(client.force_login)(people.viewer)
    answer = await client.get(f"/events/export/?{query}")
    assert answer.status_code == 200
    return b"".join([piece async for piece in answer.streaming_content]).decode()


@pytest.mark.django_db(transaction=True)
async def test_export_is_filtered_complete_and_no_formula(people: People) -> None:
    from asgiref.sync import sync_to_async

    @sync_to_async
    def prepare() -> None:
        container = ContainerFactory(name="=cmd()")
        Event.objects.bulk_create(
            Event(
                device=container.device,
                container=container,
                kind="container",
                action="die",
                actor_name="=cmd()",
                attributes={"exitCode": "139"},
                time=NOW,
                time_ns=number,
                severity=3,
            )
            for number in range(1, 2502)
        )
        told(container, "start")

    await prepare()

    rows = list(csv.DictReader(io.StringIO(await exported(people, "format=csv&severity=bad"))))
    lines = [json.loads(line) for line in (await exported(people, "format=ndjson")).splitlines()]

    assert len(rows) == 2501
    assert rows[0]["name"] == "'=cmd()"
    assert rows[0]["sentence"] == "failed (exit code 139: segmentation fault)"
    assert len(lines) == 2502
    assert lines[0]["name"] == "=cmd()"


def test_export_unknown_format_is_refused(people: People) -> None:
    assert people.client("viewer").get("/events/export/?format=xlsx").status_code == 400


# ---- the device's page


def test_run_now_hands_out_what_is_wanted_and_possible(people: People, web: Container) -> None:
    from tests.queued import take_queued

    take_queued()
    client, url = people.client("operator"), f"/devices/{web.device_id}/run/"

    for kind in ("sweep", "statistics", "updates"):
        client.post(url, {"kind": kind})
    Device.objects.update(statistics_enabled=False)
    client.post(url, {"kind": "statistics"})
    Device.objects.update(state="unreachable")
    client.post(url, {"kind": "sweep"})
    odd = client.post(url, {"kind": "nonsense"})

    assert odd.status_code == 400
    assert Device.objects.get().next_sweep_at is not None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sweep_schedule=*/5 * * * *", "Next:"),
        ("update_schedule=nonsense", "is not a cron expression"),
        ("statistics_schedule=0 0 31 2 *", "is not a cron expression"),
        ("statistics_schedule=<script>", "&lt;script&gt;"),
    ],
)
def test_schedule_preview_tells_the_next_runs_or_what_is_wrong(people: People, query: str, words: str) -> None:
    name, _equals, value = query.partition("=")

    page = people.client("administrator").get("/devices/schedule/", {name: value}).content.decode()

    assert words in page
    assert "UTC" in page or "Next" not in page


def test_device_page_shows_each_schedule_with_its_last_run(people: People) -> None:
    device = DeviceFactory(
        online=True,
        last_statistics_duration_ms=2400,
        last_update_check_error="The registry did not answer.",
        watch_events=False,
        statistics_enabled=False,
    )

    page = people.client("viewer").get(f"/devices/{device.pk}/").content.decode()

    for words in ("Full sweep", "Statistics", "Update check", "switched off", "2.4 s", "The registry did not answer."):
        assert words in page
    assert "changes are seen by sweeps only" in page
