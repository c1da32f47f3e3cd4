"""The containers that every test host starts with: one per kind that a dashboard must show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fleet.engine import EngineAccess
from tests.fleet.errors import FleetError
from tests.fleet.images import ImageRecipe
from tests.fleet.recipes import CLOCK, SPAM, WEB


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """One container that a host should have, and what was done to it after its creation.

    `image` is a reference that the host has or can pull; `acts` are Engine verbs in turn (start, pause, kill).
    `volumes` are names of volumes by the paths they are mounted at; `network` is made where it is missing.
    """

    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    restart: str = "always"
    ports: Mapping[int, int] = field(default_factory=dict)
    tty: bool = False
    volumes: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    acts: tuple[str, ...] = ("start",)


LOCAL_IMAGES: tuple[tuple[ImageRecipe, str], ...] = (
    (CLOCK, "1.0.0"),
    (CLOCK, "1.1.0"),
    (SPAM, "1.0.0"),
    (WEB, "1.0.0"),
)
_PULLED = (("demo/web", "1.0.0"), ("demo/clock", "1.1.0"), ("demo/web", "latest"))


def compose_labels(project: str, service: str) -> dict[str, str]:
    """Labels that Docker Compose puts on the first container of a service."""
    return {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": "1",
    }


def plans_for_tests(registry: str) -> tuple[ContainerPlan, ...]:
    """The containers of a test host; `registry` (host:port) is "" when the fleet has none."""
    place = f"{registry}/" if registry else ""
    semantic = {"wud.watch": "true", "wud.tag.include": r"^\d+\.\d+\.\d+$"}
    web_labels = {"wud.display.name": "Web", "wud.link.template": "https://example.invalid/web/${raw}"}
    return (
        ContainerPlan("clock", "demo/clock:1.0.0", {**semantic, "wud.display.name": "Clock"}),
        ContainerPlan("web", f"{place}demo/web:1.0.0", {**semantic, **web_labels}, ports={80: 8080}),
        ContainerPlan(
            "shop-api-1",
            f"{place}demo/clock:1.1.0",
            {**semantic, **compose_labels("shop", "api")},
            restart="unless-stopped",
        ),
        ContainerPlan(
            "shop-web-1",
            f"{place}demo/web:latest" if registry else "demo/web:1.0.0",
            {"wud.watch": "true", "wud.watch.digest": "true", **compose_labels("shop", "web")},
        ),
        ContainerPlan("spam", "demo/spam:1.0.0", {"wud.watch": "false"}, {"COUNT": "20000"}, restart="no"),
        ContainerPlan(
            "paused", "demo/clock:1.0.0", {"wud.watch": "true", "wud.tag.exclude": "rc"}, acts=("start", "pause")
        ),
        ContainerPlan("unlabelled", "demo/clock:1.0.0", restart="no", acts=()),
    )


def pull_images(host: EngineAccess, registry: str) -> None:
    """Have the images that test hosts take from the fleet's registry."""
    present = {tag for image in host.api("GET", "/images/json") for tag in image.get("RepoTags") or []}
    for name, tag in _PULLED:
        if f"{registry}/{name}:{tag}" not in present:
            answer = host.api("POST", f"/images/create?fromImage={registry}/{name}&tag={tag}")
            if '"error"' in str(answer):
                raise FleetError(f"{host.name}: pulling {name}:{tag}: {str(answer)[-300:]}")


def fill(host: EngineAccess, plans: tuple[ContainerPlan, ...]) -> None:
    """Have the planned containers; what somebody stopped on purpose stays so.

    What is done to them after their start comes last, so that they have run for a moment.
    """
    states: dict[str, Any] = {name.lstrip("/"): item["State"] for item in host.containers() for name in item["Names"]}
    fresh = [plan for plan in plans if states.get(plan.name, "created") in ("created", "configured")]
    _make_networks(host, fresh)
    for plan in fresh:
        if plan.name not in states:
            host.run(
                *(plan.name, plan.image),
                env=plan.env,
                labels=plan.labels,
                tty=plan.tty,
                restart=plan.restart,
                ports=plan.ports,
                volumes=plan.volumes,
                network=plan.network,
                start=False,
            )
        for act in plan.acts[:1]:
            host.api("POST", f"/containers/{plan.name}/{act}")
    for plan in fresh:
        for act in plan.acts[1:]:
            host.api("POST", f"/containers/{plan.name}/{act}")


def _make_networks(host: EngineAccess, plans: list[ContainerPlan]) -> None:
    """Make the networks that the plans name and the host lacks, labelled as Docker Compose labels them."""
    wanted = {plan.network: plan.labels for plan in plans if plan.network}
    there = {network["Name"] for network in host.api("GET", "/networks")} if wanted else set()
    for name, labels in wanted.items():
        if name not in there:
            project = labels.get("com.docker.compose.project", "")
            marks = {"com.docker.compose.project": project, "com.docker.compose.network": "default"} if project else {}
            host.api("POST", "/networks/create", {"Name": name, "CheckDuplicate": True, "Labels": marks})


def restore_states(host: EngineAccess, plans: tuple[ContainerPlan, ...]) -> None:
    """Start and pause again what should run or be paused: an engine's crash leaves some containers ended."""
    states = {name.lstrip("/"): item["State"] for item in host.containers() for name in item["Names"]}
    for plan in plans:
        state, wants_pause = states.get(plan.name), "pause" in plan.acts
        if plan.restart == "no" or "start" not in plan.acts:
            continue
        if state == "exited":
            host.api("POST", f"/containers/{plan.name}/start")
        if state == "paused" and not wants_pause:
            host.api("POST", f"/containers/{plan.name}/unpause")
        if state != "paused" and wants_pause:
            host.api("POST", f"/containers/{plan.name}/pause")
