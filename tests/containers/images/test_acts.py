"""Naming, removing and pruning images on real hosts: what is done, and what is refused before anything is lost."""

from collections.abc import Iterator

import pytest

from containers.image_requests import previews
from containers.image_sync import refresh_image, sweep_images
from containers.models import Image, Operation
from containers.rules.pruning import UNUSED
from tests.containers.images.staging import Shelf, ask, done, is_there, shelf
from tests.containers.stage import MakeStage, Stage, unique
from tests.queued import take_queued

__all__ = ["shelf"]
pytestmark = pytest.mark.django_db(transaction=True)
KIND = Operation.Kind
ENGINES = ("20", "26", "28")


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    take_queued()
    yield
    take_queued()


def tag(stage: Stage, image: Image, reference: str, *, moves: bool = False) -> Operation:
    return done(ask(stage.device, KIND.IMAGE_TAG, image.title, image.engine_id, reference=reference, moves=moves))


def remove(stage: Stage, image: Image, *names: str, force: bool = False) -> Operation:
    return done(ask(stage.device, KIND.IMAGE_REMOVE, image.title, image.engine_id, names=list(names), force=force))


def row_of(image: Image) -> Image | None:
    return Image.objects.filter(pk=image.pk).first()


@pytest.mark.parametrize("engine", [*ENGINES, "podman"])
def test_names_are_given_taken_over_and_taken_away(make_stage: MakeStage, shelf: Shelf, engine: str) -> None:
    stage = make_stage(engine)
    one, two = shelf.load(stage), shelf.load(stage)
    name = f"registry.example.com/{unique('named')}:2"

    given = tag(stage, one, name)
    again = tag(stage, one, name)
    taken = tag(stage, two, name)
    moved = tag(stage, two, name, moves=True)
    one.refresh_from_db()
    two.refresh_from_db()
    assert name in two.repo_tags and name not in one.repo_tags
    away = remove(stage, two, name)
    two.refresh_from_db()

    assert (given.state, given.outcome) == ("succeeded", f"now called {name}")
    assert again.outcome == "nothing to do: it has that name already"
    assert (taken.state, taken.error_code) == ("failed", "image_name_taken")
    assert one.short_id in taken.error_message
    assert moved.outcome == f"now called {name}; {one.short_id} was before"
    assert (away.state, two.repo_tags) == ("succeeded", [two.name])


@pytest.mark.parametrize("engine", ENGINES)
def test_removal_tells_who_uses_the_image_and_takes_nothing_away_first(
    make_stage: MakeStage, shelf: Shelf, engine: str
) -> None:
    stage = make_stage(engine)
    image = shelf.load(stage)
    second = f"{unique('second')}:1"
    tag(stage, image, second)
    image.refresh_from_db()
    user = unique("user")
    engine_id = stage.host.run(user, image.name)

    running = remove(stage, image)
    by_force = remove(stage, image, force=True)
    stage.host.api("POST", f"/containers/{engine_id}/stop?t=0")
    stopped = remove(stage, image)
    names = set(stage.host.api("GET", f"/images/{image.engine_id}/json")["RepoTags"])
    forced = remove(stage, image, force=True)

    for refused in (running, by_force, stopped):
        assert (refused.state, refused.error_code) == ("failed", "image_in_use")
        assert user in refused.error_message
    assert (
        "not even by force" in running.error_fix
        or "not even force" in running.error_fix
        or "by force" in running.error_fix
    )
    assert "remove the image by force" in stopped.error_fix
    assert names == set(image.repo_tags)
    assert (forced.state, forced.error_message) == ("succeeded", "")
    assert not is_there(stage, image.name)


@pytest.mark.parametrize("engine", [*ENGINES, "podman"])
def test_removal_takes_all_names_and_the_row(make_stage: MakeStage, shelf: Shelf, engine: str) -> None:
    stage = make_stage(engine)
    image = shelf.load(stage)
    tag(stage, image, f"other.example.com/{unique('extra')}:1")

    ended = remove(stage, image)
    again = remove(stage, image)

    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert not is_there(stage, image.engine_id)
    assert row_of(image) is None
    assert again.outcome == "nothing to do: it was gone already"


def test_act_on_an_image_that_is_gone_says_so(make_stage: MakeStage, shelf: Shelf) -> None:
    stage = make_stage("28")
    image = shelf.load(stage)
    stage.host.api("DELETE", f"/images/{image.engine_id}?force=1")

    ended = tag(stage, image, "other:1")

    assert (ended.state, ended.error_code) == ("failed", "image_gone")
    assert row_of(image) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_prune_takes_what_was_shown_and_leaves_what_changed_meanwhile(
    make_stage: MakeStage, shelf: Shelf, engine: str
) -> None:
    stage = make_stage(engine)
    goes, tagged, used = shelf.load(stage, size_bytes=40_000), shelf.load(stage), shelf.load(stage)
    dangling = shelf.load(stage)
    stage.host.api("POST", f"/images/{goes.name}/tag?repo={dangling.name.rpartition(':')[0]}&tag=1")
    sweep_images(stage.device, stage.engine)
    ours = {goes.engine_id, tagged.engine_id, used.engine_id, dangling.engine_id}
    (preview,) = previews([stage.device], UNUSED, "")
    items = [{"id": image.engine_id, "names": image.repo_tags} for image in preview.images if image.engine_id in ours]
    assert {item["id"] for item in items} == ours

    stage.host.api("POST", f"/images/{tagged.name}/tag?repo={unique('late')}&tag=1")
    container = stage.host.run(unique("late"), used.name, start=False)
    ended = done(ask(stage.device, KIND.IMAGE_PRUNE, stage.device.name, "prune", items=items))

    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert ended.outcome.startswith("2 removed, ") and ended.outcome.endswith("2 left, see the output")
    assert "it was given another name meanwhile" in ended.output and "uses it" in ended.output
    there = {identity for identity in ours if is_there(stage, identity)}
    assert there == {tagged.engine_id, used.engine_id}
    assert {str(row.engine_id) for row in Image.objects.filter(device=stage.device, engine_id__in=ours)} == there
    stage.host.api("DELETE", f"/containers/{container}?force=1")


@pytest.mark.parametrize("engine", ["20", "26", "28"])
def test_shared_bytes_are_what_the_engine_counts(make_stage: MakeStage, shelf: Shelf, engine: str) -> None:
    stage = make_stage(engine)
    shelf.load(stage, size_bytes=20_000)
    sweep_images(stage.device, stage.engine)
    sweep_images(stage.device, stage.engine)
    listed = (
        stage.host.api("GET", "/v1.41/system/df")["Images"]
        if engine == "20"
        else stage.host.api("GET", "/v1.44/images/json?shared-size=1")
    )

    told = {entry["Id"]: (entry["Size"], entry["SharedSize"]) for entry in listed}
    shown = {row.engine_id: (row.size_bytes, row.shared_bytes) for row in Image.objects.filter(device=stage.device)}

    assert {key: shown[key] for key in told} == told


def test_refresh_of_an_image_reads_its_layers_at_once(make_stage: MakeStage, shelf: Shelf) -> None:
    stage = make_stage("28")
    image = shelf.load(stage)

    row = refresh_image(stage.device, stage.engine, image.name)

    assert row is not None and row.history is not None
    assert [step["created_by"] for step in reversed(row.history)] == ["fleet busybox", "fleet app"]
    assert sum(layer.size_bytes for layer in row.layer_list or ()) == row.size_bytes
    assert row.config["command"] == ["/app.sh"]
