"""The rows of images follow real engines: from sweeps, and from events about single images."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from containers.events.recording import record
from containers.image_sync import apply_image_event, sweep_images
from containers.models import Container, Image
from containers.rules.events import EngineEvent
from containers.rules.image_facts import image_facts, image_id, image_names
from devices.connections import Engine
from devices.errors import NotDocker
from tests.containers.stage import MakeStage, Onlooker, Stage, unique

pytestmark = pytest.mark.django_db
CLOCK = "demo/clock:1.0.0"


def listed(stage: Stage) -> dict[str, dict[str, Any]]:
    """What the engine lists, by the long form of the id."""
    return {image_id(entry["Id"]): entry for entry in stage.engine.get_json("/images/json")}


def rows(stage: Stage) -> dict[str, Image]:
    return {row.engine_id: row for row in Image.objects.filter(device=stage.device)}


@pytest.fixture
def tag() -> str:
    """A name that no other test gives an image."""
    return f"tagged/{uuid.uuid4().hex[:8]}:1"


@pytest.fixture
def tidy(stage: Stage, tag: str) -> Iterator[None]:
    """Takes the test's own name away again."""
    yield
    stage.host.exec(f"docker rmi {tag}", check=False)


@pytest.mark.parametrize("engine", ["20", "26", "28", "podman"])
def test_sweep_each_engine_rows_equal_its_images(make_stage: MakeStage, engine: str) -> None:
    stage = make_stage(engine)

    sweep_images(stage.device, stage.engine)

    found, told = rows(stage), listed(stage)
    assert set(found) == set(told)
    for identity, row in found.items():
        assert row.repo_tags == [name for name in told[identity]["RepoTags"] or [] if "<none>" not in name]
        assert (row.os, row.architecture) == ("linux", "amd64")
        assert row.size_bytes and row.created_at is not None


@pytest.mark.parametrize("engine", ["28", "podman"])
def test_sweep_once_all_is_read_inspects_no_image(make_stage: MakeStage, engine: str) -> None:
    stage = make_stage(engine)
    sweep_images(stage.device, stage.engine)
    sweep_images(stage.device, stage.engine)  # reads the layers of what the first one found
    onlooker = Onlooker(stage.engine)

    assert sweep_images(stage.device, cast(Engine, onlooker)) == 0

    assert onlooker.asked == ["/images/json"]


def test_sweep_is_a_constant_number_of_queries(stage: Stage) -> None:
    sweep_images(stage.device, stage.engine)
    sweep_images(stage.device, stage.engine)

    with CaptureQueriesContext(connection) as queries:
        sweep_images(stage.device, stage.engine)

    assert len(queries) <= 9


def test_sweep_keeps_an_image_that_a_container_still_runs(stage: Stage) -> None:
    gone = f"sha256:{'e' * 64}"
    Image.objects.create(device=stage.device, engine_id=gone, repo_tags=["old:1"], repo_digests=["old@sha256:1"])
    Image.objects.create(device=stage.device, engine_id=f"sha256:{'f' * 64}")
    Container.objects.create(device=stage.device, engine_id="x" * 12, name=unique("old"), image_id=gone)

    sweep_images(stage.device, stage.engine)

    kept = rows(stage)[gone]
    assert (kept.repo_tags, kept.repo_digests) == ([], ["old@sha256:1"])
    assert f"sha256:{'f' * 64}" not in rows(stage)


def test_list_that_is_no_list_takes_no_row_away(stage: Stage) -> None:
    sweep_images(stage.device, stage.engine)
    before = set(rows(stage))
    onlooker = Onlooker(stage.engine)
    onlooker.answers["/images/json"] = {"message": "no"}

    with pytest.raises(NotDocker):
        sweep_images(stage.device, cast(Engine, onlooker))

    assert set(rows(stage)) == before


@pytest.mark.usefixtures("tidy")
def test_events_about_an_image_move_its_names(stage: Stage, tag: str) -> None:
    sweep_images(stage.device, stage.engine)
    row = Image.objects.get(device=stage.device, repo_tags__contains=[CLOCK])
    other = Image.objects.filter(device=stage.device).exclude(pk=row.pk).exclude(repo_tags=[]).first()
    assert other is not None

    stage.host.exec(f"docker tag {CLOCK} {tag}")
    event = EngineEvent("image", "tag", row.engine_id, tag, {"name": tag}, stage.clock_ns())
    record(stage.device, stage.engine, [event])
    row.refresh_from_db()
    assert tag in row.repo_tags

    stage.host.exec(f"docker tag {other.repo_tags[0]} {tag}")
    apply_image_event(stage.device, stage.engine, "tag", other.engine_id)
    row.refresh_from_db()
    other.refresh_from_db()
    assert tag not in row.repo_tags
    assert tag in other.repo_tags

    stage.host.exec(f"docker rmi {tag}")
    apply_image_event(stage.device, stage.engine, "untag", other.engine_id)
    other.refresh_from_db()
    assert tag not in other.repo_tags


def test_event_about_an_image_that_is_gone_removes_its_row(stage: Stage) -> None:
    gone = f"sha256:{'d' * 64}"
    Image.objects.create(device=stage.device, engine_id=gone, repo_tags=["gone:1"])

    apply_image_event(stage.device, stage.engine, "delete", gone)

    assert not Image.objects.filter(device=stage.device, engine_id=gone).exists()


@pytest.mark.parametrize("subject", ["../../containers/json", "x y", "", "a" * 2000, "UPPER"])
def test_event_about_what_is_no_image_asks_nothing(stage: Stage, subject: str) -> None:
    onlooker = Onlooker(stage.engine)

    apply_image_event(stage.device, cast(Engine, onlooker), "pull", subject)

    assert onlooker.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Id": 5},
        {"Id": "sha256:xyz"},
        {
            "Id": "sha256:" + "a" * 64,
            "RepoTags": "x",
            "RepoDigests": [5, None],
            "Size": -1,
            "Created": "x",
            "Config": [],
        },
        {"Id": "a" * 64, "Os": {}, "Size": True, "Descriptor": {"digest": "sha256:zz"}, "Created": 10**30},
        {"Id": "a" * 64, "Config": {"Labels": {"k" * 9999: "v" * 9999, "n": 5}}, "RepoTags": ["<none>:<none>"]},
    ],
)
def test_image_facts_of_odd_answers_are_bounded(answer: dict[str, Any]) -> None:
    facts, names = image_facts(answer), image_names(answer)

    assert (facts is None) == (names is None)
    if facts is not None:
        assert facts.names.engine_id == "sha256:" + "a" * 64
        assert facts.names.repo_tags == [] and facts.manifest_digest == ""
        assert len(json.dumps(facts.labels)) < 3000
