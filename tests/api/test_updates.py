"""Updates by the API: told, checked, decided about, applied, taken back."""

from datetime import timedelta

import pytest

from containers.models import Container, Operation, UpdatePolicy, UpdateStatus
from devices.models import now
from ssm.lib.roles import Limit
from tests.api.caller import MakeCaller
from tests.factories import ContainerFactory, ReplacementFactory

pytestmark = pytest.mark.django_db


def offered(name: str = "web", **columns: object) -> Container:
    container: Container = ContainerFactory(name=name)
    UpdateStatus.objects.create(
        container=container,
        registry="docker.io",
        repository="demo/web",
        tag="1.0.0",
        **{"state": "update_available", "change": "minor", "offered_tag": "1.1.0", "severity": 2, **columns},
    )
    return container


def test_offers_are_listed_and_filtered(caller: MakeCaller) -> None:
    offered("web")
    offered("big", change="major", offered_tag="2.0.0", severity=3)
    offered("old", state="up_to_date", change="", offered_tag="")
    program = caller("viewer")

    def names(**query: str) -> list[str]:
        return [item["container"]["name"] for item in program.get("/updates", query).body["items"]]

    assert names() == ["big", "web"]
    assert names(kind="major") == ["big"]
    assert names(state="all", sort="-container") == ["web", "old", "big"]
    assert names(sort="severity") == ["big", "web"]


def test_container_tells_why_and_what_can_be_done(caller: MakeCaller) -> None:
    container = offered()
    ReplacementFactory(container=container)

    body = caller("viewer").get(f"/containers/{container.pk}/update").body

    assert [target["tag"] for target in body["targets"]] == ["1.1.0"]
    assert (body["problem"], body["offered_tag"]) == ("", "1.1.0")
    assert [row["may_go_back"] for row in body["replacements"]] == [True]
    assert caller("viewer").get(f"/containers/{ContainerFactory().pk}/update").status == 404


def test_one_update_is_an_operation_and_several_are_a_batch(caller: MakeCaller) -> None:
    first, second, third = offered("a"), offered("b"), offered("c")
    program = caller()

    one = program.post("/updates/apply", {"containers": [str(first.pk)], "stable_s": 20})
    several = program.post("/updates/apply", {"containers": [str(second.pk), str(third.pk)]})

    assert (one.status, one.body["operation"]["kind"], one.body["batch"]) == (202, "update", None)
    operation = Operation.objects.get(pk=one.body["operation"]["id"])
    assert operation.parameters["reference"].endswith("demo/web:1.1.0")
    assert operation.parameters["watch"]["stable_s"] == 20
    assert (several.status, several.body["batch"]["total"]) == (202, 2)


def test_update_to_what_is_not_there_is_refused(caller: MakeCaller) -> None:
    current = offered(state="up_to_date", change="", offered_tag="")
    program = caller()

    assert program.post("/updates/apply", {"containers": [str(current.pk)]}).status == 409
    wrong = program.post("/updates/apply", {"containers": [str(current.pk)], "probe": "ask nicely"})
    assert list(wrong.body["fields"]) == ["probe"]
    assert caller("viewer").post("/updates/apply", {"containers": [str(current.pk)]}).status == 403


def test_decision_counts_and_is_taken_back(caller: MakeCaller) -> None:
    container, program = offered(), caller()
    body = {"kind": "snooze", "container": str(container.pk)}

    missing = program.post("/updates/decisions", body)
    made = program.post("/updates/decisions", {**body, "until": (now() + timedelta(days=3)).isoformat()})

    assert list(missing.body["fields"]) == ["until"]
    assert made.status == 201
    assert program.delete(f"/updates/decisions/{made.body['id']}").status == 204
    assert UpdatePolicy.objects.get().ended_by_name == "operator"


def test_decision_about_an_image_is_for_those_who_operate_everywhere(caller: MakeCaller) -> None:
    offered()
    body = {"kind": "ignore", "registry": "docker.io", "repository": "demo/web", "tag": "1.0.0", "version": "1.1.0"}

    assert caller(limit=Limit(device_groups=("lab",))).post("/updates/decisions", body).status == 403
    assert caller().post("/updates/decisions", {**body, "repository": "nobody/runs"}).status == 404
    assert caller().post("/updates/decisions", body).status == 201


def test_check_is_followed_to_its_end(caller: MakeCaller) -> None:
    container = offered()

    asked = caller().post("/updates/check", {"container": str(container.pk)})

    assert asked.status == 202
    assert caller("viewer").get(f"/updates/checks/{asked.body['id']}").body["total"] == asked.body["total"]


def test_replacement_is_kept_discarded_and_gone_back_to(caller: MakeCaller) -> None:
    kept, program = ReplacementFactory(kept=True), caller()
    path = f"/replacements/{kept.pk}"

    assert program.post(f"{path}/keep", {"seconds": 0}).body["keep_until"] is None
    assert program.post(f"{path}/rollback").body["kind"] == "rollback"
    Operation.objects.all().delete()
    assert program.post(f"{path}/discard").body["kind"] == "discard"
