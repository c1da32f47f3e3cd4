"""Acts on a container from a page, and the list of all acts."""

import json

import pytest
from django.test import Client

from containers.models import Container, Operation
from devices.models import now
from tests.factories import ContainerFactory, DeviceFactory, OperationFactory
from tests.people import People

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def container() -> Container:
    return ContainerFactory(name="web", device__name="host-a")


@pytest.fixture
def operator(people: People) -> Client:
    return people.client("operator")


def act(client: Client, container: Container, kind: str, confirmation: str | None = None, **headers: str):
    data = {"kind": kind} | ({} if confirmation is None else {"confirmation": confirmation})
    return client.post(f"/containers/{container.pk}/operations/", data, **headers)


def test_start_needs_no_confirmation_and_leads_back(operator: Client, container: Container) -> None:
    answer = act(operator, container, "pause", HTTP_REFERER="http://testserver/containers/?q=web")

    assert (answer.status_code, answer.headers["Location"]) == (302, "http://testserver/containers/?q=web")
    assert list(Operation.objects.values_list("kind", "requested_by_name")) == [("pause", "operator")]


def test_back_leads_to_no_other_site(operator: Client, container: Container) -> None:
    answer = act(operator, container, "pause", HTTP_REFERER="http://evil.example/")

    assert answer.headers["Location"] == f"/containers/{container.pk}/"


@pytest.mark.parametrize(
    ("kind", "confirmation", "status"),
    [
        ("stop", None, 200),
        ("stop", "no", 422),
        ("kill", None, 200),
        ("remove", None, 200),
        ("remove", "yes", 422),
        ("remove", "other", 422),
    ],
)
def test_harm_without_its_confirmation_is_asked_back_first(
    operator: Client, container: Container, kind: str, confirmation: str | None, status: int
) -> None:
    answer = act(operator, container, kind, confirmation)

    assert answer.status_code == status
    assert "web" in answer.content.decode()
    assert not Operation.objects.exists()


@pytest.mark.parametrize(("kind", "confirmation"), [("stop", "yes"), ("kill", "yes"), ("remove", "web")])
def test_harm_with_its_confirmation_is_recorded(
    operator: Client, container: Container, kind: str, confirmation: str
) -> None:
    assert act(operator, container, kind, confirmation).status_code == 302
    assert Operation.objects.get().kind == kind


@pytest.mark.parametrize(("place", "root"), [("row", "<tr id="), ("header", '<div class="page-head')])
def test_press_by_htmx_answers_with_the_changed_element(
    operator: Client, container: Container, place: str, root: str
) -> None:
    answer = act(operator, container, "stop", "yes", **HTMX, HTTP_HX_TARGET=f"container-{container.pk}-{place}")

    page = answer.content.decode()
    assert page.strip().startswith(root)
    assert "stopping…" in page
    assert 'hx-swap-oob="beforeend:#own-operations"' in page


def test_second_act_by_htmx_is_refused_with_the_first_ones_name(operator: Client, container: Container) -> None:
    OperationFactory(container=container, kind="restart", requested_by_name="olga")

    answer = act(operator, container, "stop", "yes", **HTMX)

    note = json.loads(answer.headers["HX-Trigger"])["toast"]
    assert note["tone"] == "bad"
    assert "being restarted already for olga" in note["text"]
    assert Operation.objects.count() == 1


def test_act_on_a_removed_container_says_so(operator: Client) -> None:
    container = ContainerFactory(removed_at=now())

    answer = operator.post(f"/containers/{container.pk}/operations/", {"kind": "start"}, follow=True)

    assert "does not exist" in answer.content.decode()
    assert not Operation.objects.exists()


def test_unknown_kind_is_a_bad_request(operator: Client, container: Container) -> None:
    assert act(operator, container, "explode").status_code == 400


@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_act_by_somebody_who_may_not_is_forbidden(people: People, container: Container, who: str) -> None:
    assert act(people.client(who), container, "pause").status_code == 403
    assert not Operation.objects.exists()


def test_act_without_the_token_of_the_page_is_forbidden(people: People, container: Container) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.operator)

    assert act(client, container, "pause").status_code == 403
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"a", "b", "c"}),
        ("?q=b", {"b"}),
        ("?state=failed", {"b"}),
        ("?state=active", {"c"}),
        ("?kind=stop", {"a"}),
        ("?person=olga", {"a"}),
        ("?since=day", {"a", "b", "c"}),
        ("?state=nonsense", {"a", "b", "c"}),
    ],
)
def test_activity_filtered_by_its_address_shows_the_operations_that_pass(
    people: People, query: str, found: set[str]
) -> None:
    host = DeviceFactory(name="host", online=True)
    made = [ContainerFactory(device=host, name=name) for name in "abc"]
    OperationFactory(container=made[0], kind="stop", state="succeeded", finished_at=now(), requested_by_name="olga")
    OperationFactory(container=made[1], state="failed", finished_at=now(), error_message="port is already allocated")
    OperationFactory(container=made[2], state="running")

    page = people.client("viewer").get(f"/activity/{query}").context["page"]

    assert {operation.target_name for operation in page} == found


def test_activity_shows_the_engines_sentence_as_text(people: People) -> None:
    OperationFactory(
        state="failed", finished_at=now(), error_message="<b>port</b> is already allocated", error_fix="Stop the other."
    )

    page = people.client("viewer").get("/activity/").content.decode()

    assert "&lt;b&gt;port&lt;/b&gt; is already allocated" in page
    assert "Stop the other." in page
