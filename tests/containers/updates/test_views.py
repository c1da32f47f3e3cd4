"""The pages of updates: who sees and decides, filters, groups, cost, and what hostile names become."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers.models import Container, UpdatePolicy, UpdateStatus
from containers.updates.evaluation import evaluate
from devices.models import Device, now
from ssm.lib.roles import Right
from tests.accounts.people import make_role, make_user
from tests.factories import ContainerFactory, DeviceFactory, ImageFactory, RepositoryFactory
from tests.people import People

pytestmark = pytest.mark.django_db
HOSTILE = '"><script>alert(1)</script>'
PARTIAL = {"HTTP_HX_REQUEST": "true"}
A = "sha256:" + "a" * 64


def app(
    name: str, tag: str = "1.0.0", *, device: Device | None = None, path: str = "team/app", **more: object
) -> Container:
    device = device or DeviceFactory(online=True)
    image = ImageFactory(device=device, repo_digests=[f"registry.example/{path}@{A}"])
    return ContainerFactory(
        device=device,
        name=name,
        image_id=image.engine_id,
        image_reference=f"registry.example/{path}:{tag}",
        registry="registry.example",
        repository=path,
        tag=tag,
        **more,
    )


def decided(*containers: Container) -> None:
    evaluate([container.pk for container in containers])


@pytest.fixture
def fleet_of_updates() -> dict[str, Container]:
    """One container of each kind."""
    RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "1.0.1", "2.0.0", "2.1.0"])
    RepositoryFactory(
        host="registry.example", path="team/broken", tags=[], last_error_code="forbidden", last_error_message="no right"
    )
    berlin = DeviceFactory(name="berlin", online=True)
    found = {
        "major": app("major", device=berlin, compose_project="shop"),
        "minor": app("minor", "2.0.0"),
        "current": app("current", "2.1.0", device=berlin),
        "broken": app("broken", path="team/broken"),
        "off": app("off", labels={"wud.watch": "false"}),
        "local": ContainerFactory(name="local", device=berlin, image_id=ImageFactory(device=berlin).engine_id),
        "gone": app("gone", removed_at=now()),
    }
    decided(*found.values())
    return found


def shown(client: Client, query: str = "") -> set[str]:
    response = client.get(f"/updates/{query}")
    assert response.status_code == 200
    return {status.container.name for group in response.context["groups"] for status in group.statuses}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"major", "minor"}),
        ("?kind=major", {"major"}),
        ("?kind=digest", set()),
        ("?state=all", {"major", "minor", "current", "broken", "off", "local"}),
        ("?state=up_to_date", {"current"}),
        ("?state=error", {"broken"}),
        ("?state=unknown", {"local"}),
        ("?state=not_watched", {"off"}),
        ("?state=snoozed", set()),
        ("?reason=forbidden", {"broken"}),
        ("?reason=local_image", {"local"}),
        ("?project=shop", {"major"}),
        ("?q=BERLIN", {"major"}),
        ("?q=2.1", {"major", "minor"}),
        ("?image=registry.example/team/app:2.0.0", {"minor"}),
        ("?image=registry.example/team/app", {"major", "minor", "current", "off"}),
        ("?state=nonsense&kind=nonsense&device=nonsense&page=nonsense", {"major", "minor"}),
        ("?q=%00nul", set()),
    ],
)
def test_updates_filtered_by_its_address(
    fleet_of_updates: dict[str, Container], people: People, query: str, names: set[str]
) -> None:
    assert shown(people.client("viewer"), query) == names


def test_updates_of_a_device(fleet_of_updates: dict[str, Container], people: People) -> None:
    device = fleet_of_updates["major"].device

    assert shown(people.client("viewer"), f"?state=all&device={device.pk}") == {"major", "current", "local"}


def test_updates_are_grouped_by_image_the_gravest_first(people: People) -> None:
    RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "1.0.1", "2.0.0", "2.1.0"])
    decided(app("a"), app("b"), app("c", "2.0.0"), *[app(f"many-{n}") for n in range(10)])

    groups = people.client("viewer").get("/updates/").context["groups"]

    assert [(group.image, group.containers, group.devices) for group in groups] == [
        ("registry.example/team/app:1.0.0", 12, 12),
        ("registry.example/team/app:2.0.0", 1, 1),
    ]
    assert (len(groups[0].statuses), groups[0].hidden) == (8, 4)


def test_pages_cost_the_same_for_one_and_for_thirty(people: People) -> None:
    client = people.client("operator")
    RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "1.0.1"])
    first = app("first")
    decided(first)
    client.get("/updates/")
    pages = ("/updates/", "/updates/?state=all", f"/containers/{first.pk}/updates/", "/containers/", "/")
    counts = []
    for added in (0, 30):
        for n in range(added):
            path = f"team/app{n}"
            RepositoryFactory(host="registry.example", path=path, tags=["1.0.0", "1.0.1"])
            decided(app(f"more-{n}", path=path))
            UpdatePolicy.objects.create(
                kind="stay", line="major", registry="registry.example", repository=path, tag="1.0.0"
            )
        taken = []
        for page in pages:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(page).status_code == 200
            taken.append(len(queries))
        counts.append(taken)

    assert counts[0] == counts[1]
    assert counts[0][0] <= 18


@pytest.mark.parametrize("who", ["operator", "administrator"])
def test_decisions_by_who_may_operate(fleet_of_updates: dict[str, Container], people: People, who: str) -> None:
    client, container = people.client(who), fleet_of_updates["major"]
    image = {"registry": "registry.example", "repository": "team/app", "tag": "1.0.0"}

    answers = [
        client.post("/updates/decide/", {"act": "ignore:2.1.0", "container": str(container.pk)}),
        client.post("/updates/decide/", {"act": "stay:major", **image}),
        client.post("/updates/decide/", {"act": "snooze:7", **image}),
    ]

    assert [response.status_code for response in answers] == [302, 302, 302]
    status = UpdateStatus.objects.get(container=container)
    assert (status.offered_tag, status.is_snoozed) == ("1.0.1", True)
    policy = UpdatePolicy.objects.get(kind="snooze")
    assert policy.created_by_name == who
    page = client.get(f"/containers/{container.pk}/updates/").content.decode()
    assert f"by {who}" in page
    assert client.post("/updates/decide/", {"act": f"undo:{policy.pk}"}).status_code == 302
    assert not UpdateStatus.objects.get(container=container).is_snoozed


@pytest.mark.parametrize(("who", "status"), [("viewer", 403), ("stranger", 403), ("anonymous", 302)])
def test_decisions_and_checks_are_refused_to_others(
    fleet_of_updates: dict[str, Container], people: People, who: str, status: int
) -> None:
    client, container = people.client(who), fleet_of_updates["major"]

    decided_ = client.post("/updates/decide/", {"act": "ignore:2.1.0", "container": str(container.pk)})
    checked = client.post("/updates/check/")

    assert (decided_.status_code, checked.status_code) == (status, status)
    assert UpdatePolicy.objects.count() == 0


def test_limited_operator_decides_about_his_containers_alone(fleet_of_updates: dict[str, Container]) -> None:
    mine, other = fleet_of_updates["major"], app("other")
    decided(other)
    mine.device.groups = ["shop"]
    mine.device.save()
    sees, acts = make_role("Sees", [Right.SEE]), make_role("Acts", [Right.SEE, Right.OPERATE], device_groups=["shop"])
    client = Client()
    client.force_login(make_user("limited", sees, acts))
    image = {"registry": "registry.example", "repository": "team/app", "tag": "1.0.0"}

    def decide(act: str, **more: str) -> int:
        return client.post("/updates/decide/", {"act": act, **more}).status_code

    assert decide("snooze:7", container=str(mine.pk)) == 302
    policy = UpdatePolicy.objects.get()
    assert (decide("snooze:7", container=str(other.pk)), decide("stay:major", **image)) == (404, 403)
    assert client.post("/updates/check/", {"container": str(other.pk)}).status_code == 404
    everybodys = UpdatePolicy.objects.create(kind="stay", line="major", created_by_name="boss", **image)
    assert decide(f"undo:{everybodys.pk}") == 404
    assert decide(f"undo:{policy.pk}") == 302
    assert set(UpdatePolicy.objects.filter(ended_at=None)) == {everybodys}
    assert "Decide about" not in client.get("/updates/").content.decode()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"act": "nonsense"}, 400),
        ({"act": "snooze:9999"}, 400),
        ({"act": "undo:nonsense"}, 404),
        ({"act": f"undo:{uuid.uuid4()}"}, 404),
        ({"act": "ignore:2.1.0", "container": "nonsense"}, 404),
        ({"act": "ignore:2.1.0", "container": str(uuid.uuid4())}, 404),
        ({"act": "ignore:2.1.0", "repository": "none"}, 404),
    ],
)
def test_decisions_that_make_no_sense(people: People, data: dict[str, str], status: int) -> None:
    RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "2.1.0"])
    decided(app("one"))
    image = {"registry": "registry.example", "repository": "team/app", "tag": "1.0.0"}

    assert people.client("operator").post("/updates/decide/", {**image, **data}).status_code == status


def test_version_that_is_not_offered_is_refused_in_words(
    fleet_of_updates: dict[str, Container], people: People
) -> None:
    client, container = people.client("operator"), fleet_of_updates["major"]

    response = client.post("/updates/decide/", {"act": "ignore:9.9", "container": str(container.pk)}, **PARTIAL)

    assert response.status_code == 204
    assert "not offered any more" in response.headers["HX-Trigger"]


def test_check_answers_with_its_progress(fleet_of_updates: dict[str, Container], people: People) -> None:
    client = people.client("operator")

    part = client.post("/updates/check/", {"device": str(fleet_of_updates["major"].device_id)}, **PARTIAL)
    whole = client.post("/updates/check/", HTTP_REFERER="http://testserver/updates/?kind=major")

    assert "looked up" in part.content.decode()
    assert (whole.status_code, whole.headers["Location"]) == (302, "http://testserver/updates/?kind=major")
    assert client.post("/updates/check/", HTTP_REFERER="https://evil.example/").headers["Location"] == "/updates/"


def test_container_page_tells_why(fleet_of_updates: dict[str, Container], people: People) -> None:
    client = people.client("viewer")

    major = client.get(f"/containers/{fleet_of_updates['major'].pk}/updates/").content.decode()
    broken = client.get(f"/containers/{fleet_of_updates['broken'].pk}/updates/").content.decode()
    unjudged = client.get(f"/containers/{app('new').pk}/updates/").content.decode()

    assert "Offered: 1.0.0 → 2.1.0 (major)." in major
    assert "no right" in broken and "There is no earlier good answer" in broken
    assert "Not checked yet" in unjudged


def test_hostile_labels_and_tags_are_escaped_everywhere(people: People) -> None:
    tag = "1.0.0"
    RepositoryFactory(host="registry.example", path="team/app", tags=[tag, HOSTILE, "1.0.1"])
    container = app("one", labels={"wud.tag.include": f"([{HOSTILE}", "wud.link.template": f"javascript:{HOSTILE}"})
    container.label_warnings = [{"label": HOSTILE, "value": HOSTILE, "text": HOSTILE}]
    container.save()
    other = app("two", labels={"wud.link.template": f"https://x.example/{HOSTILE}"})
    decided(container, other)
    UpdateStatus.objects.filter(container=container).update(detail=HOSTILE, source_url="https://x.example/")
    client = people.client("administrator")

    for page in (
        "/updates/?state=all",
        f"/containers/{container.pk}/updates/",
        f"/containers/{other.pk}/updates/",
        "/containers/",
        f"/containers/{container.pk}/",
    ):
        html = client.get(page).content.decode()
        assert "<script>alert" not in html, page
        assert 'href="javascript:' not in html, page


def test_used_by_lists_the_containers_of_a_repository(fleet_of_updates: dict[str, Container], people: People) -> None:
    response = people.client("viewer").get("/updates/used-by/?registry=registry.example&repository=team/app", **PARTIAL)

    assert response.context["count"] == 4
    assert "major" in response.content.decode()


def test_counts_on_home_and_in_the_side_bar(fleet_of_updates: dict[str, Container], people: People) -> None:
    client = people.client("viewer")
    UpdateStatus.objects.filter(container=fleet_of_updates["minor"]).update(snoozed_until=now() + timedelta(days=1))

    response = client.get("/")

    counts = response.context["counts"]
    assert (counts.updates, counts.updates_major, counts.updates_minor, counts.updates_failed) == (1, 1, 0, 1)
    assert 'data-updates="1"' in response.content.decode()


def test_badge_stands_on_the_row_and_in_the_head(fleet_of_updates: dict[str, Container], people: People) -> None:
    client, container = people.client("viewer"), fleet_of_updates["major"]

    row = client.get("/containers/?q=major").content.decode()
    head = client.get(f"/containers/{container.pk}/").content.decode()

    assert "update-badge--major" in row and "1.0.0 → 2.1.0" in row
    assert "update-badge--major" in head
