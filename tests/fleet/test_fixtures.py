"""The fixtures hand out hosts in their normal state, and take them back so."""

import pytest

from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost


def _states(host: Host) -> dict[str, str]:
    return {item["Names"][0].lstrip("/"): item["State"] for item in host.containers()}


NORMAL = {
    "clock": "running",
    "web": "running",
    "shop-api-1": "running",
    "shop-web-1": "running",
    "spam": "exited",
    "paused": "paused",
    "unlabelled": "created",
}


@pytest.mark.parametrize("engine", ["20", "26", "28", "podman"])
def test_lease_host_each_engine_answers_with_its_containers(lease_host: LeaseHost, engine: str) -> None:
    host = lease_host(engine)

    host.wait_for_state("spam", "exited")
    assert _states(host) == NORMAL


def test_breakable_host_first_test_breaks_everything(breakable_host: Host) -> None:
    breakable_host.run("left-over", "test/stubborn")
    breakable_host.api("POST", "/containers/clock/kill")
    breakable_host.set_ssh_mode("max1")
    breakable_host.new_host_key()
    breakable_host.kill_docker()
    breakable_host.kill_ssh()
    breakable_host.cut(silent=True)

    assert not breakable_host.has_ssh()
    assert not breakable_host.ping()


def test_breakable_host_second_test_finds_it_normal(breakable_host: Host, fleet: Fleet) -> None:
    assert breakable_host.has_ssh()
    assert breakable_host.ssh_mode == "default"
    assert _states(breakable_host) == NORMAL
    assert fleet.entry("26").host_key.startswith("ssh-ed25519 ")


def test_run_exit_image_ends_with_the_code_asked_for(docker_host: Host) -> None:
    container = docker_host.run("leaver", "test/exit", env={"CODE": "7"})

    docker_host.wait_for_state(container, "exited")
    assert docker_host.api("GET", f"/containers/{container}/json")["State"]["ExitCode"] == 7


def test_run_health_image_turns_unhealthy_when_told(docker_host: Host) -> None:
    container = docker_host.run("patient", "test/health")
    docker_host.wait_for_health(container, "healthy")

    docker_host.exec(f"docker exec {container} touch /tmp/sick")

    docker_host.wait_for_health(container, "unhealthy")
