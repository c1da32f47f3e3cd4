"""Acts on networks of real hosts: what they do, what is refused and why, and what becomes of it after a crash."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from containers import tasks
from containers.models import Network, Operation
from containers.operation_requests import request_device_operation
from containers.runs import network_changes
from devices.connections import pool
from tests.containers.stage import MakeStage, Stage, unique
from tests.queued import run_queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)
CLOCK = "demo/clock:1.0.0"
ENGINES = ["20", "26", "28"]


@pytest.fixture
def net() -> str:
    """A name that no other test gives a network."""
    return f"net-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def subnet() -> str:
    """A subnet that no other test uses: 4,096 of them."""
    number = uuid.uuid4().int
    return f"10.{200 + number % 16}.{number // 16 % 256}.0/24"


class Networks:
    """Networks of one host, past our product; those made in a test go at its end."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.names: list[str] = []

    def make(self, name: str, subnet: str = "", **body: Any) -> str:
        pools = {"IPAM": {"Config": [{"Subnet": subnet}]}} if subnet else {}
        self.names.append(name)
        made = self.stage.host.api("POST", "/networks/create", {"Name": name, **pools, **body})
        return str(made["Id"])

    def of(self, container: str) -> dict[str, Any]:
        """How a container is on its networks, by name."""
        answer = self.stage.host.api("GET", f"/containers/{container}/json")
        found: dict[str, Any] = answer["NetworkSettings"]["Networks"]
        return found

    def find(self, name: str) -> dict[str, Any] | None:
        listed: list[dict[str, Any]] = self.stage.host.api("GET", "/networks")
        return next((entry for entry in listed if entry["Name"] == name), None)

    def connect(self, name: str, container: str, **endpoint: Any) -> None:
        body = {"Container": container, "EndpointConfig": endpoint}
        self.stage.host.api("POST", f"/networks/{name}/connect", body)

    def remove_all(self) -> None:
        for name in self.names:
            found = self.find(name)
            if found is None:
                continue
            for item in self.stage.host.containers():
                if name in item["NetworkSettings"]["Networks"]:
                    body = {"Container": item["Id"], "Force": True}
                    self.stage.host.api("POST", f"/networks/{found['Id']}/disconnect", body)
            self.stage.host.api("DELETE", f"/networks/{found['Id']}")


MakeNetworks = Any


@pytest.fixture
def make_networks(make_stage: MakeStage) -> Iterator[MakeNetworks]:
    """Function that gives the networks of a host by engine."""
    take_queued()
    given: list[Networks] = []

    def make(which: str = "28") -> Networks:
        given.append(Networks(make_stage(which)))
        return given[-1]

    yield make
    for networks in given:
        networks.remove_all()


def ask(host: Networks, kind: str, name: str, engine_id: str = "", **parameters: Any) -> Operation:
    """Ask for an act and have it performed."""
    user, _created = User.objects.get_or_create(username="somebody", is_superuser=True)
    host.names.append(name)
    operation = request_device_operation(
        user,
        host.stage.device,
        f"network_{kind}",
        object_kind="network",
        target_name=name,
        engine_id=engine_id,
        lock=f"network:{host.stage.device.pk}:{engine_id or name}",
        parameters=parameters,
    )
    run_queued()
    return Operation.objects.get(pk=operation.pk)


def row(networks: Networks, name: str) -> Network | None:
    return Network.objects.filter(device=networks.stage.device, name=name).first()


@pytest.mark.parametrize("engine", [*ENGINES, "podman"])
def test_create_with_subnet_makes_it_and_shows_it(
    make_networks: MakeNetworks, engine: str, net: str, subnet: str
) -> None:
    networks = make_networks(engine)
    gateway = subnet.replace(".0/24", ".1")
    config = [{"Subnet": subnet, "Gateway": gateway}]
    body = {"Name": net, "Driver": "bridge", "CheckDuplicate": True, "Labels": {"a": "b"}, "IPAM": {"Config": config}}

    done = ask(networks, "create", net, body=body)

    assert (done.state, done.error_message) == ("succeeded", "")
    told, shown = networks.find(net), row(networks, net)
    assert told is not None and shown is not None
    assert (shown.engine_id, shown.driver, shown.labels) == (told["Id"], "bridge", {"a": "b"})
    assert shown.pools == [{"subnet": subnet, "gateway": gateway, "ip_range": "", "auxiliary": {}}]
    assert done.engine_id == told["Id"]


@pytest.mark.parametrize("engine", ENGINES)
def test_create_refused_by_the_engine_says_why_and_what_to_do(
    make_networks: MakeNetworks, engine: str, net: str, subnet: str
) -> None:
    networks = make_networks(engine)
    networks.make(net, subnet)
    other = f"{net}-b"

    overlapping = ask(networks, "create", other, body={"Name": other, "IPAM": {"Config": [{"Subnet": subnet}]}})
    taken = ask(networks, "create", net, body={"Name": net, "CheckDuplicate": True})
    swarmless = ask(networks, "create", other, body={"Name": other, "Driver": "overlay"})
    driverless = ask(networks, "create", other, body={"Name": other, "Driver": "no-such-driver"})

    assert [done.state for done in (overlapping, taken, swarmless, driverless)] == ["failed"] * 4
    assert "overlap" in overlapping.error_message.lower() and "Choose another subnet" in overlapping.error_fix
    assert taken.error_code == "network_name_taken" and net in taken.error_message
    assert "swarm" in swarmless.error_fix
    assert driverless.error_fix == "The host has no such driver."
    assert row(networks, other) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_remove_of_a_used_one_names_who_uses_it_stopped_ones_too(
    make_networks: MakeNetworks, engine: str, net: str
) -> None:
    networks = make_networks(engine)
    engine_id = networks.make(net)
    runs, stopped = unique("runs"), unique("stopped")
    networks.connect(net, networks.stage.host.run(runs, CLOCK))
    networks.connect(net, networks.stage.host.run(stopped, CLOCK, start=False))

    refused = ask(networks, "remove", net, engine_id)

    assert (refused.state, refused.error_code) == ("failed", "network_in_use")
    assert runs in refused.error_message and f"{stopped} (stopped)" in refused.error_message
    assert networks.find(net) is not None

    done = ask(networks, "remove", net, engine_id, disconnect=True)

    assert (done.state, done.outcome) == ("succeeded", "after disconnecting 2 containers")
    assert networks.find(net) is None
    networks.stage.host.api("POST", f"/containers/{stopped}/start")


@pytest.mark.parametrize("engine", ENGINES)
def test_connect_with_alias_and_fixed_address_then_change_then_disconnect(
    make_networks: MakeNetworks, engine: str, net: str, subnet: str
) -> None:
    networks = make_networks(engine)
    engine_id = networks.make(net, subnet)
    name = unique("placed")
    container = networks.stage.host.run(name, CLOCK)
    chosen = [{"id": container, "name": name}]
    address = subnet.replace(".0/24", ".77")
    endpoint = {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": address}}

    done = ask(networks, "connect", net, engine_id, containers=chosen, endpoint=endpoint)

    assert (done.state, done.error_message) == ("succeeded", "")
    place = networks.of(container)[net]
    assert place["IPAddress"] == address and "db" in place["Aliases"]
    shown = next(entry for entry in networks.stage.row(container).networks if entry["name"] == net)
    assert (shown["fixed"], shown["address"], shown["network_id"]) == (address, address, engine_id)

    again = ask(networks, "connect", net, engine_id, containers=chosen, endpoint={})
    assert again.state == "failed" and "is on" in again.error_message

    other = subnet.replace(".0/24", ".78")
    endpoint = {"Aliases": ["cache"], "IPAMConfig": {"IPv4Address": other}}
    changed = ask(networks, "connect", net, engine_id, containers=chosen, endpoint=endpoint, replaces=True)
    assert changed.state == "succeeded"
    assert networks.of(container)[net]["IPAddress"] == other

    wrong = {"IPAMConfig": {"IPv4Address": "10.1.1.1"}}
    refused = ask(networks, "connect", net, engine_id, containers=chosen, endpoint=wrong, replaces=True)
    assert refused.state == "failed" and refused.error_message
    assert networks.of(container)[net]["IPAddress"] == other, "it went back to how it was"

    ask(networks, "disconnect", net, engine_id, containers=chosen)
    assert net not in networks.of(container)
    assert [entry["name"] for entry in networks.stage.row(container).networks] == ["bridge"]


@pytest.mark.parametrize("engine", ENGINES)
def test_connect_replacing_repairs_a_container_whose_network_is_gone(
    make_networks: MakeNetworks, engine: str, net: str
) -> None:
    networks = make_networks(engine)
    gone = networks.make(net)
    name = unique("lost")
    container = networks.stage.host.run(name, CLOCK, start=False)
    networks.connect(net, container)
    networks.stage.host.api("POST", f"/containers/{container}/start")
    networks.stage.host.api("POST", f"/containers/{container}/stop?t=0")
    networks.stage.host.api("DELETE", f"/networks/{gone}")
    new = networks.make(net)

    done = ask(networks, "connect", net, new, containers=[{"id": container, "name": name}], endpoint={}, replaces=True)

    assert (done.state, done.error_message) == ("succeeded", "")
    networks.stage.host.api("POST", f"/containers/{container}/start")
    assert networks.of(container)[net]["NetworkID"] == new


def test_prune_keeps_what_came_into_use_meanwhile(make_networks: MakeNetworks, net: str) -> None:
    networks = make_networks()
    unused, used = networks.make(net), networks.make(f"{net}-used")
    name = unique("late")
    networks.connect(f"{net}-used", networks.stage.host.run(name, CLOCK, start=False))
    chosen = [{"id": unused, "name": net}, {"id": used, "name": f"{net}-used"}]

    done = ask(networks, "prune", "2 networks", networks=chosen)

    assert (done.state, done.outcome) == ("succeeded", "1 removed, 1 kept")
    assert name in done.output
    assert networks.find(net) is None and networks.find(f"{net}-used") is not None


# ---- changing one


def placed(networks: Networks, net: str, subnet: str) -> tuple[str, str, str, str]:
    """A network with a running container that has a fixed address and a published port, and a stopped one."""
    engine_id = networks.make(net, subnet, Labels={"keep": "me", "secret_token": "s3cret"})
    address = subnet.replace(".0/24", ".77")
    runs = networks.stage.host.run(unique("runs"), CLOCK, ports={80: 0})
    networks.connect(net, runs, Aliases=["db"], IPAMConfig={"IPv4Address": address})
    stopped = networks.stage.host.run(unique("stopped"), CLOCK, start=False)
    networks.connect(net, stopped, Aliases=["cold"])
    return engine_id, runs, stopped, address


def changed_body(net: str, subnet: str, **changes: Any) -> dict[str, Any]:
    labels = {"keep": "me", "secret_token": "••••••"}
    return {"Name": net, "Driver": "bridge", "Labels": labels, "IPAM": {"Config": [{"Subnet": subnet}]}, **changes}


@pytest.mark.parametrize("engine", ENGINES)
def test_configure_keeps_attachments_secrets_and_the_page(
    make_networks: MakeNetworks, engine: str, net: str, subnet: str
) -> None:
    networks = make_networks(engine)
    engine_id, runs, stopped, address = placed(networks, net, subnet)
    networks.stage.sweep()
    page = row(networks, net)

    done = ask(networks, "configure", net, engine_id, body=changed_body(net, subnet, Internal=True))

    assert (done.state, done.error_message) == ("succeeded", "")
    assert done.outcome == "with 2 containers put back on it"
    told = networks.find(net)
    assert told is not None and told["Internal"] is True and told["Id"] != engine_id
    assert told["Labels"] == {"keep": "me", "secret_token": "s3cret"}
    assert networks.of(runs)[net]["IPAddress"] == address and "db" in networks.of(runs)[net]["Aliases"]
    assert "cold" in networks.of(stopped)[net]["Aliases"]
    networks.stage.host.api("POST", f"/containers/{stopped}/start")
    shown = row(networks, net)
    assert page is not None and shown is not None
    assert (shown.pk, shown.engine_id, shown.internal) == (page.pk, told["Id"], True)


def test_configure_with_a_container_that_knows_it_by_its_id_is_refused(
    make_networks: MakeNetworks, net: str, subnet: str
) -> None:
    networks = make_networks()
    engine_id = networks.make(net, subnet)
    name = unique("by-id")
    body = {
        "Image": CLOCK,
        "Labels": {"fleet.run": networks.stage.host.label},
        "HostConfig": {"NetworkMode": engine_id},
    }
    networks.stage.host.api("POST", f"/containers/create?name={name}", body)

    done = ask(networks, "configure", net, engine_id, body=changed_body(net, subnet, Internal=True))

    assert (done.state, done.error_code) == ("failed", "network_unchanged")
    assert name in done.error_message and "Recreate it first" in done.error_fix
    told = networks.find(net)
    assert told is not None and told["Id"] == engine_id


@pytest.mark.parametrize("engine", ENGINES)
def test_configure_that_the_engine_refuses_leaves_all_as_it_was(
    make_networks: MakeNetworks, engine: str, net: str, subnet: str
) -> None:
    networks = make_networks(engine)
    engine_id, runs, stopped, address = placed(networks, net, subnet)
    networks.stage.sweep()
    page = row(networks, net)

    done = ask(networks, "configure", net, engine_id, body=changed_body(net, "172.17.0.0/16"))

    assert (done.state, done.error_code) == ("failed", "network_unchanged")
    assert "as they were" in done.error_message and "Choose another subnet" in done.error_fix
    told = networks.find(net)
    assert told is not None and told["IPAM"]["Config"][0]["Subnet"] == subnet
    assert told["Labels"]["secret_token"] == "s3cret"
    assert networks.of(runs)[net]["IPAddress"] == address
    networks.stage.host.api("POST", f"/containers/{stopped}/start")
    shown = row(networks, net)
    assert page is not None and shown is not None and shown.pk == page.pk


class Died(BaseException):
    """A worker that is killed."""


# Before the first step, and after each.
CRASHES = [
    ("before", "post_disconnect"),
    ("after", "post_disconnect"),
    ("after", "delete_network"),
    ("after", "post_create"),
    ("after", "post_connect"),
    ("after", "take_over"),
]


@pytest.mark.parametrize(("moment", "step"), CRASHES)
def test_configure_killed_at_any_step_is_finished_by_another_worker(
    make_networks: MakeNetworks, net: str, subnet: str, step: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = make_networks()
    engine_id, runs, stopped, address = placed(networks, net, subnet)
    networks.stage.sweep()
    real = getattr(network_changes, step)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if moment == "after":
            real(*args, **kwargs)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(network_changes, step, dying)
        with pytest.raises(Died):
            ask(networks, "configure", net, engine_id, body=changed_body(net, subnet, Internal=True))
    resume(networks)

    done = Operation.objects.latest("created_at")
    assert (done.state, done.error_message) == ("succeeded", "")
    listed = networks.stage.host.api("GET", "/networks")
    assert [entry["Internal"] for entry in listed if entry["Name"] == net] == [True]
    assert networks.of(runs)[net]["IPAddress"] == address
    assert "cold" in networks.of(stopped)[net]["Aliases"]
    assert Network.objects.filter(device=networks.stage.device, name=net).count() == 1


@pytest.mark.slow
def test_configure_link_cut_in_the_middle_goes_on_after_it_heals(
    make_stage: MakeStage, net: str, subnet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_queued()
    networks = Networks(make_stage("26", exclusive=True))
    engine_id, runs, stopped, address = placed(networks, net, subnet)
    networks.stage.sweep()
    real = network_changes.delete_network

    def cutting(*args: Any) -> None:
        real(*args)
        networks.stage.host.cut(silent=True)

    with monkeypatch.context() as patch:
        patch.setattr(network_changes, "delete_network", cutting)
        during = ask(networks, "configure", net, engine_id, body=changed_body(net, subnet, Internal=True))
    networks.stage.host.heal()
    pool.reset(str(networks.stage.device.pk))
    resume(networks)

    assert during.state == "running"
    done = Operation.objects.latest("created_at")
    assert (done.state, done.error_message) == ("succeeded", "")
    assert networks.of(runs)[net]["IPAddress"] == address
    assert "cold" in networks.of(stopped)[net]["Aliases"]
    networks.remove_all()


def resume(networks: Networks) -> None:
    """Have another worker take over what the dead one left."""
    Operation.objects.filter(state="running").update(
        worker="dead", heartbeat_at=datetime.now(UTC) - timedelta(seconds=60)
    )
    tasks.settle_operations()
    run_queued()
