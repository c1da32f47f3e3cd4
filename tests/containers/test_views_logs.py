"""The pages of logs: the choice, several as one, the search, and lines without scripts."""

import html
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.containers.logstage import add_container, add_device, add_user
from tests.factories import ContainerFactory, DeviceFactory, EventFactory
from tests.fleet import Fleet, Host
from tests.people import People

LIST = "/logs/"


def test_logs_without_choice_offer_projects_devices_and_containers(people: People) -> None:
    device = DeviceFactory(online=True, name="harbour")
    container = ContainerFactory(device=device, name="web", compose_project="shop")

    page = people.client("viewer").get(LIST).content.decode()

    assert f'value="{container.pk}"' in page
    assert "?project=shop" in page
    assert f"?device={device.pk}" in page


def test_choice_finds_by_name_and_tells_when_nothing_matches(people: People) -> None:
    ContainerFactory(name="web")
    client = people.client("viewer")

    assert ">web<" in client.get(LIST, {"find": "we"}).content.decode()
    assert "No container matches" in client.get(LIST, {"find": "nothing"}).content.decode()


def test_choice_and_merged_page_take_as_many_queries_for_one_as_for_thirty(people: People) -> None:
    device = DeviceFactory(online=True)
    client = people.client("viewer")
    counts = []
    for number in (1, 29):
        ContainerFactory.create_batch(number, device=device, compose_project="shop")
        for address in (LIST, f"{LIST}?project=shop", f"{LIST}find/?project=shop"):
            with CaptureQueriesContext(connection) as queries:
                client.get(address)
            counts.append(len(queries))

    assert counts[:3] == counts[3:]


def test_merged_page_of_a_project_names_it_and_hands_its_choice_to_the_socket(people: People) -> None:
    ContainerFactory.create_batch(3, compose_project="shop & more")
    ContainerFactory(compose_project="other")

    page = people.client("viewer").get(LIST, {"project": "shop & more"}).content.decode()

    assert "3 containers on 3 hosts" in page
    assert 'data-socket="/ws/logs/?project=shop+%26+more"' in page


def test_merged_page_of_what_is_not_there_says_so(people: People) -> None:
    page = people.client("viewer").get(LIST, {"container": "7b0f9c1e-3a39-4f52-9d1b-0d6f8a1c2b3d"}).content.decode()

    assert "No such container" in page
    assert "data-log " not in page


def test_pages_of_a_choice_are_forbidden_to_strangers(people: People) -> None:
    for address in (LIST, f"{LIST}find/", f"{LIST}clocks/", f"{LIST}events/"):
        assert people.client("stranger").get(address).status_code == 403


def test_search_page_keeps_what_was_looked_for(people: People) -> None:
    container = ContainerFactory(name="web")

    page = people.client("viewer").get(f"{LIST}find/", {"container": container.pk, "q": '<"x">'}).content.decode()

    assert "&lt;&quot;x&quot;&gt;" in page
    assert "1 container" in page


def test_drawn_events_are_those_of_the_span_and_the_chosen_containers(people: People) -> None:
    container = ContainerFactory(name="web")
    chosen = {"device": container.device, "container": container, "kind": "container"}
    EventFactory(**chosen, action="die", attributes={"exitCode": "137"}, time_ns=2_000)
    EventFactory(**chosen, action="health_status: unhealthy", time_ns=3_000)
    EventFactory(**chosen, action="start", time_ns=9_000)
    EventFactory(**chosen, action="attach", time_ns=2_500)
    EventFactory(action="die", kind="container", container=ContainerFactory(), time_ns=2_100)

    query = {"container": container.pk, "from_ns": "1000", "to_ns": "5000"}
    events = people.client("viewer").get(f"{LIST}events/", query).json()["events"]

    assert [(each["kind"], each["time_ns"]) for each in events] == [("died", "2000"), ("unhealthy", "3000")]
    assert "137" in events[0]["text"]


@pytest.mark.fleet
@pytest.mark.django_db(transaction=True)
def test_plain_page_shows_the_last_lines_and_links_to_older_ones(
    transactional_db: None, fleet: Fleet, docker_host: Host
) -> None:
    engine_id = docker_host.run("history", "test/lines", env={"COUNT": "500", "HOLD": "1"})
    container = add_container(add_device(fleet.entry(docker_host.number)), engine_id, "history")
    client = Client()
    client.force_login(add_user("reader"))
    address = reverse("containers:logs", args=[container.pk])

    newest = client.get(address, {"plain": "1"}).content.decode()
    older_link = re.search(r'href="(\?[^"]*before=\d+[^"]*)"', newest)
    assert older_link is not None
    older = client.get(address + html.unescape(older_link[1])).content.decode()

    assert _numbers(newest) == list(range(301, 501))
    assert _numbers(older) == list(range(101, 301))
    assert _numbers(client.get(address, {"plain": "1", "q": "line 77"}).content.decode()) == [77]


@pytest.mark.fleet
@pytest.mark.django_db(transaction=True)
def test_clocks_tell_the_zone_of_a_host(transactional_db: None, fleet: Fleet, docker_host: Host) -> None:
    container = add_container(add_device(fleet.entry(docker_host.number)), "0" * 64, "any")
    client = Client()
    client.force_login(add_user("reader"))

    answer = client.get(f"{LIST}clocks/", {"container": container.pk}).json()

    zone = docker_host.exec(["date", "+%z"]).strip()
    minutes = (int(zone[1:3]) * 60 + int(zone[3:])) * (-1 if zone[0] == "-" else 1)
    assert answer == {"offsets": {str(container.pk): minutes}}


def _numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r"<span>line (\d+)</span></li>", page)]
