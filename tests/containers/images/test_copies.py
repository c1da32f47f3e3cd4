"""Images that flow from one real host to another through SSM: the same at the end, whatever happens on the way."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from containers import operations
from containers.models import Image, Operation
from devices.connections import EngineStream, pool
from tests.containers.images.staging import (
    Shelf,
    ask,
    done,
    in_thread,
    is_there,
    shelf,
    somebody,
    taken_over,
    worker_process,
)
from tests.containers.stage import MakeStage, Stage, eventually, unique
from tests.queued import take_queued

__all__ = ["shelf"]
pytestmark = pytest.mark.django_db(transaction=True)
KIND = Operation.Kind.IMAGE_COPY
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    take_queued()
    yield
    take_queued()


def copy(source: Stage, target: Stage, image: Image) -> Operation:
    """A copy as the pages ask for it."""
    parameters = {"source": str(source.device.pk), "names": image.repo_tags}
    return ask(target.device, KIND, image.title, image.engine_id, **parameters)


def layers_on(stage: Stage, name: str) -> list[str]:
    answer: list[str] = stage.host.api("GET", f"/images/{name}/json")["RootFS"]["Layers"]
    return answer


@pytest.mark.parametrize(("one", "other"), [("20", "28"), ("28", "20"), ("26", "podman"), ("podman", "26")])
def test_copy_brings_the_same_image_with_all_its_names(
    make_stage: MakeStage, shelf: Shelf, one: str, other: str
) -> None:
    first, second = sorted((one, other), key=["20", "26", "28", "podman"].index)
    stages = {first: make_stage(first), second: make_stage(second)}
    source, target = stages[one], stages[other]
    image = shelf.load(source, size_bytes=200_000)
    extra = f"registry.example.com/{unique('extra')}:3"
    source.host.api("POST", f"/images/{image.engine_id}/tag?repo={extra[:-2]}&tag=3")
    image = shelf.row(source, image.name)
    shelf.expect(target, extra)
    shelf.expect(target, image.name)

    sent = done(copy(source, target, image))
    again = done(copy(source, target, image))

    assert (sent.state, sent.error_message) == ("succeeded", "")
    assert sent.outcome.endswith(f"came from {source.device.name}")
    assert layers_on(target, extra) == layers_on(source, image.engine_id) == layers_on(target, image.name)
    assert Image.objects.filter(device=target.device, repo_tags__contains=[extra]).exists()
    assert again.outcome == "nothing to send: it was there already"


def test_copy_of_an_image_without_a_name_keeps_its_id(make_stage: MakeStage, shelf: Shelf) -> None:
    source, target = make_stage("26"), make_stage("28")
    image = shelf.load(source)
    other = shelf.load(source)
    source.host.api("POST", f"/images/{other.name}/tag?repo={image.name.rpartition(':')[0]}&tag=1")
    nameless = shelf.row(source, image.engine_id)
    assert nameless.is_dangling
    shelf.expect(target, nameless.engine_id)

    ended = done(copy(source, target, nameless))

    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert is_there(target, nameless.engine_id)


def test_copy_of_what_the_source_has_no_more_is_refused(make_stage: MakeStage, shelf: Shelf) -> None:
    source, target = make_stage("26"), make_stage("28")
    image = shelf.load(source)
    source.host.api("DELETE", f"/images/{image.engine_id}?force=1")

    gone = done(copy(source, target, image))
    asked = copy(source, target, image)
    source.device.delete()
    away = done(asked)

    assert gone.error_code == away.error_code == "copy_source_lost"
    assert "Copy it from another host" in gone.error_fix


def test_copy_onto_a_full_disk_says_so_and_leaves_nothing(make_stage: MakeStage, shelf: Shelf) -> None:
    target = make_stage("26", exclusive=True)
    source = make_stage("28")
    image = shelf.load(source, size_bytes=3 * MIB)
    shelf.expect(target, image.name)
    target.host.exec("mount -t tmpfs -o size=1m tmpfs /var/lib/docker/tmp")
    try:
        ended = done(copy(source, target, image))
        left = target.host.exec("find /var/lib/docker/tmp -mindepth 1 | wc -l").strip()
    finally:
        target.host.exec("umount -l /var/lib/docker/tmp")

    assert (ended.state, ended.error_code) == ("failed", "load_refused")
    assert "disk is full" in ended.error_fix
    assert left == "0"
    assert not is_there(target, image.engine_id)


# ---- in the middle -----------------------------------------------------------------------------------------


@pytest.fixture
def slow_source(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Archives come slowly in this process, so that a test can act meanwhile; set the event to let them run."""
    go_on = threading.Event()
    read = EngineStream.__next__

    def slowly(stream: EngineStream) -> bytes:
        if stream.headers.get("content-type", "").startswith("application/x-tar"):
            go_on.wait(0.2)
        return read(stream)

    monkeypatch.setattr(EngineStream, "__next__", slowly)
    yield go_on
    go_on.set()


def parts_of(operation: Operation) -> Callable[[], bool]:
    """Whether bytes have come."""
    return lambda: any(part["current"] for part in Operation.objects.get(pk=operation.pk).parts)


def test_copy_called_off_in_the_middle_leaves_nothing(
    make_stage: MakeStage, shelf: Shelf, slow_source: threading.Event
) -> None:
    source, target = make_stage("26"), make_stage("28")
    image = shelf.load(source, size_bytes=16 * MIB)
    shelf.expect(target, image.name)
    asked = copy(source, target, image)
    worker = in_thread(asked)
    eventually(parts_of(asked), 60, "bytes came")

    operations.request_cancel(somebody(), Operation.objects.get(pk=asked.pk))
    worker.join(60)
    ended = Operation.objects.get(pk=asked.pk)

    assert ended.state == "cancelled"
    assert f"{target.device.name} keeps nothing of it" in ended.outcome
    assert not is_there(target, image.engine_id)
    assert target.host.exec("find /var/lib/docker/tmp -mindepth 1 | wc -l").strip() == "0"


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["source", "target"])
def test_copy_whose_link_is_cut_is_sent_again_when_the_host_is_back(
    make_stage: MakeStage, shelf: Shelf, slow_source: threading.Event, lost: str
) -> None:
    source = make_stage("26", exclusive=True)
    target = make_stage("28", exclusive=True)
    image = shelf.load(source, size_bytes=16 * MIB)
    shelf.expect(target, image.name)
    cut = source if lost == "source" else target
    asked = copy(source, target, image)
    worker = in_thread(asked)
    eventually(parts_of(asked), 60, "bytes came")

    cut.host.cut()
    pool.reset(str(cut.device.pk))
    worker.join(90)
    during = Operation.objects.get(pk=asked.pk)
    cut.host.heal()
    pool.reset(str(cut.device.pk))
    slow_source.set()
    ended = taken_over(asked)

    assert during.state == "running"
    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert layers_on(target, image.name) == layers_on(source, image.engine_id)


@pytest.mark.slow
def test_copy_whose_worker_is_killed_is_ended_by_another_with_flat_memory(make_stage: MakeStage, shelf: Shelf) -> None:
    source, target = make_stage("26"), make_stage("28")
    image = shelf.load(source, size_bytes=96 * MIB)
    shelf.expect(target, image.name)
    asked = copy(source, target, image)
    with worker_process(asked) as worker:
        eventually(parts_of(asked), 60, "bytes came")
        worker.kill()
    killed = Operation.objects.get(pk=asked.pk)

    with peak_of_memory() as peak:
        ended = taken_over(asked)

    assert killed.state == "running"
    assert (ended.state, ended.error_message, ended.attempts) == ("succeeded", "", 2)
    assert layers_on(target, image.name) == layers_on(source, image.engine_id)
    # Nothing of an archive of 96 MiB is kept but the pieces that are under way.
    assert peak() < 40 * MIB, f"{peak() / MIB:.0f} MiB more than before"


@contextmanager
def peak_of_memory() -> Iterator[Callable[[], int]]:
    """How much more memory this process holds at most, in bytes."""
    is_over = threading.Event()
    first = resident()
    peak = [first]

    def watch() -> None:
        while not is_over.wait(0.05):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: peak[0] - first
    finally:
        is_over.set()
        watcher.join()


def resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no file of ours
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
