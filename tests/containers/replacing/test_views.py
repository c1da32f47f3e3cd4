"""The pages that ask for updates and for the way back: what they show, refuse and ask for."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from containers.models import Batch, Container, Operation, Replacement, UpdateStatus
from tests.factories import ContainerFactory, DeviceFactory, ReplacementFactory
from tests.people import People

pytestmark = pytest.mark.django_db
APPLY = "/updates/apply/"
HTMX = {"HX-Request": "true"}


def behind(name: str = "web", change: str = "minor", **columns: Any) -> Container:
    """A container for which an update is known."""
    container: Container = ContainerFactory(name=name, **columns)
    UpdateStatus.objects.create(
        container=container,
        state="update_available",
        registry="docker.io",
        repository="demo/web",
        tag="1.0.0",
        offered_tag="1.1.0" if change != "major" else "2.0.0",
        change=change,
        in_minor="1.0.1",
        severity=3,
    )
    return container


def test_apply_shows_targets_options_and_the_compose_warning(people: People) -> None:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.project.config_files": "/srv/<b>shop.yml"}
    container = behind(labels=labels)
    ContainerFactory(
        device=container.device,
        name="side",
        inspect={"HostConfig": {"NetworkMode": f"container:{container.engine_id}"}},
    )

    page = people.client("operator").get(APPLY, {"container": container.pk}, headers=HTMX)

    text = page.content.decode()
    assert page.headers["HX-Retarget"] == "#remote-dialog"
    assert 'value="1.1.0" checked' in text and 'value="1.0.1"' in text
    assert "/srv/&lt;b&gt;shop.yml" in text and "<b>shop" not in text
    assert "side" in text and "must be recreated afterwards" in text
    assert "keep_old_s" not in text  # those of compose projects are not kept


def test_apply_confirmed_asks_for_one_update_and_leads_to_it(people: People) -> None:
    container = behind()

    answer = people.client("operator").post(
        APPLY, {"container": container.pk, "tag": "1.0.1", "confirmation": "yes", "probe": "http:80/", "stable_s": "5"}
    )

    operation = Operation.objects.get()
    assert answer.status_code == 302 and answer.url == operation.get_absolute_url()
    assert (operation.kind, operation.container_id) == ("update", container.pk)
    assert operation.parameters["reference"] == "demo/web:1.0.1"
    assert operation.parameters["watch"] == {"stable_s": 5, "patience_s": 0, "probe": "http:80/"}
    assert operation.parameters["keep_old_s"] == 24 * 3600
    assert operation.requested_by_name == "operator"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tag": "1.1.0", "probe": "no probe"}, "Write tcp:5432"),
        ({"tag": "1.1.0", "stable_s": "0"}, "whole seconds"),
        ({}, "Choose at least one"),
    ],
)
def test_apply_with_a_mistake_asks_again_and_does_nothing(people: People, given: dict[str, str], said: str) -> None:
    container = behind()

    page = people.client("operator").post(APPLY, {"container": container.pk, "confirmation": "yes", **given})

    assert page.status_code == 422
    assert said in page.content.decode()
    assert not Operation.objects.exists()


def test_apply_to_several_hosts_ticks_no_major_and_has_to_be_typed(people: People) -> None:
    minor, major = behind(), behind("api", "major")
    left_out = ContainerFactory(name="plain")
    ids = [str(found.pk) for found in (minor, major, left_out)]
    client = people.client("operator")

    page = client.post(APPLY, {"container": ids}).content.decode()
    wrong = client.post(APPLY, {"container": ids, "pick": ids, "confirmation": "yes"})
    answer = client.post(
        APPLY, {"container": ids, "pick": ids, "confirmation": "update", "stops_on_failure": "on", "keep_old_s": "0"}
    )

    assert f'value="{minor.pk}" checked' in page and f'value="{major.pk}" checked' not in page
    assert "plain (Not checked yet.)" in page
    assert wrong.status_code == 422
    batch = Batch.objects.get()
    assert answer.url == batch.get_absolute_url()
    assert batch.stops_on_failure
    asked = dict(batch.operations.values_list("target_name", "parameters__reference"))
    assert asked == {"web": "demo/web:1.1.0", "api": "demo/web:2.0.0"}


def test_apply_on_one_device_goes_one_after_the_other(people: People) -> None:
    device = DeviceFactory(online=True)
    ids = [str(behind(f"web-{number}", device=device).pk) for number in range(3)]

    people.client("operator").post(APPLY, {"container": ids, "pick": ids, "confirmation": "yes"})

    assert sorted(Operation.objects.values_list("wave", flat=True)) == [0, 1, 2]
    assert set(Operation.objects.values_list("lane", flat=True)) == {str(device.pk)}


def test_apply_of_an_image_takes_all_that_are_behind(people: People) -> None:
    behind(), behind("other")
    ContainerFactory(name="current")

    page = people.client("operator").get(APPLY, {"image": "docker.io/demo/web:1.0.0"}).content.decode()

    assert page.count('name="pick"') == 2


def test_apply_all_that_match_the_filters_of_the_updates_page(people: People) -> None:
    behind(), behind("api", "major")

    page = people.client("operator").post(APPLY, {"list": "updates", "matching": "kind=major"})

    assert "Update api on" in page.content.decode()


def test_apply_where_the_user_may_not_operate_is_refused(people: People) -> None:
    container = behind()

    assert people.client("viewer").get(APPLY, {"container": container.pk}).status_code == 403
    assert people.client("viewer").post(APPLY, {"container": container.pk, "confirmation": "yes"}).status_code == 403
    assert not Operation.objects.exists()


def test_apply_to_nothing_goes_back_with_the_reason(people: People) -> None:
    answer = people.client("operator").post(APPLY, {"container": str(uuid.uuid4())}, follow=True)

    assert "None of the chosen containers exists any more" in answer.content.decode()


@pytest.mark.parametrize("count", [1, 30])
def test_apply_takes_a_constant_number_of_queries(people: People, count: int) -> None:
    device = DeviceFactory(online=True)
    ids = [str(behind(f"web-{number}", device=device).pk) for number in range(count)]
    client = people.client("operator")

    with CaptureQueriesContext(connection) as queries:
        client.post(APPLY, {"container": ids})

    assert len(queries) <= 14, [query["sql"][:120] for query in queries]


def test_container_page_shows_what_it_was_before_with_the_way_back(people: People) -> None:
    container = behind()
    kept, removed = ReplacementFactory(container=container, kept=True), ReplacementFactory(container=container)
    secret = Replacement.objects.filter(pk=kept.pk)
    secret.update(specification='{"config": {"Env": ["PASSWORD=hunter2"]}}')

    page = people.client("viewer").get(reverse("containers:updates", args=[container.pk])).content.decode()

    assert "demo/web:0.9.0" in page and "kept, stopped," in page
    assert "hunter2" not in page
    assert reverse("updates:replacement", args=[kept.pk]) in page
    assert reverse("updates:replacement", args=[removed.pk]) in page


def test_go_back_asks_then_requests_it(people: People) -> None:
    replacement = ReplacementFactory()
    url = reverse("updates:replacement", args=[replacement.pk])
    client = people.client("operator")

    question = client.post(url, {"act": "rollback"}, headers=HTMX)
    answer = client.post(url, {"act": "rollback", "confirmation": "yes", "keep_old_s": "0"}, headers=HTMX)

    assert "made anew" in question.content.decode()
    operation = Operation.objects.get()
    assert answer.headers["HX-Redirect"] == operation.get_absolute_url()
    assert (operation.kind, operation.parameters["replacement"]) == ("rollback", str(replacement.pk))


def test_kept_container_may_be_kept_longer_or_removed_now(people: People) -> None:
    replacement = ReplacementFactory(kept=True)
    url = reverse("updates:replacement", args=[replacement.pk])
    client = people.client("operator")

    client.post(url, {"act": "keep"})
    replacement.refresh_from_db()
    client.post(url, {"act": "discard", "confirmation": "yes"})

    assert replacement.keep_until is None
    assert Operation.objects.get().kind == "discard"


def test_go_back_twice_is_refused(people: People) -> None:
    replacement = ReplacementFactory(state="restored")
    url = reverse("updates:replacement", args=[replacement.pk])

    answer = people.client("operator").post(url, {"act": "rollback", "confirmation": "yes"}, follow=True)

    assert "was put back already" in answer.content.decode()
    assert not Operation.objects.exists()
