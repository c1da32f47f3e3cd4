"""Several operations at once: a result per item, wave after wave, failures tried again."""

import pytest
from django.test import Client

from containers import batches, operations
from containers.errors import OperationRefused
from containers.models import Batch, Container, Operation
from containers.rules.waves import DEPENDS_ON
from ssm.lib.errors import SsmError
from tests.factories import ContainerFactory, DeviceFactory, OperationFactory
from tests.people import People, make_people
from tests.queued import take_queued

pytestmark = pytest.mark.django_db(transaction=True)


def project(*services: tuple[str, str]) -> dict[str, Container]:
    """Containers of one compose project on one device: service and what it depends on."""
    device = DeviceFactory(online=True)
    return {
        service: ContainerFactory(
            device=device,
            name=f"shop-{service}",
            compose_project="shop",
            compose_service=service,
            labels={DEPENDS_ON: f"{needed}:service_started:false"} if needed else {},
        )
        for service, needed in services
    }


def requested(containers: dict[str, Container], kind: str, **options: bool) -> dict[str, Operation]:
    take_queued()
    user = make_people().operator
    batch = batches.request_batch(user, list(containers.values()), kind, title=f"{kind} shop", **options)
    services = {container.pk: service for service, container in containers.items()}
    return {services[entry.container_id]: entry for entry in batch.operations.all() if entry.container_id}


def sent() -> list[str]:
    return sorted(queued.ids[0] for queued in take_queued())


def end(operation: Operation, error: SsmError | None = None) -> None:
    claimed = operations.claim(str(operation.pk), "w1")
    assert claimed is not None
    assert operations.fail(claimed, error) if error else operations.succeed(claimed)


def test_batch_of_a_project_goes_wave_by_wave() -> None:
    made = requested(project(("web", "api"), ("api", "db"), ("db", "")), "start")

    assert sent() == [str(made["db"].pk)]
    assert operations.claim(str(made["api"].pk), "w1") is None
    end(made["db"])
    assert sent() == [str(made["api"].pk)]
    end(made["api"])
    assert sent() == [str(made["web"].pk)]


def test_batch_after_a_failure_goes_on_unless_it_stops_there() -> None:
    made = requested(project(("web", "db"), ("db", "")), "restart")
    take_queued()

    end(made["db"], SsmError("No."))

    assert sent() == [str(made["web"].pk)]


def test_batch_that_stops_on_failure_cancels_the_rest() -> None:
    made = requested(project(("web", "db"), ("db", "")), "restart", stops_on_failure=True)
    take_queued()

    end(made["db"], SsmError("No."))

    assert sent() == []
    web = Operation.objects.get(pk=made["web"].pk)
    assert (web.state, web.is_final) == ("cancelled", True)
    assert "failed" in web.outcome


def test_batch_item_that_is_busy_is_a_failed_one_with_its_reason() -> None:
    busy = ContainerFactory()
    OperationFactory(container=busy, kind="stop", state="queued", requested_by_name="bob")

    batch = batches.request_batch(make_people().operator, [busy, ContainerFactory()], "restart", title="Restart 2")

    states = dict(batch.operations.values_list("container_id", "state"))
    assert states[busy.pk] == "failed"
    assert "bob" in batch.operations.get(container=busy).error_message
    assert sorted(states.values()) == ["failed", "queued"]


def test_batch_without_containers_is_refused() -> None:
    with pytest.raises(OperationRefused):
        batches.request_batch(make_people().operator, [], "stop", title="Stop 0")
    assert not Batch.objects.exists()


def test_retry_asks_again_for_what_failed_alone() -> None:
    made = requested(project(("web", ""), ("db", "")), "restart")
    end(made["db"], SsmError("No."))
    end(made["web"])

    again = batches.retry_failed(made["db"].requested_by, made["db"].batch)

    assert [entry.target_name for entry in again.operations.all()] == ["shop-db"]


def test_cancel_takes_back_what_has_not_begun() -> None:
    made = requested(project(("web", "db"), ("db", "")), "restart")
    operations.claim(str(made["db"].pk), "w1")

    assert batches.cancel_waiting(made["db"].batch) == 1
    standing = batches.standing_of(made["db"].batch)
    assert (standing.running, standing.cancelled, standing.left) == (1, 1, 1)


# ---- the pages


@pytest.fixture
def operator(people: People) -> Client:
    return people.client("operator")


def press(client: Client, kind: str, containers: list[Container], **data: str):
    chosen = {"container": [str(container.pk) for container in containers]}
    return client.post("/containers/bulk/", {"kind": kind} | chosen | data)


def test_bulk_start_is_not_asked_back(operator: Client) -> None:
    answer = press(operator, "start", [ContainerFactory(state="exited"), ContainerFactory(state="exited")])

    batch = Batch.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/activity/batches/{batch.pk}/")
    assert (batch.title, batch.operations.count()) == ("Start 2 containers", 2)
    assert "Start 2 containers" in operator.get(answer.headers["Location"]).content.decode()


def test_bulk_over_hosts_has_to_be_typed(operator: Client) -> None:
    both = [ContainerFactory(), ContainerFactory()]

    asked = press(operator, "stop", both)
    wrong = press(operator, "stop", both, confirmation="yes")
    right = press(operator, "stop", both, confirmation="stop 2", timeout_s="3")

    assert (asked.status_code, wrong.status_code, right.status_code) == (200, 422, 302)
    assert "stop 2" in asked.content.decode()
    assert all(entry.parameters == {"timeout_s": 3} for entry in Operation.objects.all())


def test_bulk_with_a_bad_parameter_keeps_what_was_typed(operator: Client) -> None:
    one = ContainerFactory()

    answer = press(operator, "kill", [one], confirmation="yes", signal="NO; THING")

    assert answer.status_code == 422
    page = answer.content.decode()
    assert "NO; THING" in page
    assert "name of a signal" in page
    assert not Operation.objects.exists()


def test_bulk_of_all_that_match_follows_the_filters(operator: Client) -> None:
    ContainerFactory(name="web-1", state="exited")
    ContainerFactory(name="db-1", state="exited")

    operator.post("/containers/bulk/", {"kind": "start", "matching": "q=web-1"})

    assert [entry.target_name for entry in Operation.objects.all()] == ["web-1"]


def test_bulk_by_htmx_asks_in_the_dialog_and_answers_with_the_summary(operator: Client) -> None:
    one = ContainerFactory()
    data = {"kind": "stop", "container": str(one.pk)}

    asked = operator.post("/containers/bulk/", data, headers={"HX-Request": "true"})
    done = operator.post("/containers/bulk/", data | {"confirmation": "yes"}, headers={"HX-Request": "true"})

    assert asked.headers["HX-Retarget"] == "#remote-dialog"
    assert "<html" not in asked.content.decode()
    assert f'id="batch-{Batch.objects.get().pk}-summary"' in done.content.decode()
    assert "dialog-close" in done.headers["HX-Trigger"]


def test_bulk_of_nothing_says_so(operator: Client) -> None:
    answer = operator.post("/containers/bulk/", {"kind": "start", "container": "not-an-id"}, follow=True)

    assert "None of the chosen containers exists any more." in answer.content.decode()


def test_batch_page_retries_and_cancels(operator: Client) -> None:
    press(operator, "start", [ContainerFactory(), ContainerFactory()])
    batch = Batch.objects.get()

    operator.post(f"/activity/batches/{batch.pk}/", {"act": "cancel"})
    again = operator.post(f"/activity/batches/{batch.pk}/", {"act": "retry"})

    assert set(batch.operations.values_list("state", flat=True)) == {"cancelled"}
    assert again.headers["Location"] != f"/activity/batches/{batch.pk}/"
    assert Batch.objects.count() == 2


def test_batch_page_needs_the_role_to_act(people: People) -> None:
    batch = Batch.objects.create(title="Stop 2 containers")

    assert people.client("viewer").get(f"/activity/batches/{batch.pk}/").status_code == 200
    assert people.client("viewer").post(f"/activity/batches/{batch.pk}/", {"act": "retry"}).status_code == 403
    assert people.client("stranger").get(f"/activity/batches/{batch.pk}/").status_code == 403
