"""Containers made on real hosts: what the form says, each refusal, and exactly one or none after every crash."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User

from containers import operations, tasks
from containers.models import Container, Operation
from containers.operation_requests import request_device_operation
from containers.rules.specification import differences
from containers.runs import creating
from containers.runs.run import Run
from tests.containers.stage import MakeStage, Stage, unique
from tests.fleet import Fleet, FleetError
from tests.people import People
from tests.queued import run_queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)
CLOCK = "demo/clock:1.0.0"


@dataclass(slots=True)
class Workshop:
    """A host on which a test makes containers, networks and volumes that begin with one name."""

    stage: Stage
    name: str = field(default_factory=lambda: unique("made"))
    number: int = 0

    def names(self) -> list[str]:
        """Containers of the test, however they are called by now."""
        listed = [name.lstrip("/") for item in self.stage.host.containers() for name in item["Names"]]
        return sorted(name for name in listed if name.startswith(self.name))

    def inspect(self, name: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.stage.host.api("GET", f"/containers/{name or self.name}/json")
        return found

    def network(self, subnet: str = "") -> str:
        self.number += 1
        name = f"{self.name}-net{self.number}"
        pools = {"IPAM": {"Config": [{"Subnet": subnet}]}} if subnet else {}
        self.stage.host.api("POST", "/networks/create", {"Name": name, **pools})
        return name

    def ask(self, changes: dict[str, Any], **parameters: Any) -> Operation:
        """Ask for a container with these changes of nothing."""
        user = User.objects.get_or_create(username="somebody", is_superuser=True)[0]
        changes = {"name": self.name, "image": CLOCK, **changes}
        return request_device_operation(
            user,
            self.stage.device,
            "create",
            object_kind="container",
            target_name=changes["name"],
            lock=f"container:{self.stage.device.pk}:{changes['name']}",
            parameters={"starts": True, **parameters},
            sealed={"changes": changes},
        )

    def remove(self) -> None:
        for name in self.names():
            with suppress(FleetError):
                self.stage.host.api("DELETE", f"/containers/{name}?force=1&v=1")
        for kind in ("networks", "volumes"):
            answer = self.stage.host.api("GET", f"/{kind}")
            for item in (answer["Volumes"] or []) if kind == "volumes" else answer:
                if item["Name"].startswith(self.name):
                    with suppress(FleetError):
                        self.stage.host.api("DELETE", f"/{kind}/{item['Name']}")


MakeWorkshop = Callable[[str], Workshop]


@pytest.fixture
def make_workshop(make_stage: MakeStage) -> Iterator[MakeWorkshop]:
    """Function that gives the workshop on a host by engine; empty again afterwards."""
    take_queued()
    made: list[Workshop] = []

    def make(engine: str = "28") -> Workshop:
        made.append(Workshop(make_stage(engine)))
        return made[-1]

    yield make
    for workshop in made:
        workshop.remove()
    take_queued()


@pytest.fixture(autouse=True)
def short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of these tests stay up; nobody has to wait for them to end."""
    monkeypatch.setattr(creating, "SETTLED_AFTER_S", 0.1)


def ended(operation: Operation) -> Operation:
    run_queued()
    return Operation.objects.get(pk=operation.pk)


def last() -> Operation:
    return Operation.objects.order_by("-created_at").first()


@pytest.mark.timeout(400, func_only=True)
@pytest.mark.parametrize("engine", ["20", "26", "28"])
def test_create_makes_what_the_form_says_and_leaves_nothing_of_what_is_refused(
    people: People, fleet: Fleet, make_workshop: MakeWorkshop, engine: str
) -> None:
    shop = make_workshop(engine)
    octet = 100 + int(engine)
    front, back = shop.network(f"10.181.{octet}.0/24"), shop.network()
    shop.stage.sweep()
    form = {
        "device": str(shop.stage.device.pk),
        "name": shop.name,
        "image": CLOCK,
        "starts": "on",
        "restart_policy": "unless-stopped",
        "memory": "32m",
        "env_name": ["INTERVAL", "SECRET"],
        "env_value": ["5", "two\r\nlines"],
        "label_name": ["fleet.run", "own"],
        "label_value": [shop.stage.host.label, "yes"],
        "port_ip": "127.0.0.1",
        "port_host": "",
        "port_container": "80",
        "port_protocol": "tcp",
        "mount_kind": ["volume", "tmpfs"],
        "mount_source": [f"{shop.name}-data", ""],
        "mount_target": ["/data", "/fast"],
        "mount_options": ["", "size=1m"],
        "network_name": [front, back],
        "network_aliases": ["one, two", ""],
        "network_ipv4": [f"10.181.{octet}.77", ""],
        "network_ipv6": ["", ""],
        "health_kind": "shell",
        "health_command": "true",
        "health_interval": "1m",
    }

    answer = people.client("operator").post("/containers/new/", form)
    operation = ended(last())
    made = shop.inspect()
    row = Container.objects.get(device=shop.stage.device, name=shop.name)

    assert (answer.status_code, answer.headers["Location"]) == (302, f"/activity/{operation.pk}/")
    assert (operation.state, operation.error_message) == ("succeeded", "")
    assert (operation.container, row.state) == (row, "running")
    assert {"INTERVAL=5", "SECRET=two\nlines"} <= set(made["Config"]["Env"])
    assert made["HostConfig"]["Memory"] == 32 << 20
    assert made["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert made["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    assert {mount["Destination"] for mount in made["Mounts"]} == {"/data"}
    assert made["HostConfig"]["Tmpfs"] == {"/fast": "size=1m"}
    assert made["NetworkSettings"]["Networks"].keys() == {front, back}
    assert made["NetworkSettings"]["Networks"][front]["IPAddress"] == f"10.181.{octet}.77"
    assert {"one", "two"} <= set(made["NetworkSettings"]["Networks"][front]["Aliases"])
    assert made["NetworkSettings"]["Ports"]["80/tcp"][0]["HostIp"] == "127.0.0.1"
    assert "two" not in json.dumps(operation.parameters)
    assert "lines" not in f"{operation.output}{operation.journal}{operation.parts}"
    _refusals(shop, fleet.layout.registry, front, made["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])


def _refusals(shop: Workshop, registry: str, network: str, taken_port: str) -> None:
    other = f"{shop.name}-other"
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"name": shop.name}, "is called", "another name"),
        ({"image": f"{registry}/no/such:image"}, "no/such", ""),
        ({"ports": [["127.0.0.1", taken_port, "80", "tcp"]]}, "", "host port"),
        ({"mounts": [["bind", "/no/such/directory", "/x", ""]]}, "/no/such/directory", "create"),
        ({"networks": {"mode": "networks", "rows": [[f"{shop.name}-none", [], "", ""]]}}, "not found", "network"),
        ({"networks": {"mode": "networks", "rows": [[network, [], "10.9.9.9", ""]]}}, "10.9.9.9", ""),
        ({"config": {"Cmd": ["/no/such/program"]}}, "/no/such/program", "command"),
        ({"networks": {"mode": "container:nobody", "rows": []}}, "nobody", ""),
    ]
    for changes, said, fix in cases:
        operation = ended(shop.ask({"name": other, **changes}))

        assert operation.state == "failed", changes
        assert said.lower() in operation.error_message.lower(), (changes, operation.error_message)
        assert fix in operation.error_fix, (changes, operation.error_message, operation.error_fix)
        assert shop.names() == [shop.name], changes
    assert shop.inspect()["State"]["Running"]


def test_create_pulls_a_missing_image_and_tells_how_far_it_is(fleet: Fleet, make_workshop: MakeWorkshop) -> None:
    shop = make_workshop("26")
    reference = f"{fleet.layout.registry}/demo/clock:1.0.1"
    with suppress(FleetError):
        shop.stage.host.api("DELETE", f"/images/{reference}?force=1")

    operation = ended(shop.ask({"image": reference}, starts=False))

    assert (operation.state, operation.error_message) == ("succeeded", "")
    assert operation.parts
    assert shop.inspect()["State"]["Status"] == "created"
    assert shop.inspect()["Config"]["Image"] == reference


def test_create_tells_of_a_program_that_ends_at_once(
    make_workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_workshop("28")
    monkeypatch.setattr(creating, "SETTLED_AFTER_S", 30)

    operation = ended(shop.ask({"config": {"Cmd": ["/bin/sh", "-c", "echo no config >&2; exit 3"]}}))

    assert (operation.state, operation.outcome) == ("succeeded", "it ended at once with code 3: see its output")
    assert "no config" in operation.output


# ---- crashes


class Killed(BaseException):
    """The worker's end: nothing after it runs."""


class _Watched:
    """A real engine that tells what changes the host."""

    def __init__(self, engine: Any, happened: Callable[[str], None]) -> None:
        self._engine, self._happened = engine, happened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def post(self, path: str, *args: Any, **more: Any) -> Any:
        answer = self._engine.post(path, *args, **more)
        self._happened(path.rpartition("/")[2])
        return answer

    def delete(self, path: str, *args: Any, **more: Any) -> Any:
        answer = self._engine.delete(path, *args, **more)
        self._happened("remove")
        return answer


class Killer:
    """Does something right after the point of that name, once: by itself it ends the worker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points: list[str] = []
        self.at = ""
        note, engine = Run.note, Run.engine

        def noting(run: Run, **entries: Any) -> None:
            note(run, **entries)
            self.happened("note " + next(iter(entries)))

        monkeypatch.setattr(Run, "note", noting)
        monkeypatch.setattr(Run, "engine", property(lambda run: _Watched(engine.fget(run), self.happened)))

    def act(self) -> None:
        raise Killed(self.at)

    def happened(self, point: str) -> None:
        self.points.append(point)
        if point == self.at:
            self.at = ""
            self.act()


POINTS = ["note passing", "create", "note made", "connect", "rename", "start", "note started"]
POINTS_BACK = ["note failed", "remove"]


def dies_after(shop: Workshop, killer: Killer, point: str, changes: dict[str, Any]) -> Operation:
    """What becomes of an operation whose worker dies there, once another one has it."""
    killer.at = point
    asked = shop.ask(changes)
    with pytest.raises(Killed):
        run_queued()
    assert Operation.objects.get(pk=asked.pk).state == "running", point
    Operation.objects.filter(pk=asked.pk).update(heartbeat_at=asked.created_at.replace(year=asked.created_at.year - 1))
    tasks.settle_operations()
    return ended(asked)


@pytest.mark.timeout(400, func_only=True)
def test_worker_that_dies_after_any_step_leaves_one_container(
    make_workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_workshop("20")
    rows = [[shop.network(), ["x"], "", ""], [shop.network(), ["y"], "", ""]]
    killer = Killer(monkeypatch)
    changes = {"networks": {"mode": "networks", "rows": rows}, "mounts": [["volume", "", "/data", ""]]}

    for point in POINTS:
        killer.points.clear()
        operation = dies_after(shop, killer, point, changes)

        assert (operation.state, operation.attempts) == ("succeeded", 2), (point, operation.error_message)
        assert shop.names() == [shop.name], point
        found = shop.inspect()
        assert found["State"]["Running"], point
        assert found["RestartCount"] == 0, point
        assert set(found["NetworkSettings"]["Networks"]) == {row[0] for row in rows}, point
        assert Container.objects.present().filter(device=shop.stage.device, name__startswith=shop.name).count() == 1
        shop.stage.host.api("DELETE", f"/containers/{shop.name}?force=1&v=1")

    killer.points.clear()
    ended(shop.ask(changes))
    assert killer.points == POINTS, "these are all"


def test_worker_that_dies_on_the_way_back_leaves_none(
    make_workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_workshop("28")
    killer = Killer(monkeypatch)

    for point in POINTS_BACK:
        operation = dies_after(shop, killer, point, {"config": {"Cmd": ["/no/such/program"]}})

        assert (operation.state, operation.attempts) == ("failed", 2), point
        assert "/no/such/program" in operation.error_message, point
        assert shop.names() == [], point


def test_create_called_off_on_its_way_leaves_none(make_workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_workshop("26")
    killer = Killer(monkeypatch)
    monkeypatch.setattr("containers.runs.run.CANCEL_SEEN_AFTER_S", 0.0)
    asked = shop.ask({})
    killer.at = "note made"
    monkeypatch.setattr(killer, "act", lambda: operations.request_cancel(asked.requested_by, asked))

    operation = ended(asked)

    assert operation.state == "cancelled"
    assert shop.names() == []


# ---- from another container


def test_recreate_changes_what_is_asked_and_keeps_the_rest(people: People, make_workshop: MakeWorkshop) -> None:
    shop = make_workshop("26")
    changes = {
        "env": {"set": {"SECRET": "s3cret", "INTERVAL": "5"}, "drop": []},
        "host": {"CapAdd": ["NET_ADMIN"]},
        "mounts": [["volume", "", "/data", ""]],
    }
    ended(shop.ask(changes))
    before, row = shop.inspect(), Container.objects.get(device=shop.stage.device, name=shop.name)
    client = people.client("operator")
    page = client.get(f"/containers/{row.pk}/recreate/").content.decode()
    context = client.get(f"/containers/{row.pk}/recreate/").context
    form = {name: field.value for name, field in context["fields"].items() if field.value}
    for kind, rows in context["rows"].items():
        for column in rows[0].cells if rows else ():
            form[f"{kind}_{column}"] = [each.cells[column].value for each in rows]

    answer = client.post(f"/containers/{row.pk}/recreate/", {**form, "seen": row.engine_id, "memory": "64m"})
    operation = ended(last())
    after = shop.inspect()

    assert "s3cret" not in page
    assert answer.status_code == 302, answer.context["errors"]
    assert (operation.state, operation.error_message) == ("succeeded", "")
    assert after["Id"] != before["Id"]
    assert after["HostConfig"]["Memory"] == 64 << 20
    assert "SECRET=s3cret" in after["Config"]["Env"]
    assert after["Mounts"][0]["Name"] == before["Mounts"][0]["Name"]
    assert set(differences(before, after)) <= {
        "Memory differs from the old container's.",
        "MemorySwap differs from the old container's.",
    }
    assert Container.objects.get(pk=row.pk).engine_id == after["Id"]
    assert shop.names() == [shop.name]


def test_duplicate_on_another_host_has_all_but_the_anonymous_data(make_workshop: MakeWorkshop) -> None:
    source, target = make_workshop("26"), make_workshop("28")
    changes = {
        "env": {"set": {"SECRET": "s3cret"}, "drop": []},
        "host": {"CapAdd": ["NET_ADMIN"], "Memory": 64 << 20},
        "mounts": [["volume", "", "/data", ""]],
    }
    ended(source.ask(changes))
    known = source.inspect()

    origin = {"device": str(source.stage.device.pk), "engine_id": known["Id"]}
    operation = ended(target.ask({"image": CLOCK}, source=origin))
    made = target.inspect()

    assert (operation.state, operation.error_message) == ("succeeded", "")
    assert "SECRET=s3cret" in made["Config"]["Env"]
    assert (made["HostConfig"]["CapAdd"], made["HostConfig"]["Memory"]) == (["NET_ADMIN"], 64 << 20)
    assert made["Mounts"][0]["Destination"] == "/data"
    assert made["Mounts"][0]["Name"] != known["Mounts"][0]["Name"]
