"""Containers by the API: lists, details, acts; who may, and what is told when something is wrong."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from containers.models import Container, Operation
from ssm.api.entry import api
from ssm.lib.roles import Limit, Right
from tests.api.caller import Caller, MakeCaller
from tests.factories import ContainerFactory, DeviceFactory
from tests.queued import take_queued

pytestmark = pytest.mark.django_db


def names(caller: Caller, **query: Any) -> list[str]:
    answer = caller.get("/containers", query)
    assert answer.status == 200, answer.body
    return [item["name"] for item in answer.body["items"]]


def test_list_tells_containers_of_all_devices(caller: MakeCaller) -> None:
    web = ContainerFactory(name="web", image_reference="nginx:1.27", device=DeviceFactory(name="host-1", online=True))
    ContainerFactory(name="db", device=DeviceFactory(name="host-2"))

    items = caller("viewer").get("/containers").body["items"]

    assert [item["name"] for item in items] == ["db", "web"]
    assert items[1]["id"] == str(web.pk)
    assert items[1]["device"] == {"id": str(web.device_id), "name": "host-1"}
    assert items[1]["image"]["reference"] == "nginx:1.27"
    assert [item["is_stale"] for item in items] == [True, False]
    assert "environment" not in items[0]


def test_pages_tell_every_container_once_while_rows_come_and_go(caller: MakeCaller) -> None:
    device = DeviceFactory(name="host-1")
    for number in range(7):
        ContainerFactory(name=f"c{number}", device=device)
    program = caller("viewer")

    first = program.get("/containers", {"limit": 3}).body
    Container.objects.filter(name="c0").delete()
    ContainerFactory(name="b-new", device=device)
    second = program.get("/containers", {"limit": 3, "cursor": first["next"]}).body
    third = program.get("/containers", {"limit": 3, "cursor": second["next"]}).body

    told = [item["name"] for page in (first, second, third) for item in page["items"]]
    assert told == [f"c{number}" for number in range(7)]
    assert third["next"] == ""


@pytest.mark.parametrize("sort", ["name", "-name", "device", "-state", "appeared", "-changed"])
def test_every_order_can_be_paged_to_its_end(sort: str, caller: MakeCaller) -> None:
    for number in range(5):
        ContainerFactory(name=f"c{number}")
    program, told, cursor = caller("viewer"), [], ""

    while True:
        page = program.get("/containers", {"limit": 2, "sort": sort, "cursor": cursor}).body
        told += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if not cursor:
            break

    assert len(told) == len(set(told)) == 5


def test_filters_hold_together(caller: MakeCaller) -> None:
    device = DeviceFactory(groups=["production"])
    ContainerFactory(name="web", device=device, state="running")
    ContainerFactory(name="web-old", device=device, state="exited", exit_code=0)
    ContainerFactory(name="web", state="running")
    program = caller("viewer")

    assert names(program, q="web", state="running", group="production") == ["web"]
    assert names(program, state="exited") == ["web-old"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "flying"}, "state"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_000}, "limit"),
        ({"sort": "colour"}, "sort"),
        ({"device": "host-1"}, "device"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "WyJuYW1lIiwiYSJd"}, "cursor"),
    ],
)
def test_query_that_cannot_be_used_names_its_field(query: dict[str, Any], field: str, caller: MakeCaller) -> None:
    answer = caller("viewer").get("/containers", query)

    assert answer.status == 422
    assert answer.body["code"] == "invalid"
    assert field in answer.body["fields"]


def test_list_costs_as_many_queries_for_many_as_for_few(caller: MakeCaller) -> None:
    program = caller("viewer")
    ContainerFactory()
    with CaptureQueriesContext(
        connection,
    ) as few:
        program.get("/containers")
    for _number in range(20):
        ContainerFactory()
    with CaptureQueriesContext(connection) as many:
        program.get("/containers")

    # The token's last use is noted once a minute.
    assert len(many) <= len(few)


def test_values_of_variables_are_for_those_with_the_right(caller: MakeCaller) -> None:
    container = ContainerFactory(environment='[["TOKEN", "s3cret"]]')

    seen = caller("administrator").get(f"/containers/{container.pk}").body
    hidden = caller("viewer").get(f"/containers/{container.pk}").body
    narrowed = caller("administrator", [Right.SEE]).get(f"/containers/{container.pk}").body

    assert seen["environment"] == [{"name": "TOKEN", "value": "s3cret"}]
    assert hidden["environment"] == narrowed["environment"] == [{"name": "TOKEN", "value": None}]


@pytest.mark.django_db(transaction=True)
def test_act_answers_with_the_operation_that_was_asked_for(caller: MakeCaller) -> None:
    container = ContainerFactory(device=DeviceFactory(online=True))

    answer = caller().post(f"/containers/{container.pk}/stop", {"timeout_s": 3})

    operation = Operation.objects.get()
    assert answer.status == 202
    assert answer.body["id"] == str(operation.pk)
    assert (operation.kind, operation.parameters, operation.requested_by_name) == ("stop", {"timeout_s": 3}, "operator")
    assert [queued.ids for queued in take_queued()] == [(str(operation.pk),)]


def test_second_act_meanwhile_is_a_conflict(caller: MakeCaller) -> None:
    container = ContainerFactory(device=DeviceFactory(online=True))
    program = caller()
    program.post(f"/containers/{container.pk}/stop")

    answer = program.post(f"/containers/{container.pk}/start")

    assert answer.status == 409
    assert answer.body["code"] == "operation_conflict"
    assert "being stopped already" in answer.body["message"]


def test_request_that_is_sent_again_with_its_key_is_done_once(caller: MakeCaller) -> None:
    container = ContainerFactory(device=DeviceFactory(online=True))
    program = caller()

    first = program.post(f"/containers/{container.pk}/restart", {}, Idempotency_Key="k1")
    again = program.post(f"/containers/{container.pk}/restart", {}, Idempotency_Key="k1")
    other = program.post(f"/containers/{container.pk}/stop", {}, Idempotency_Key="k1")

    assert (first.status, again.status) == (202, 202)
    assert first.body["id"] == again.body["id"]
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")
    assert Operation.objects.count() == 1


def test_request_that_failed_keeps_no_key(caller: MakeCaller) -> None:
    container = ContainerFactory(device=DeviceFactory(online=True))
    program = caller()

    refused = program.post(f"/containers/{container.pk}/kill", {"signal": "SIGNONSENSE!"}, Idempotency_Key="k2")
    right = program.post(f"/containers/{container.pk}/kill", {"signal": "SIGTERM"}, Idempotency_Key="k2")

    assert (refused.status, "signal" in refused.body["fields"]) == (422, True)
    assert right.status == 202


def test_batch_tells_the_result_of_each(caller: MakeCaller) -> None:
    device = DeviceFactory(online=True)
    ids = [str(ContainerFactory(device=device).pk) for _number in range(3)]
    program = caller()
    program.post(f"/containers/{ids[0]}/stop")

    answer = program.post("/containers/batch", {"kind": "stop", "containers": ids})
    items = program.get("/operations", {"batch": answer.body["id"]}).body["items"]

    assert answer.status == 202
    assert (answer.body["total"], answer.body["failed"]) == (3, 1)
    assert sorted(item["state"] for item in items) == ["failed", "queued", "queued"]
    assert program.get(f"/batches/{answer.body['id']}").body["waiting"] == 2


@pytest.mark.parametrize(
    ("role", "rights", "status"),
    [
        ("operator", list(Right), 202),
        ("operator", [Right.SEE], 403),
        ("viewer", list(Right), 403),
        ("stranger", list(Right), 403),
    ],
)
def test_act_takes_the_right_of_both_user_and_token(
    role: str, rights: list[Right], status: int, caller: MakeCaller
) -> None:
    container = ContainerFactory(device=DeviceFactory(online=True))

    assert caller(role, rights).post(f"/containers/{container.pk}/start").status == status


def test_token_that_is_limited_sees_and_acts_within_its_limit(caller: MakeCaller) -> None:
    inside = ContainerFactory(name="inside", device=DeviceFactory(groups=["team-a"], online=True))
    outside = ContainerFactory(name="outside", device=DeviceFactory(groups=["team-b"], online=True))
    program = caller("operator", limit=Limit(device_groups=("team-a",)))

    assert names(program) == ["inside"]
    assert program.get(f"/containers/{outside.pk}").status == 404
    assert program.post(f"/containers/{outside.pk}/stop").status == 404
    assert program.post(f"/containers/{inside.pk}/stop").status == 202


def test_nobody_and_wrong_tokens_are_refused(caller: MakeCaller) -> None:
    ContainerFactory()
    token = caller().token

    nobody = Caller().get("/containers")
    wrong = Caller(token[:-1] + ("a" if token[-1] != "a" else "b")).get("/containers")

    assert (nobody.status, nobody.body["code"]) == (401, "unauthenticated")
    assert (wrong.status, wrong.body["code"]) == (401, "token_refused")


def test_unknown_container_is_not_found(caller: MakeCaller) -> None:
    answer = caller().get(f"/containers/{uuid.uuid4()}")

    assert (answer.status, answer.body["code"]) == (404, "not_found")


def test_too_many_requests_are_told_when_to_go_on(caller: MakeCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    program = caller("viewer")
    throttles: Any = api.throttle
    for throttle in throttles:
        monkeypatch.setattr(throttle, "num_requests", 2)

    answers = [program.get("/containers") for _number in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].body["code"] == "rate_limited"
    assert 0 < int(answers[2].headers["Retry-After"]) <= 61


def test_requests_are_answered_while_nobody_counts_them(caller: MakeCaller, settings: Settings) -> None:
    program = caller("viewer")
    backend = settings.CACHES["default"]["BACKEND"]
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:9/0"}}

    assert program.get("/containers").status == 200
