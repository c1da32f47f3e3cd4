"""What one does with a host's engine on the host itself: requests to its socket, images, containers."""

import contextlib
import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fleet.engine_socket import request, request_json
from tests.fleet.errors import FleetError
from tests.fleet.images import ImageRecipe, load_archive
from tests.fleet.packages import PackageCache
from tests.fleet.recipes import RECIPES
from tests.fleet.shell import wait_until


class EngineAccess:
    """The engine of one host, past SSH and past our product.

    `label` is put on every container that `run` makes, so that `remove_runs` finds them again.
    """

    def __init__(self, *, name: str, label: str, control_group: str, packages: PackageCache) -> None:
        self.name = name
        self.label = label
        self._control_group = control_group
        self._packages = packages

    @property
    def socket_path(self) -> Path:
        """The engine's socket as this machine reaches it."""
        raise NotImplementedError

    def ping(self) -> bool:
        """Whether the engine answers on its own socket."""
        try:
            return request(self.socket_path, "GET", "/_ping", timeout_s=5)[0] == 200
        except (OSError, FleetError, http.client.HTTPException):
            return False

    def api(self, method: str, path: str, body: object = None, *, timeout_s: float = 60) -> Any:
        """Ask the engine on its own local socket, past SSH and past our product; returns the decoded answer.

        Raises FleetError with the engine's message, and OSError when the engine is away.
        """
        try:
            return request_json(self.socket_path, method, path, body, timeout_s=timeout_s)
        except FleetError as error:
            raise FleetError(f"{self.name}: {error}") from error

    def containers(self) -> list[dict[str, Any]]:
        """All its containers, as the engine lists them."""
        listed: list[dict[str, Any]] = self.api("GET", "/containers/json?all=1")
        return listed

    def load(self, *references: tuple[ImageRecipe, str]) -> None:
        """Have images on the host that no registry carries."""
        tags = {tag for image in self.api("GET", "/images/json") for tag in image.get("RepoTags") or []}
        short = {tag.removeprefix("docker.io/").removeprefix("localhost/") for tag in tags}
        if all(f"{recipe.name}:{tag}" in short for recipe, tag in references):
            return
        archive = load_archive(references, self._packages.tool("busybox"))
        answer = self.api("POST", "/images/load?quiet=1", archive)
        if '"error"' in json.dumps(answer):
            raise FleetError(f"{self.name}: loading images: {answer}")

    def run(
        self,
        name: str,
        image: str | ImageRecipe,
        *,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        command: list[str] | None = None,
        tty: bool = False,
        restart: str = "no",
        ports: Mapping[int, int] | None = None,
        volumes: Mapping[str, str] | None = None,
        network: str = "",
        start: bool = True,
    ) -> str:
        """Create a container and start it (unless `start` is false); returns its id.

        `image` is a recipe, or a reference such as `test/lines` or `demo/web:1.1.0`; those of `recipes` are brought to
        the host when it lacks them. `ports` maps ports of the container to ports of the host, `volumes` names of
        volumes to paths in it; `network` is the name of one that the host has.
        """
        recipe = RECIPES.get(image.partition(":")[0]) if isinstance(image, str) else image
        reference = image if isinstance(image, str) else image.name
        if ":" not in reference.rpartition("/")[2]:
            reference += ":1.0.0"
        if recipe is not None:
            self.load((recipe, reference.rpartition(":")[2]))
        ours = {"fleet.run": self.label} if self.label else {}
        bindings = {f"{inner}/tcp": [{"HostPort": str(outer)}] for inner, outer in (ports or {}).items()}
        settings: dict[str, Any] = {
            "Image": reference,
            "Env": [f"{key}={value}" for key, value in (env or {}).items()],
            "Labels": {**ours, **(labels or {})},
            "Tty": tty,
            "ExposedPorts": {port: {} for port in bindings},
            "HostConfig": {
                "RestartPolicy": {"Name": restart},
                "PortBindings": bindings,
                "CgroupParent": f"/{self._control_group}",
                "Binds": [f"{volume}:{path}" for volume, path in (volumes or {}).items()],
            },
        }
        if network:
            settings["HostConfig"]["NetworkMode"] = network
        if command is not None:
            settings["Cmd"] = command
        created: dict[str, Any] = self.api("POST", f"/containers/create?name={name}", settings)
        if start:
            self.api("POST", f"/containers/{created['Id']}/start")
        return str(created["Id"])

    def remove_runs(self) -> None:
        """Remove the containers that `run` made under this label."""
        for item in self.containers():
            if self.label and item["Labels"].get("fleet.run") == self.label:
                with contextlib.suppress(FleetError):  # gone in between, or being removed already
                    self.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")

    def wait_for_health(self, container: str, health: str, timeout_s: float = 20) -> None:
        """Wait until a container's health is starting, healthy or unhealthy."""

        def reached() -> bool:
            state = self.api("GET", f"/containers/{container}/json")["State"]
            return bool(state.get("Health", {}).get("Status") == health)

        wait_until(reached, timeout_s, f"{self.name}: {container} {health}")

    def wait_for_state(self, container: str, state: str, timeout_s: float = 20) -> None:
        """Wait until a container (name or id) is in a state such as running, exited or paused."""

        def reached() -> bool:
            return bool(self.api("GET", f"/containers/{container}/json")["State"]["Status"] == state)

        wait_until(reached, timeout_s, f"{self.name}: {container} {state}")
