"""Real engines pull from a real registry with what `pull_credentials` gives them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registries.client import RegistryClient
from registries.errors import CredentialsInvalid
from registries.providers import registry_auth_header
from tests.fleet import Fleet
from tests.fleet.fixtures import LeaseHost
from tests.registries.servers.distribution import RunningRegistry, is_installed, start_registry
from tests.registries.servers.fixtures import PushImage


@pytest.fixture(scope="module")
def closed_registry(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry with htpasswd that the fleet's hosts reach."""
    if not is_installed():
        pytest.skip("docker-registry is not installed (Debian package docker-registry)")
    running = start_registry(tmp_path_factory.mktemp("closed"), htpasswd=True, bind=fleet.layout.gateway)
    yield running
    running.stop()


def pull(socket_path: Path, image: str, tag: str, header: str) -> str:
    """Pull over the engine's own socket; the error that the engine reports, or an empty text."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_path)), timeout=60) as engine:
        answer = engine.post(
            "http://docker/images/create",
            params={"fromImage": image, "tag": tag},
            headers={"X-Registry-Auth": header} if header else {},
        )
    lines = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
    return next((line.get("error") or line.get("message") or "" for line in lines if "error" in line), "") or (
        "" if answer.status_code == 200 else answer.text
    )


@pytest.mark.parametrize("engine", ["20", "28"])
async def test_engine_pulls_a_private_image_with_our_header(
    lease_host: LeaseHost, closed_registry: RunningRegistry, push_image: PushImage, engine: str
) -> None:
    host = lease_host(engine)
    repository = f"team/engine{engine}"
    built = push_image(closed_registry, repository, ["1"])
    image = f"{closed_registry.host}/{repository}"

    async with RegistryClient() as client:
        content = await client.pull_credentials(closed_registry.access(), closed_registry.host)
        with pytest.raises(CredentialsInvalid):
            await client.pull_credentials(closed_registry.access(), "evil.test")
        head = await client.head(closed_registry.access(), repository, "1")
    assert content is not None

    assert "no basic auth credentials" in pull(host.socket_path, image, "1", "")
    wrong = registry_auth_header({**content, "password": "wrong"})
    assert pull(host.socket_path, image, "1", wrong)
    try:
        assert pull(host.socket_path, image, "1", registry_auth_header(content)) == ""
        inspected = host.api("GET", f"/images/{image}:1/json")
    finally:
        host.api("DELETE", f"/images/{image}:1")

    assert inspected["RepoDigests"] == [f"{image}@{built.digest}"] == [f"{image}@{head.digest}"]


async def test_engine_ignores_the_same_content_in_plain_base64(
    lease_host: LeaseHost, closed_registry: RunningRegistry, push_image: PushImage
) -> None:
    host = lease_host("28")
    push_image(closed_registry, "team/plain", ["1"])

    async with RegistryClient() as client:
        content = await client.pull_credentials(closed_registry.access(), closed_registry.host)
    assert content is not None
    plain = base64.b64encode(json.dumps(content).encode()).decode()
    # Only a secret whose base64 differs between both alphabets shows the difference.
    assert set(plain) & set("+/")

    assert pull(host.socket_path, f"{closed_registry.host}/team/plain", "1", plain)
