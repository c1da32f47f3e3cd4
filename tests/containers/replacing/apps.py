"""A program with data, in good releases and bad ones, and a container of it that has all that must be kept."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User

from containers import operations, tasks
from containers.models import Container, Operation, UpdateStatus
from containers.operation_requests import request_operation
from containers.rules.specification import specification_of
from containers.rules.update_targets import with_image
from containers.updates import applying
from tests.containers.stage import Stage, unique
from tests.fleet import FleetError
from tests.fleet.images import ImageRecipe
from tests.queued import run_queued

SECOND_NS = 1_000_000_000
NAME = "test/app"
_BEGIN = """#!/bin/sh
trap 'exit 0' TERM INT
echo "$VERSION" >> /data/starts
echo "this is $VERSION with $SETTING"
"""
_STAY = "while :; do sleep 3600 & wait $!; done\n"
_VOLUMES: dict[str, Any] = {"Volumes": {"/data": {}}}
_CHECK = {"Interval": SECOND_NS // 2, "Timeout": SECOND_NS, "Retries": 2, "StartPeriod": 0}

# By tag. A new image may bring a volume of its own, which a way back has to take away again.
RELEASES = {
    "1.0.0": ImageRecipe(NAME, _BEGIN + _STAY, _VOLUMES),
    "1.1.0": ImageRecipe(NAME, _BEGIN + _STAY, {"Volumes": {"/data": {}, "/cache": {}}}),
    "1.2.0": ImageRecipe(
        NAME, _BEGIN + _STAY, {**_VOLUMES, "Healthcheck": {"Test": ["CMD-SHELL", "test -e /data/starts"], **_CHECK}}
    ),
    "crash": ImageRecipe(NAME, _BEGIN + 'echo "cannot open the database" >&2\nexit 3\n', _VOLUMES),
    "sick": ImageRecipe(
        NAME,
        _BEGIN + _STAY,
        {**_VOLUMES, "Healthcheck": {"Test": ["CMD-SHELL", "echo 'no answer from port 80'; exit 1"], **_CHECK}},
    ),
    "lost": ImageRecipe(NAME, _BEGIN, {**_VOLUMES, "Cmd": ["/no/such/program"]}),
    # What its program is made for shows only when the kernel is to run it.
    "foreign": ImageRecipe(NAME, "\x7fELF of another machine", _VOLUMES, architecture="s390x"),
    "web": ImageRecipe(
        NAME, _BEGIN + "mkdir -p /www; echo fine > /www/ok; httpd -f -p 80 -h /www & wait $!\n", _VOLUMES
    ),
}


@dataclass(slots=True)
class App:
    """A container of the program on a host, and what belongs to it."""

    stage: Stage
    name: str
    registry: str = ""
    networks: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    old_id: str = ""
    pk: Any = None

    def reference(self, tag: str) -> str:
        """The image's name on the host."""
        return f"{self.registry}/{NAME}:{tag}" if self.registry else f"{NAME}:{tag}"

    def make(self, *, start: bool = True, restart: str = "always", labels: dict[str, str] | None = None) -> str:
        """Create it with all that a successor has to share."""
        number = uuid.uuid4().int
        subnet = f"10.{216 + number % 16}.{number // 16 % 256}"
        for index in (1, 2):
            network = f"{self.name}-net{index}"
            pool = {"Subnet": f"{subnet}.{64 * index}/26"}
            self.stage.host.api("POST", "/networks/create", {"Name": network, "IPAM": {"Config": [pool]}})
            self.networks.append(network)
        body = {
            "Image": self.reference("1.0.0"),
            "Env": ["SETTING=a secret value"],
            "Labels": {"fleet.run": self.stage.host.label, "kept": "yes", **(labels or {})},
            "HostConfig": {
                "RestartPolicy": {"Name": restart},
                "Memory": 64 * 1024 * 1024,
                "Binds": [f"{self.name}-files:/files"],
                "NetworkMode": self.networks[0],
                "CgroupParent": f"/{self.stage.host._control_group}",
                **self.extra,
            },
            "NetworkingConfig": {
                "EndpointsConfig": {
                    self.networks[0]: {"Aliases": ["app"], "IPAMConfig": {"IPv4Address": f"{subnet}.70"}}
                }
            },
        }
        self.old_id = str(self.stage.host.api("POST", f"/containers/create?name={self.name}", body)["Id"])
        endpoint = {"Container": self.old_id, "EndpointConfig": {"Aliases": ["second"]}}
        self.stage.host.api("POST", f"/networks/{self.networks[1]}/connect", endpoint)
        if start:
            self.stage.host.api("POST", f"/containers/{self.old_id}/start")
            self.stage.host.wait_for_state(self.old_id, "running")
        self.stage.sweep()
        self.pk = self.stage.row(self.old_id).pk
        return self.old_id

    def inspect(self, which: str = "") -> dict[str, Any]:
        """The host's own word about a container; by default the one that has the name."""
        answer: dict[str, Any] = self.stage.host.api("GET", f"/containers/{which or self.name}/json")
        return answer

    def starts(self) -> list[str]:
        """Which releases were started on its data, in order."""
        source = next(mount["Source"] for mount in self.inspect()["Mounts"] if mount["Destination"] == "/data")
        return self.stage.host.exec(f"cat {source}/starts", check=False).split()

    def family(self) -> dict[str, str]:
        """Names and states of all containers that have to do with it."""
        found = [(item["Names"][0].lstrip("/"), item["State"]) for item in self.stage.host.containers()]
        return {name: state for name, state in found if name.startswith(self.name)}

    def rows(self) -> list[tuple[str, Any]]:
        """Names and ids of the rows of present containers that have to do with it."""
        present = Container.objects.present().filter(device=self.stage.device, name__startswith=self.name)
        return list(present.order_by("name").values_list("name", "pk"))

    def volumes(self) -> set[str]:
        """Names of the host's volumes."""
        return {entry["Name"] for entry in self.stage.host.api("GET", "/volumes")["Volumes"] or []}

    def ask(self, kind: str, sealed: dict[str, Any] | None = None, **parameters: Any) -> Operation:
        """An operation as a person asks for it."""
        row = Container.objects.get(pk=self.pk)
        return request_operation(somebody(), row, kind, parameters, sealed=sealed)

    def remove(self) -> None:
        """Take everything of it away."""
        for item in self.stage.host.containers():
            if item["Names"][0].lstrip("/").startswith(self.name):
                with suppress(FleetError):
                    self.stage.host.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
        for network in self.networks:
            with suppress(FleetError):
                self.stage.host.api("DELETE", f"/networks/{network}")
        with suppress(FleetError):
            self.stage.host.api("DELETE", f"/volumes/{self.name}-files")


def make_apps(stage: Stage, *, registry: str = "") -> Iterator[App]:
    """An app on a host, gone afterwards; for a fixture."""
    app = App(stage, unique("app"), registry)
    try:
        yield app
    finally:
        app.remove()


def wanted(app: App, tag: str) -> dict[str, Any]:
    """The specification of the app as another release, as an operation seals it."""
    found = app.inspect(app.old_id)
    image = app.stage.host.api("GET", f"/images/{found['Image']}/json")
    return with_image(specification_of(found, image), app.reference(tag), "").as_json()


def ask_for(app: App, tag: str, *, stable_s: int = 1, probe: str = "", patience_s: int = 0, **more: Any) -> Operation:
    """An operation that replaces the app by another release, which is on the host already."""
    watch = {"stable_s": stable_s, "probe": probe, "patience_s": patience_s}
    return app.ask("recreate", {"wanted": wanted(app, tag)}, watch=watch, **more)


def ended(operation: Operation) -> Operation:
    """Work off the queue and read what became of the operation."""
    run_queued()
    return Operation.objects.get(pk=operation.pk)


def resume(operation: Operation) -> Operation:
    """What the tick does once the worker of an operation is silent, and what comes of it."""
    operations.Operation.objects.filter(pk=operation.pk).update(
        heartbeat_at=operation.created_at.replace(year=operation.created_at.year - 1)
    )
    tasks.settle_operations()
    return ended(operation)


def somebody() -> User:
    return User.objects.get_or_create(username="somebody", is_superuser=True)[0]


def offer(app: App, tag: str) -> applying.Candidate:
    """What is known about the app's updates, as if its registry had been asked."""
    UpdateStatus.objects.update_or_create(
        container_id=app.pk,
        defaults={
            "state": "update_available",
            "registry": app.registry,
            "repository": NAME,
            "tag": "1.0.0",
            "offered_tag": tag,
            "change": "minor",
        },
    )
    row = Container.objects.select_related("device", "update").get(pk=app.pk)
    return applying.candidates([row])[0]
