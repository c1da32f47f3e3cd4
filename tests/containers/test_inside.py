"""What only the host can tell of a container, and what may change without making it anew: on real hosts."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from containers import inside
from containers.models import Operation
from containers.operation_requests import request_operation
from tests.containers.stage import MakeStage, Stage, unique
from tests.people import People
from tests.queued import run_queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)
CLOCK = "demo/clock:1.0.0"
MIB = 1024**2


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    take_queued()
    return make_stage("28")


def changed(stage: Stage, engine_id: str, kind: str, **parameters: Any) -> Operation:
    """What became of a change that somebody asked for."""
    user, _created = User.objects.get_or_create(username="somebody", is_superuser=True)
    made = request_operation(user, stage.row(engine_id), kind, parameters)
    run_queued()
    return Operation.objects.get(pk=made.pk)


@pytest.mark.parametrize("which", ["20", "28", "podman"])
def test_processes_are_those_in_the_container(make_stage: MakeStage, which: str) -> None:
    stage = make_stage(which)
    engine_id = stage.host.run(unique("ps"), CLOCK)
    stage.sweep()

    found = inside.processes(stage.row(engine_id), masks=True)

    command = found.titles.index("COMMAND")
    assert any("app.sh" in row[command] for row in found.rows)


def test_file_changes_name_what_was_written(stage: Stage) -> None:
    engine_id = stage.host.run(unique("diff"), CLOCK, start=False)
    stage.sweep()

    stage.host.api("POST", f"/containers/{engine_id}/start")
    found = inside.file_changes(stage.row(engine_id))

    assert all(
        change.what in ("added", "changed", "deleted") and change.path.startswith("/") for change in found.changes
    )
    assert found.total == len(found.changes)


def test_rename_and_limits_are_changed_on_the_host(stage: Stage) -> None:
    engine_id, name = stage.host.run(unique("set"), CLOCK), unique("renamed")
    stage.sweep()

    renamed = changed(stage, engine_id, "rename", name=name)
    limited = changed(
        stage,
        engine_id,
        "configure",
        Memory=64 * MIB,
        MemorySwap=128 * MIB,
        NanoCpus=500_000_000,
        RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 2},
    )

    told = stage.host.api("GET", f"/containers/{engine_id}/json")
    row = stage.row(engine_id)
    assert (renamed.state, renamed.outcome) == ("succeeded", f"now called {name}")
    assert (limited.state, limited.error_message) == ("succeeded", "")
    assert (told["Name"], row.name) == (f"/{name}", name)
    assert (told["HostConfig"]["Memory"], told["HostConfig"]["NanoCpus"]) == (64 * MIB, 500_000_000)
    assert (row.restart_policy, row.inspect["HostConfig"]["Memory"]) == ("on-failure", 64 * MIB)


def test_rename_to_a_name_that_is_taken_tells_the_engines_words(stage: Stage) -> None:
    taken, engine_id = unique("taken"), stage.host.run(unique("other"), CLOCK, start=False)
    stage.host.run(taken, CLOCK, start=False)
    stage.sweep()

    ended = changed(stage, engine_id, "rename", name=taken)

    assert (ended.state, ended.error_code) == ("failed", "engine_conflict")
    assert taken in ended.error_message


def test_pages_that_ask_the_host_answer_by_htmx_and_tell_what_failed(stage: Stage, people: People) -> None:
    engine_id = stage.host.run(unique("page"), CLOCK, start=False)
    stage.sweep()
    address = f"/containers/{stage.row(engine_id).pk}/processes/"

    frame = people.client("viewer").get(address)
    part = people.client("viewer").get(address, headers={"HX-Request": "true"})

    assert "Asking" in frame.content.decode()
    assert "<html" not in part.content.decode()
    assert "is not running" in part.content.decode()


# ---- the settings page


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"kind": "rename", "name": "no/slashes"}, "name"),
        ({"kind": "configure", "memory": "lots"}, "memory"),
    ],
)
def test_settings_with_a_mistake_keep_what_was_typed(
    stage: Stage, people: People, data: dict[str, str], field: str
) -> None:
    stage.sweep()
    container = stage.device.containers.present().first()
    assert container is not None

    answer = people.client("operator").post(f"/containers/{container.pk}/settings/", data)

    assert answer.status_code == 422
    assert data[field] in answer.content.decode()
    assert not Operation.objects.exists()


def test_settings_as_they_are_ask_for_nothing(stage: Stage, people: People) -> None:
    stage.sweep()
    container = stage.device.containers.present().filter(restart_policy="always").first()
    assert container is not None

    people.client("operator").post(
        f"/containers/{container.pk}/settings/", {"kind": "configure", "restart_policy": "always"}
    )

    assert not Operation.objects.exists()
