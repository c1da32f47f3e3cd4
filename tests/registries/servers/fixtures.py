"""Fixtures of registries for tests of all apps."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.registries.servers.authority import Authority
from tests.registries.servers.distribution import RunningRegistry, is_installed, start_registry
from tests.registries.servers.images import Built, build
from tests.registries.servers.stub import Stub


class PushImage(Protocol):
    """Push a small image; returns its digests."""

    def __call__(
        self,
        registry: RunningRegistry,
        repository: str,
        tags: Iterable[str],
        *,
        content: str = "",
        platforms: Iterable[str] = ("linux/amd64",),
        labels: dict[str, str] | None = None,
        created: str = "2026-03-01T12:00:00Z",
        docker: bool = False,
        attested: bool = False,
    ) -> Built:
        """Other ``content`` is another digest: pushing a tag again moves it."""
        ...


def _started(tmp_path_factory: pytest.TempPathFactory, name: str, **options: object) -> Iterator[RunningRegistry]:
    if not is_installed():
        pytest.skip("docker-registry is not installed (Debian package docker-registry)")
    directory: Path = tmp_path_factory.mktemp(name)
    running = start_registry(directory, **options)
    yield running
    running.stop()
    if running.token_server is not None:
        running.token_server.close()


@pytest.fixture(scope="session")
def plain_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry without log-in, by plain HTTP."""
    yield from _started(tmp_path_factory, "plain-registry")


@pytest.fixture(scope="session")
def htpasswd_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that wants user name and password."""
    yield from _started(tmp_path_factory, "htpasswd-registry", htpasswd=True)


@pytest.fixture(scope="session")
def token_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that wants tokens of our own signer; ``public/app`` may be read by everyone."""
    yield from _started(tmp_path_factory, "token-registry", tokens=True)


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry with TLS by an authority that only `RunningRegistry.access` knows."""
    yield from _started(tmp_path_factory, "tls-registry", authority=Authority())


@pytest.fixture(scope="session")
def push_image() -> PushImage:
    """See `PushImage`."""

    def push(registry: RunningRegistry, repository: str, tags: Iterable[str], **options: object) -> Built:
        content = str(options.pop("content", "") or repository)
        return registry.push(repository, tags, build(content, **options))

    return push


@pytest.fixture(scope="session")
def _stub() -> Iterator[Stub]:
    stub = Stub()
    yield stub
    stub.close()


@pytest.fixture
def stub(_stub: Stub) -> Iterator[Stub]:
    """A server that stands for registries by name; empty at the beginning of each test."""
    _stub.reset()
    yield _stub
    _stub.reset()
