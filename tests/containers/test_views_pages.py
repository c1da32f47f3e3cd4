"""The pages of one container, home and search: who sees what."""

import json
import re

import pytest

from devices.models import now
from tests.factories import ContainerFactory, DeviceFactory, EventFactory, OperationFactory
from tests.people import People

pytestmark = pytest.mark.django_db
SECRET = "hunter2-secret"


@pytest.mark.parametrize(("who", "sees"), [("administrator", True), ("operator", False), ("viewer", False)])
def test_overview_shows_values_of_variables_to_administrators_alone(people: People, who: str, *, sees: bool) -> None:
    container = ContainerFactory(environment=json.dumps([["DATABASE_PASSWORD", SECRET]]))

    page = people.client(who).get(f"/containers/{container.pk}/").content.decode()

    assert "DATABASE_PASSWORD" in page
    assert (SECRET in page) is sees


def test_inspect_shows_keys_and_texts_as_text(people: People) -> None:
    container = ContainerFactory(inspect={"<b>key": ["<script>alert(1)</script>", None, 3, True, {}]})
    client = people.client("viewer")

    for query in ("", "?view=raw"):
        page = client.get(f"/containers/{container.pk}/inspect/{query}").content.decode()
        assert "&lt;b&gt;key" in page
        assert "<script>alert" not in page


def test_inspect_with_a_great_many_entries_stays_bounded(people: People) -> None:
    container = ContainerFactory(inspect={"list": list(range(20_000))})

    page = people.client("viewer").get(f"/containers/{container.pk}/inspect/").content.decode()

    assert "more</div>" in page
    assert page.count("json__line") < 6_000


def test_events_page_shows_the_events_of_the_container_alone(people: People) -> None:
    event = EventFactory(action="die", attributes={"exitCode": "137"})
    EventFactory(action="other-action")

    page = people.client("viewer").get(f"/containers/{event.container_id}/events/").content.decode()

    assert "137" in page
    assert "other-action" not in page


def test_removed_container_keeps_its_page_without_actions(people: People) -> None:
    container = ContainerFactory(removed_at=now())

    page = people.client("operator").get(f"/containers/{container.pk}/").content.decode()

    assert "removed" in page
    # Every page has the menu of rows once, for scripts to fill.
    assert 'value="stop"' not in re.sub(r"<template.*?</template>", "", page, flags=re.DOTALL)


def test_home_without_devices_invites_to_add_one(people: People) -> None:
    assert "Add a device" in people.client("administrator").get("/").content.decode()
    assert "Add a device" not in people.client("viewer").get("/").content.decode()


def test_home_lists_what_needs_somebody(people: People) -> None:
    DeviceFactory(name="lost-host", unreachable=True)
    ContainerFactory(name="sick", health="unhealthy")
    ContainerFactory(name="well", health="healthy")
    OperationFactory(container__name="failing", state="failed", finished_at=now(), error_message="No such thing.")

    answer = people.client("viewer").get("/")

    page = answer.content.decode()
    assert "It did not answer within 10 seconds." in page
    assert [container.name for container in answer.context["containers"]] == ["sick"]
    assert "No such thing." in page
    assert answer.context["counts"].unhealthy == 1


def test_home_with_nothing_wrong_says_so(people: People) -> None:
    ContainerFactory()

    assert "Nothing needs attention." in people.client("viewer").get("/").content.decode()


def test_home_of_a_stranger_tells_whom_to_ask(people: People) -> None:
    answer = people.client("stranger").get("/")

    assert answer.status_code == 403
    assert "You have no role yet" in answer.content.decode()


def test_search_finds_containers_devices_and_pages(people: People) -> None:
    ContainerFactory(name="shop-web", device=DeviceFactory(name="shop-host", online=True))

    groups = {
        group["title"]: group["items"] for group in people.client("viewer").get("/search/?q=shop").json()["groups"]
    }

    assert [item["title"] for item in groups["Containers"]] == ["shop-web"]
    assert [item["title"] for item in groups["Devices"]] == ["shop-host"]
    assert groups["Pages"] == []


@pytest.mark.parametrize(("who", "offers"), [("administrator", True), ("viewer", False)])
def test_search_offers_pages_by_role(people: People, who: str, *, offers: bool) -> None:
    groups = people.client(who).get("/search/?q=add").json()["groups"]

    assert ("Add a device" in json.dumps(groups)) is offers


def test_unknown_page_is_not_found_inside_the_frame(people: People, settings) -> None:
    settings.DEBUG = False

    answer = people.client("viewer").get("/nowhere/")

    assert answer.status_code == 404
    assert 'aria-label="Main"' in answer.content.decode()
