"""The rows of networks follow real engines: from sweeps, and from events about single ones."""

import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest

from containers.events.recording import record
from containers.models import Network
from containers.network_rows import attached_to
from containers.network_sync import sweep_networks
from containers.rules.events import EngineEvent
from devices.connections import Engine
from devices.errors import NotDocker
from tests.containers.stage import MakeStage, Onlooker, Stage, heard, unique

pytestmark = pytest.mark.django_db
CLOCK = "demo/clock:1.0.0"


@pytest.fixture
def made(stage: Stage) -> Iterator[tuple[str, str]]:
    """A network on the host that goes at the end: its id and name."""
    name = f"net-{uuid.uuid4().hex[:8]}"
    engine_id = stage.host.api("POST", "/networks/create", {"Name": name})["Id"]
    yield engine_id, name
    if any(entry["Id"] == engine_id for entry in stage.host.api("GET", "/networks")):
        stage.host.remove_runs()
        stage.host.api("DELETE", f"/networks/{engine_id}")


def tell(stage: Stage, action: str, engine_id: str, **attributes: str) -> None:
    """An event about a network, as the listener hands it on."""
    record(stage.device, stage.engine, [EngineEvent("network", action, engine_id, "", attributes, stage.clock_ns())])


def names(stage: Stage) -> set[str]:
    return set(Network.objects.filter(device=stage.device).values_list("name", flat=True))


@pytest.mark.parametrize("engine", ["20", "26", "28", "podman"])
def test_sweep_each_engine_rows_equal_its_networks_and_containers_are_on_them(
    make_stage: MakeStage, engine: str
) -> None:
    stage = make_stage(engine)
    name = unique("on-default")
    stage.host.run(name, CLOCK)

    stage.sweep()

    told = {entry["Id"] for entry in stage.host.api("GET", "/networks")}
    assert set(Network.objects.filter(device=stage.device).values_list("engine_id", flat=True)) == told
    default = Network.objects.for_page().get(device=stage.device, name="podman" if engine == "podman" else "bridge")
    members = attached_to(default)
    assert name in [container.name for container, _place in members]
    assert default.container_count == len(members) and default.running_count >= 1
    assert default.is_predefined


def test_sweep_second_time_asks_once_and_changes_nothing(stage: Stage) -> None:
    sweep_networks(stage.device, stage.engine)
    before = list(Network.objects.filter(device=stage.device).values_list("pk", "changed_at").order_by("pk"))
    onlooker = Onlooker(stage.engine)

    assert sweep_networks(stage.device, cast(Engine, onlooker)) == 0

    assert onlooker.asked == ["/networks"]
    assert list(Network.objects.filter(device=stage.device).values_list("pk", "changed_at").order_by("pk")) == before


def test_sweep_keeps_what_became_known_while_it_ran_and_forgets_the_rest(stage: Stage) -> None:
    Network.objects.create(device=stage.device, engine_id="e" * 64, name="gone")
    onlooker = Onlooker(stage.engine)
    onlooker.after["/networks"] = lambda: Network.objects.create(device=stage.device, engine_id="f" * 64, name="new")

    sweep_networks(stage.device, cast(Engine, onlooker))

    assert "new" in names(stage) and "gone" not in names(stage)


@pytest.mark.parametrize("answer", [{"message": "no"}, None, "x"])
def test_list_that_is_no_list_takes_no_row_away(stage: Stage, answer: Any) -> None:
    sweep_networks(stage.device, stage.engine)
    before = names(stage)
    onlooker = Onlooker(stage.engine)
    onlooker.answers["/networks"] = answer

    with pytest.raises(NotDocker):
        sweep_networks(stage.device, cast(Engine, onlooker))

    assert names(stage) == before and before


@pytest.mark.django_db(transaction=True)
def test_stopped_container_that_comes_or_goes_is_told_to_pages_of_its_networks(make_stage: MakeStage) -> None:
    stage = make_stage("28")
    sweep_networks(stage.device, stage.engine)
    bridge = Network.objects.get(device=stage.device, name="bridge")

    with heard() as read:
        container = stage.host.run(unique("cold"), CLOCK, start=False)
        stage.tell("create", engine_id=container)
        came = [message["ids"] for message in read(3) if message["kind"] == "network"]
        stage.host.api("DELETE", f"/containers/{container}")
        stage.tell("destroy", engine_id=container)
        told = [message["ids"] for message in read(6) if message["kind"] == "network"]

    assert came == [[str(bridge.pk)]]
    assert told == [[str(bridge.pk)]] * 2


def test_events_bring_a_network_its_containers_and_its_end(stage: Stage, made: tuple[str, str]) -> None:
    engine_id, name = made
    tell(stage, "create", engine_id)
    assert name in names(stage)

    container = stage.host.run(unique("joins"), CLOCK)
    stage.sweep()
    stage.host.api("POST", f"/networks/{engine_id}/connect", {"Container": container})
    tell(stage, "connect", engine_id, container=container)
    row = Network.objects.for_page().get(device=stage.device, engine_id=engine_id)
    assert (row.container_count, row.running_count) == (1, 1)

    stage.host.api("POST", f"/networks/{engine_id}/disconnect", {"Container": container})
    tell(stage, "disconnect", engine_id, container=container)
    stage.host.api("DELETE", f"/networks/{engine_id}")
    tell(stage, "destroy", engine_id)
    assert name not in names(stage)
