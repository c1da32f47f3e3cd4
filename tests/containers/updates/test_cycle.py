"""From a tag that moves in a real registry to the answer for a container on a real engine, and to open pages."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from containers.models import Container, UpdateCheck, UpdatePolicy, UpdateStatus
from containers.updates import decisions
from containers.updates.checks import follow_checks, request_check
from containers.updates.cycle import check_device, evaluate_moved
from containers.updates.decisions import Target
from containers.updates.evaluation import evaluate
from containers.updates.interest import wanted_for
from devices.models import Device, now
from registries.models import RepositoryKnowledge, TagKnowledge
from registries.polling import poll_due
from tests.containers.stage import MakeStage, Stage, heard, unique
from tests.factories import ContainerFactory, DeviceFactory, ImageFactory, RepositoryFactory, TagFactory
from tests.fleet import Fleet
from tests.people import People
from tests.registries.asking import account_of
from tests.registries.servers.distribution import RunningRegistry, is_installed, start_registry
from tests.registries.servers.fixtures import PushImage

pytestmark = pytest.mark.django_db
SOURCE = {"org.opencontainers.image.source": "https://github.com/demo/app"}
A, B = (f"sha256:{letter * 64}" for letter in "ab")


def answer(container: Container) -> UpdateStatus:
    return UpdateStatus.objects.get(container=container)


def let_time_pass() -> None:
    """What was looked up was looked up an hour ago."""
    earlier = now() - timedelta(hours=1)
    RepositoryKnowledge.objects.filter(attempted_at__isnull=False).update(
        attempted_at=earlier, tags_attempted_at=earlier
    )
    TagKnowledge.objects.filter(attempted_at__isnull=False).update(attempted_at=earlier)


# ---- real registry, real engine -----------------------------------------------------------------------------


@pytest.fixture
def registry(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry of this test alone, which the fleet's hosts reach."""
    if not is_installed():
        pytest.skip("docker-registry is not installed (Debian package docker-registry)")
    running = start_registry(tmp_path_factory.mktemp("updates"), bind=fleet.layout.gateway)
    yield running
    running.stop()


class Scene:
    """A host with containers that were created from what a registry holds."""

    def __init__(self, stage: Stage, registry: RunningRegistry) -> None:
        self.stage = stage
        self.registry = registry
        self.image = f"{registry.host}/demo/app"
        self.command = "podman" if stage.host.engine == "podman" else "docker"

    def pull(self, tag: str) -> None:
        extra = " --tls-verify=false" if self.command == "podman" else ""
        self.stage.host.exec(f"{self.command} pull{extra} {self.image}:{tag}")

    def create(self, word: str, tag: str) -> str:
        name = unique(word)
        self.stage.host.exec(f"{self.command} create --name {name} {self.image}:{tag} /x")
        return name

    def row(self, name: str) -> Container:
        return Container.objects.get(device=self.stage.device, name=name)

    def clear(self) -> None:
        self.stage.host.exec(
            f"{self.command} ps -aq | xargs -r {self.command} inspect --format '{{{{.Id}}}} {{{{.Config.Image}}}}' "
            f"| grep {self.image} | cut -d' ' -f1 | xargs -r {self.command} rm -f; "
            f"{self.command} images -q {self.image} | sort -u | xargs -r {self.command} rmi -f",
            check=False,
        )


@pytest.fixture
def make_scene(make_stage: MakeStage, registry: RunningRegistry, push_image: PushImage):
    scenes = []

    def make(engine: str) -> Scene:
        push_image(registry, "demo/app", ["1.0.0"], content="one")
        push_image(registry, "demo/app", ["latest"], content="first", platforms=["linux/amd64", "linux/arm64"])
        account_of(registry)
        scene = Scene(make_stage(engine), registry)
        scenes.append(scene)
        return scene

    yield make
    for scene in scenes:
        scene.clear()


def poll_and_evaluate() -> None:
    """A round of the beat's ticks."""
    poll_due()
    evaluate_moved()


@pytest.mark.parametrize("engine", ["28", "podman"])
@pytest.mark.django_db(transaction=True)
def test_tag_that_moves_is_followed_from_the_registry_to_the_page(
    make_scene, push_image: PushImage, people: People, engine: str
) -> None:
    scene = make_scene(engine)
    scene.pull("1.0.0")
    scene.pull("latest")
    pinned, word = scene.create("pinned", "1.0.0"), scene.create("word", "latest")
    scene.stage.sweep()
    evaluate_moved()
    assert answer(scene.row(word)).reason == "not_checked_yet"

    poll_and_evaluate()
    assert {answer(scene.row(name)).state for name in (pinned, word)} == {"up_to_date"}

    # The tag is built again; somebody asks.
    push_image(scene.registry, "demo/app", ["latest"], content="second", platforms=["linux/amd64", "linux/arm64"])
    let_time_pass()
    check = request_check(people.operator, device=scene.stage.device)
    assert (check.done, check.finished_at) == (check.total - len(check.repositories), None)
    with heard() as messages:
        poll_and_evaluate()
        kinds = {message["kind"] for message in messages(2)}
    assert {"update", "check"} <= kinds
    rebuilt = answer(scene.row(word))
    assert (rebuilt.state, rebuilt.change, rebuilt.has_digest_update) == ("update_available", "digest", True)
    assert rebuilt.local_digest and rebuilt.local_digest != rebuilt.remote_digest
    check.refresh_from_db()
    assert check.finished_at is not None and check.done == check.total

    # A new version appears.
    push_image(scene.registry, "demo/app", ["1.1.0"], content="new", labels=SOURCE)
    let_time_pass()
    request_check(people.operator, container=scene.row(pinned))
    poll_and_evaluate()
    poll_and_evaluate()
    newer = answer(scene.row(pinned))
    assert (newer.state, newer.change, newer.offered_tag) == ("update_available", "minor", "1.1.0")
    assert newer.offered_digest
    assert newer.source_url == "https://github.com/demo/app/releases"
    page = people.client("viewer").get("/updates/").content.decode()
    assert "1.0.0 → 1.1.0" in page and "latest was rebuilt" in page
    assert "1.0.0 → 1.1.0" in people.client("viewer").get(f"/containers/?q={pinned}").content.decode()
    why = people.client("viewer").get(f"/containers/{newer.pk}/updates/").content.decode()
    assert "Offered: 1.0.0 → 1.1.0 (minor)." in why

    # The registry goes away: the last good answer stays, with its age.
    scene.registry.stop()
    let_time_pass()
    request_check(people.operator)
    poll_and_evaluate()
    failed = answer(scene.row(pinned))
    assert (failed.state, failed.reason) == ("error", "unreachable")
    assert failed.good["offered_tag"] == "1.1.0"
    assert failed.good_at == newer.known_at
    assert "last answer" in people.client("viewer").get("/updates/?state=error").content.decode()


def test_image_that_is_pulled_but_not_used_is_told(make_scene, push_image: PushImage) -> None:
    scene = make_scene("28")
    scene.pull("latest")
    word = scene.create("word", "latest")
    scene.stage.sweep()
    evaluate_moved()
    poll_and_evaluate()
    push_image(scene.registry, "demo/app", ["latest"], content="second")

    scene.pull("latest")
    scene.stage.sweep()
    let_time_pass()
    check_device(str(scene.stage.device.pk))
    poll_and_evaluate()

    status = answer(scene.row(word))
    assert (status.state, status.change, status.notes) == ("update_available", "digest", ["pulled_not_recreated"])


# ---- what is asked ------------------------------------------------------------------------------------------


def deployed(
    device: Device, name: str, *, tag: str = "1.0.0", repository: str = "team/app", **columns: object
) -> Container:
    """A container whose image was pulled from registry.example."""
    image = ImageFactory(device=device, repo_digests=[f"registry.example/{repository}@{A}"])
    return ContainerFactory(
        device=device,
        name=name,
        image_id=image.engine_id,
        image_reference=f"registry.example/{repository}:{tag}",
        registry="registry.example",
        repository=repository,
        tag=tag,
        **columns,
    )


def test_repository_is_wanted_once_however_many_use_it() -> None:
    containers = [deployed(DeviceFactory(online=True), f"app-{n}") for n in range(5)]
    containers += [deployed(DeviceFactory(online=True), "other", tag="2.0.0")]
    local = ContainerFactory(image_id=ImageFactory(repo_digests=[]).engine_id, image_reference="built/here:1")
    left = deployed(DeviceFactory(online=True), "left", repository="team/left", labels={"wud.watch": "false"})
    evaluate([row.pk for row in [*containers, local, left]])

    wanted = list(wanted_for(UpdateStatus.objects.all()))

    assert [(item.repository, item.tags, item.needs_tag_list) for item in wanted] == [
        ("team/app", frozenset({"1.0.0", "2.0.0"}), True)
    ]
    assert wanted[0].local_digests == {A}


def test_evaluation_is_a_constant_number_of_queries() -> None:
    knowledge = RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "1.1.0"])
    TagFactory(repository=knowledge, tag="1.0.0", digest=A)
    one = [deployed(DeviceFactory(online=True), "one")]
    many = [deployed(DeviceFactory(online=True), f"many-{n}") for n in range(30)]
    counts = []
    for rows in (one, many):
        with CaptureQueriesContext(connection) as queries:
            evaluate([row.pk for row in rows])
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 14
    assert set(UpdateStatus.objects.values_list("offered_tag", flat=True)) == {"1.1.0"}


def test_tick_looks_at_what_moved_alone() -> None:
    RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "1.1.0"])
    device = DeviceFactory(online=True)
    container = deployed(device, "one")
    evaluate_moved()
    earlier = now() - timedelta(minutes=5)
    Container.objects.update(changed_at=earlier)
    RepositoryKnowledge.objects.update(changed_at=earlier)
    device.images.update(changed_at=earlier)

    assert evaluate_moved() == 0
    RepositoryKnowledge.objects.update(changed_at=now(), tags=["1.0.0", "1.2.0"])
    assert evaluate_moved() == 1
    assert answer(container).offered_tag == "1.2.0"
    RepositoryKnowledge.objects.update(changed_at=earlier)
    Device.objects.update(watch_by_default=False)
    assert evaluate_moved() == 1
    assert answer(container).state == "not_watched"
    assert evaluate_moved() == 0


def test_error_keeps_the_last_good_answer_and_a_recovery_ends_it() -> None:
    row = RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "1.1.0"])
    container = deployed(DeviceFactory(online=True), "one")
    evaluate([container.pk])
    good = answer(container).good

    RepositoryKnowledge.objects.update(last_error_code="rate_limited", failing_since=now(), retry_at=now())
    evaluate([container.pk])
    failed = answer(container)
    RepositoryKnowledge.objects.update(last_error_code="", failing_since=None, looked_up_at=now())
    evaluate([container.pk])

    assert row.pk
    assert (failed.state, failed.good, failed.offered_tag) == ("error", good, "")
    assert failed.retry_at is not None
    assert (answer(container).state, answer(container).failing_since) == ("update_available", None)


# ---- what users decide --------------------------------------------------------------------------------------


@pytest.fixture
def offered() -> Container:
    """A container for which 1.0.1, 1.1.0 and 2.0.0 exist."""
    RepositoryFactory(host="registry.example", path="team/app", tags=["1.0.0", "1.0.1", "1.1.0", "2.0.0"])
    container = deployed(DeviceFactory(online=True), "one")
    evaluate([container.pk])
    return container


def test_decisions_are_applied_shown_and_undone(offered: Container, people: People) -> None:
    target = Target(container=offered)
    assert answer(offered).offered_tag == "2.0.0"

    ignored = decisions.ignore(people.operator, target, "2.0.0")
    assert (answer(offered).offered_tag, answer(offered).withheld) == ("1.1.0", "2.0.0")
    assert any(step["rule"] == "ignored" for step in answer(offered).trace)
    line = decisions.stay(people.operator, target, "minor")
    assert answer(offered).offered_tag == "1.0.1"
    decisions.undo(people.administrator, line)
    decisions.undo(people.administrator, ignored)
    assert answer(offered).offered_tag == "2.0.0"

    ignored.refresh_from_db()
    assert (ignored.created_by_name, ignored.ended_by_name) == ("operator", "administrator")
    assert UpdatePolicy.objects.in_force(now()).count() == 0


def test_decision_for_an_image_holds_wherever_it_runs(offered: Container, people: People) -> None:
    other = deployed(DeviceFactory(online=True), "two")
    newer = deployed(DeviceFactory(online=True), "three", tag="1.1.0")
    evaluate([other.pk, newer.pk])

    decisions.stay(people.operator, Target(registry="registry.example", repository="team/app", tag="1.0.0"), "major")

    assert [answer(row).offered_tag for row in (offered, other, newer)] == ["1.1.0", "1.1.0", "2.0.0"]


def test_snooze_takes_it_off_the_list_until_its_time(offered: Container, people: People) -> None:
    decisions.snooze(people.operator, Target(container=offered), now() + timedelta(days=1))

    assert answer(offered).state == "update_available"
    assert not UpdateStatus.objects.offering(now()).exists()
    assert UpdateStatus.objects.offering(now() + timedelta(days=2)).exists()


def test_check_of_nothing_to_ask_is_finished_at_once(people: People) -> None:
    check = request_check(people.operator, device=DeviceFactory(online=True))

    assert (check.total, check.finished_at is not None) == (0, True)


def test_check_that_nobody_works_on_ends_by_itself(offered: Container, people: People) -> None:
    let_time_pass()
    check = request_check(people.operator, container=offered)
    assert check.finished_at is None

    UpdateCheck.objects.update(started_at=now() - timedelta(minutes=11))
    follow_checks()

    check.refresh_from_db()
    assert check.finished_at is not None
    assert check.pk != uuid.UUID(int=0)
