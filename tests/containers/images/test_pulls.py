"""Pulls on real hosts from a real registry: what is fetched, refused, cut, killed, called off."""

from collections.abc import Iterator

import pytest

from containers import operations
from containers.models import Image, Operation
from devices.connections import pool
from registries.providers.access import BasicCredentials
from tests.containers.images.staging import (
    Shelf,
    StoppingProxy,
    ask,
    done,
    in_thread,
    is_there,
    recipe,
    shelf,
    somebody,
    stopping_proxy,
    taken_over,
    worker_process,
)
from tests.containers.stage import MakeStage, Stage
from tests.factories import RegistryFactory
from tests.fleet import Fleet
from tests.fleet.layout import REGISTRY_PORT
from tests.queued import take_queued
from tests.registries.servers.distribution import RunningRegistry, is_installed, start_registry
from tests.registries.servers.fixtures import PushImage

__all__ = ["shelf"]
pytestmark = pytest.mark.django_db(transaction=True)
KIND = Operation.Kind.IMAGE_PULL
SECRET = "not-a-real-password"


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    take_queued()
    yield
    take_queued()


def pull(stage: Stage, reference: str, platform: str = "") -> Operation:
    return ask(stage.device, KIND, reference, reference=reference, platform=platform)


@pytest.mark.parametrize("engine", ["20", "26", "28", "podman"])
def test_pull_fetches_then_finds_it_current_then_fetches_what_is_newer(
    make_stage: MakeStage, fleet: Fleet, shelf: Shelf, engine: str
) -> None:
    stage = make_stage(engine)
    made = recipe()
    name = f"{fleet.layout.registry}/{made.name}:1"
    shelf.expect(stage, name)
    fleet.registry.push(made, "1")

    first = done(pull(stage, name))
    row = Image.objects.get(device=stage.device, repo_tags__contains=[name])
    again = done(pull(stage, name))
    fleet.registry.push(made, "1", revision="newer")
    newer = done(pull(stage, name))

    assert (first.state, first.error_message) == ("succeeded", "")
    assert first.outcome == f"fetched {row.short_id}"
    assert row.history and len(row.layers) == 2
    assert again.outcome == f"it was up to date already ({row.short_id})"
    assert newer.outcome.endswith(f"the name stood for {row.short_id} before")
    after = Image.objects.get(device=stage.device, repo_tags__contains=[name])
    assert after.engine_id != row.engine_id
    old = Image.objects.get(pk=row.pk)
    assert old.is_dangling
    shelf.put.append((stage.host, old.engine_id))
    if engine != "podman":
        assert {part["text"] for part in first.parts} <= {"done", "here already"}
        assert "Status: Downloaded newer image" in first.output


REFUSALS = [
    ("no tag", "{registry}/demo/web:never", "", "has no such tag"),
    ("no repository", "{registry}/demo/nothing:1", "", ""),
    ("no registry", "{gateway}:1/demo/web:1", "", "does not reach"),
    ("no name", "registry.invalid/demo/web:1", "", "finds no address"),
]


@pytest.mark.parametrize("engine", ["20", "28"])
def test_pull_that_is_refused_tells_why_and_what_to_do(make_stage: MakeStage, fleet: Fleet, engine: str) -> None:
    stage = make_stage(engine)
    for what, reference, platform, fix in REFUSALS:
        name = reference.format(registry=fleet.layout.registry, gateway=fleet.layout.gateway)

        ended = done(pull(stage, name, platform))

        assert (ended.state, ended.error_code) == ("failed", "pull_refused"), (what, ended.error_message)
        assert stage.device.name in ended.error_message
        assert fix in ended.error_fix, (what, ended.error_message, ended.error_fix)


@pytest.mark.parametrize("engine", ["20", "28"])
def test_pull_for_a_platform_of_an_image_for_another_alone_says_what_came(
    make_stage: MakeStage, fleet: Fleet, shelf: Shelf, engine: str
) -> None:
    """Engines refuse only where an index offers a choice."""
    stage = make_stage(engine)
    made = recipe()
    fleet.registry.push(made, "1")
    name = f"{fleet.layout.registry}/{made.name}:1"
    shelf.expect(stage, name)

    ended = done(pull(stage, name, "linux/s390x"))

    assert "linux/amd64" in f"{ended.outcome} {ended.error_message}"


def test_pull_onto_a_full_disk_says_so_and_leaves_nothing(make_stage: MakeStage, fleet: Fleet, shelf: Shelf) -> None:
    stage = make_stage("28", exclusive=True)
    made = recipe(3 * 1024 * 1024)
    fleet.registry.push(made, "1")
    name = f"{fleet.layout.registry}/{made.name}:1"
    stage.host.exec("mount -t tmpfs -o size=1m tmpfs /var/lib/docker/tmp")
    try:
        ended = done(pull(stage, name))
    finally:
        stage.host.exec("umount -l /var/lib/docker/tmp")

    assert ended.error_code == "pull_refused"
    assert "disk is full" in ended.error_fix
    assert not is_there(stage, name)


@pytest.fixture(scope="module")
def closed_registry(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry with htpasswd that the fleet's hosts reach."""
    if not is_installed():
        pytest.skip("docker-registry is not installed (Debian package docker-registry)")
    running = start_registry(tmp_path_factory.mktemp("closed"), htpasswd=True, bind=fleet.layout.gateway)
    yield running
    running.stop()


@pytest.mark.parametrize("engine", ["20", "28"])
def test_pull_uses_the_stored_account_and_keeps_its_secret_to_itself(
    make_stage: MakeStage, closed_registry: RunningRegistry, push_image: PushImage, shelf: Shelf, engine: str
) -> None:
    stage = make_stage(engine)
    push_image(closed_registry, f"team/app{engine}", ["1"])
    name = f"{closed_registry.host}/team/app{engine}:1"
    shelf.expect(stage, name)

    anonymous = done(pull(stage, name))
    credentials = closed_registry.access().credentials
    assert isinstance(credentials, BasicCredentials)
    account = RegistryFactory(
        host=closed_registry.host,
        base_url=f"http://{closed_registry.host}",
        allow_http=True,
        kind="login+password",
        public_values={"login": credentials.username},
        secrets=f'{{"password": "{SECRET}"}}',
    )
    wrong = done(pull(stage, name))
    account.secrets = f'{{"password": "{credentials.secret}"}}'
    account.save()
    right = done(pull(stage, name))
    push_image(closed_registry, f"team/other{engine}", ["1"], platforms=("linux/s390x", "linux/ppc64le"))
    other = done(pull(stage, f"{closed_registry.host}/team/other{engine}:1"))

    assert (other.error_code, "not built for that platform" in other.error_fix) == ("pull_refused", True)
    assert anonymous.error_code == wrong.error_code == "pull_refused"
    assert "add an account" in anonymous.error_fix
    assert (right.state, right.error_message) == ("succeeded", "")
    assert is_there(stage, name)
    for operation in (wrong, right):
        kept = f"{operation.parameters} {operation.journal} {operation.parts} {operation.output}"
        kept += f"{operation.error_message} {operation.error_fix} {operation.outcome}"
        assert SECRET not in kept
        assert credentials.secret not in kept


# ---- in the middle -----------------------------------------------------------------------------------------


@pytest.fixture
def halfway(fleet: Fleet) -> Iterator[tuple[StoppingProxy, str]]:
    """A registry that stops in the middle of an image, and the image's name."""
    made = recipe(4 * 1024 * 1024)
    fleet.registry.push(made, "1")
    with stopping_proxy(fleet.layout.gateway, REGISTRY_PORT, 2 * 1024 * 1024) as proxy:
        yield proxy, f"{proxy.host}/{made.name}:1"


@pytest.mark.parametrize("engine", ["20", "28"])
def test_pull_called_off_in_the_middle_ends_and_leaves_no_image(
    make_stage: MakeStage, shelf: Shelf, halfway: tuple[StoppingProxy, str], engine: str
) -> None:
    stage, (proxy, name) = make_stage(engine), halfway
    shelf.expect(stage, name)
    asked = pull(stage, name)
    worker = in_thread(asked)
    assert proxy.stopped.wait(60)

    operations.request_cancel(somebody(), Operation.objects.get(pk=asked.pk))
    proxy.go_on()
    worker.join(60)
    ended = Operation.objects.get(pk=asked.pk)

    # What was through before it was noticed has been pulled; both are an honest end.
    assert ended.state in ("cancelled", "succeeded")
    assert is_there(stage, name) is (ended.state == "succeeded")


@pytest.mark.slow
def test_pull_whose_link_is_cut_goes_on_when_the_host_is_back(
    make_stage: MakeStage, shelf: Shelf, halfway: tuple[StoppingProxy, str]
) -> None:
    proxy, name = halfway
    stage = make_stage("26", exclusive=True)
    shelf.expect(stage, name)
    asked = pull(stage, name)
    worker = in_thread(asked)
    assert proxy.stopped.wait(60)

    stage.host.cut()
    pool.reset(str(stage.device.pk))
    worker.join(90)
    during = Operation.objects.get(pk=asked.pk)
    stage.host.heal()
    proxy.go_on()
    pool.reset(str(stage.device.pk))
    ended = taken_over(asked)

    assert during.state == "running"
    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert ended.attempts == 2
    assert Image.objects.filter(device=stage.device, repo_tags__contains=[name]).count() == 1


@pytest.mark.slow
def test_pull_whose_worker_is_killed_is_ended_by_another(
    make_stage: MakeStage, shelf: Shelf, halfway: tuple[StoppingProxy, str]
) -> None:
    proxy, name = halfway
    stage = make_stage("28")
    shelf.expect(stage, name)
    asked = pull(stage, name)
    with worker_process(asked) as worker:
        assert proxy.stopped.wait(60)
        worker.kill()
    proxy.go_on()

    ended = taken_over(asked)

    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert ended.attempts == 2
    assert is_there(stage, name)
