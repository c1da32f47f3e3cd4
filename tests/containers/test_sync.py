"""Rows follow real hosts: identity, order of news, cost, and what is announced."""

import threading
from typing import Any, cast

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from containers import sync
from containers.inventory_rows import Changes
from containers.models import Container, Event, Operation
from devices.connections import Engine
from devices.errors import EngineError, NotDocker
from devices.models import Device
from tests.containers.stage import MakeStage, Onlooker, Stage, heard, unique
from tests.factories import ContainerFactory, DeviceFactory, OperationFactory
from tests.fleet.contents import compose_labels

CLOCK = "demo/clock:1.0.0"


def sweep(stage: Stage, onlooker: Onlooker) -> Changes:
    return sync.sweep(stage.device, cast(Engine, onlooker))


# ---- what a sweep sees


@pytest.mark.django_db
@pytest.mark.parametrize("engine", ["20", "26", "28", "podman"])
def test_sweep_each_engine_rows_equal_its_containers(make_stage: MakeStage, engine: str) -> None:
    stage = make_stage(engine)
    running = stage.host.run(unique("env"), CLOCK, env={"PASSWORD": "hidden"}, labels={"<b>": "<script>" * 9})

    changes = stage.sweep()

    listed = {item["Id"]: item for item in stage.host.containers()}
    rows = {row.engine_id: row for row in Container.objects.filter(device=stage.device)}
    assert {key: row.name for key, row in rows.items()} == {k: v["Names"][0].lstrip("/") for k, v in listed.items()}
    words = {"configured": "created", "stopped": "exited"}
    assert {k: row.state for k, row in rows.items()} == {
        k: words.get(v["State"], v["State"]) for k, v in listed.items()
    }
    assert len(changes.appeared) == len(listed)
    row = rows[running]
    assert ("PASSWORD", "hidden") in row.variables
    assert "hidden" not in str(row.inspect)
    assert row.labels["<b>"] == "<script>" * 9
    assert row.repository == "demo/clock" or row.repository == "localhost/demo/clock" or engine == "podman"
    assert row.started_at is not None


@pytest.mark.parametrize("engine", ["20", "28", "podman"])
@pytest.mark.django_db
def test_sweep_second_time_inspects_only_what_changed(make_stage: MakeStage, engine: str) -> None:
    stage = make_stage(engine)
    changed = stage.host.run(unique("changed"), "test/stubborn")
    stage.host.run(unique("same"), CLOCK)
    stage.sweep()
    idle, busy = Onlooker(stage.engine), Onlooker(stage.engine)

    nothing = sweep(stage, idle)
    stage.host.api("POST", f"/containers/{changed}/pause")
    changes = sweep(stage, busy)
    stage.host.api("POST", f"/containers/{changed}/unpause")

    assert idle.inspected == []
    assert nothing == Changes()
    assert busy.inspected == [changed]
    assert changes == Changes(updated=[str(stage.row(changed).pk)])
    assert stage.row(changed).state == "paused"


def test_sweep_restarted_while_nobody_listened_is_seen(stage: Stage) -> None:
    engine_id = stage.host.run(unique("restarted"), "test/exit", env={"DELAY": "1000"})
    stage.sweep()
    before = stage.row(engine_id).started_at

    stage.host.api("POST", f"/containers/{engine_id}/restart?t=1")
    stage.sweep()

    assert stage.row(engine_id).started_at > before  # type: ignore[operator]


def test_sweep_one_container_that_cannot_be_inspected_does_not_hide_the_others(stage: Stage) -> None:
    broken, fine = (stage.host.run(unique(word), CLOCK) for word in ("broken", "fine"))
    stage.sweep()
    Container.objects.filter(device=stage.device).update(list_digest="")
    onlooker = Onlooker(stage.engine)

    def fail() -> None:
        raise EngineError("the engine says 500")

    onlooker.before[f"/containers/{broken}/json"] = fail
    stage.host.api("POST", f"/containers/{fine}/pause")
    changes = sweep(stage, onlooker)
    stage.host.api("POST", f"/containers/{fine}/unpause")

    assert changes.unread == [f"{broken[:12]}: the engine says 500"]
    assert stage.row(fine).state == "paused"
    assert stage.row(broken).removed_at is None


@pytest.mark.parametrize("answer", [None, {}, "x", {"message": "no"}])
def test_sweep_list_that_is_none_removes_nothing(stage: Stage, answer: object) -> None:
    stage.sweep()
    onlooker = Onlooker(stage.engine)
    onlooker.answers["/containers/json"] = answer

    with pytest.raises(NotDocker):
        sweep(stage, onlooker)

    assert not Container.objects.filter(device=stage.device).exclude(removed_at=None).exists()


def test_sweep_list_of_garbage_entries_is_survived(stage: Stage) -> None:
    kept = stage.host.run(unique("kept"), CLOCK)
    onlooker = Onlooker(stage.engine)
    real = stage.engine.get_json("/containers/json", {"all": "1"})
    onlooker.answers["/containers/json"] = [None, 5, {}, {"Id": "../x"}, {"Id": "\ud800"}, {"Id": ["x"]}, *real]

    sweep(stage, onlooker)

    assert stage.row(kept).state == "running"


# ---- identity


def test_recreated_under_its_name_keeps_the_row(stage: Stage) -> None:
    name = unique("again")
    first = stage.host.run(name, CLOCK)
    stage.sweep()
    row = stage.row(first)

    stage.host.api("DELETE", f"/containers/{first}?force=1")
    stage.sweep()
    gone = Container.objects.get(pk=row.pk).removed_at
    second = stage.host.run(name, CLOCK)
    changes = stage.sweep()

    assert gone is not None
    assert stage.row(second).pk == row.pk
    assert changes.appeared == [str(row.pk)]


def test_recreated_between_two_sweeps_keeps_the_row(stage: Stage) -> None:
    name = unique("again")
    first = stage.host.run(name, CLOCK)
    stage.sweep()
    row = stage.row(first)

    stage.host.api("DELETE", f"/containers/{first}?force=1")
    second = stage.host.run(name, CLOCK)
    stage.sweep()

    assert stage.row(second).pk == row.pk
    assert Container.objects.filter(device=stage.device, name=name).count() == 1


@pytest.mark.parametrize("order", ["destroy first", "create first"])
def test_recreated_told_by_events_in_either_order_keeps_the_row(stage: Stage, order: str) -> None:
    name = unique("again")
    first = stage.host.run(name, CLOCK)
    stage.tell("create", "start", engine_id=first, name=name)
    row = stage.row(first)
    stage.host.api("DELETE", f"/containers/{first}?force=1")
    destroyed_ns = stage.clock_ns()
    second = stage.host.run(name, CLOCK)

    told = [
        lambda: stage.tell("kill", "die", "destroy", engine_id=first, name=name, at_ns=destroyed_ns),
        lambda: stage.tell("create", "start", engine_id=second, name=name),
    ]
    for tell in told if order == "destroy first" else reversed(told):
        tell()

    now = stage.row(second)
    assert now.pk == row.pk
    assert (now.removed_at, now.state, now.name) == (None, "running", name)
    assert set(Event.objects.filter(container=row).values_list("actor_id", flat=True)) == {first, second}


@pytest.mark.parametrize("by", ["sweeps", "one sweep", "events", "late events"])
def test_recreated_by_compose_keeps_the_row_and_its_history(stage: Stage, by: str) -> None:
    name = unique("shop-web")
    passing = f"{unique('0a1b2c3d')}_{name}"
    labels = compose_labels(name, "web")
    old = stage.host.run(name, CLOCK, labels=labels)
    stage.sweep()
    row = stage.row(old)
    operation = OperationFactory(container=row, state="succeeded", finished_at=row.changed_at)

    new = stage.host.run(passing, CLOCK, labels=labels, start=False)
    if by == "sweeps":
        stage.sweep()
    elif by != "one sweep":
        stage.tell("create", engine_id=new, name=passing)
    stage.host.api("DELETE", f"/containers/{old}?force=1")
    removed_ns = stage.clock_ns()
    if by == "events":
        stage.tell("die", "destroy", engine_id=old, name=name, at_ns=removed_ns)
    stage.host.api("POST", f"/containers/{new}/rename?name={name}")
    stage.host.api("POST", f"/containers/{new}/start")
    if "events" in by:
        stage.tell("rename", "start", engine_id=new, name=name)
    if by == "late events":
        stage.tell("die", "destroy", engine_id=old, name=name, at_ns=removed_ns)
    stage.sweep()

    now = stage.row(new)
    assert now.pk == row.pk
    assert (now.name, now.state, now.removed_at) == (name, "running", None)
    assert Container.objects.filter(device=stage.device, compose_project=name).count() == 1
    assert Operation.objects.get(pk=operation.pk).container_id == row.pk


def test_rename_follows_the_id(stage: Stage) -> None:
    old, new = unique("old"), unique("new")
    engine_id = stage.host.run(old, CLOCK)
    stage.sweep()
    row = stage.row(engine_id)

    stage.host.api("POST", f"/containers/{engine_id}/rename?name={new}")
    changes = stage.sweep()

    assert (stage.row(engine_id).pk, stage.row(engine_id).name) == (row.pk, new)
    assert changes.updated == [str(row.pk)]


def test_renamed_away_and_replaced_follows_the_id_and_makes_a_new_row(stage: Stage) -> None:
    name, aside = unique("name"), unique("aside")
    first = stage.host.run(name, CLOCK)
    stage.sweep()
    row = stage.row(first)

    stage.host.api("POST", f"/containers/{first}/rename?name={aside}")
    second = stage.host.run(name, CLOCK)
    stage.tell("create", "start", engine_id=second, name=name)

    assert (stage.row(first).pk, stage.row(first).name) == (row.pk, aside)
    assert (stage.row(second).name, stage.row(second).pk != row.pk) == (name, True)


@pytest.mark.parametrize("by", ["sweep", "events"])
def test_two_names_swapped_follow_the_ids(stage: Stage, by: str) -> None:
    one, two, passing = unique("one"), unique("two"), unique("passing")
    first, second = stage.host.run(one, CLOCK), stage.host.run(two, CLOCK)
    stage.sweep()
    pks = stage.row(first).pk, stage.row(second).pk

    for engine_id, name in ((first, passing), (second, one), (first, two)):
        stage.host.api("POST", f"/containers/{engine_id}/rename?name={name}")
    if by == "sweep":
        stage.sweep()
    else:
        stage.tell("rename", engine_id=second, name=one)
        stage.tell("rename", "rename", engine_id=first, name=two)

    assert (stage.row(first).pk, stage.row(second).pk) == pks
    assert (stage.row(first).name, stage.row(second).name) == (two, one)


def test_name_handed_on_between_two_inspections_of_a_sweep_is_survived(stage: Stage) -> None:
    name, passing = unique("name"), unique("passing")
    first, second = stage.host.run(name, CLOCK), stage.host.run(passing, CLOCK)
    onlooker = Onlooker(stage.engine)
    handed_on = threading.Event()

    def hand_on() -> None:
        stage.host.api("DELETE", f"/containers/{first}?force=1")
        stage.host.api("POST", f"/containers/{second}/rename?name={name}")
        handed_on.set()

    onlooker.after[f"/containers/{first}/json"] = hand_on
    onlooker.before[f"/containers/{second}/json"] = lambda: handed_on.wait(20)

    sweep(stage, onlooker)
    assert stage.row(second).name == name
    assert stage.row(first).name != name
    stage.sweep()

    assert stage.row(first).removed_at is not None
    assert (stage.row(second).name, stage.row(second).removed_at) == (name, None)


# ---- older news


@pytest.mark.django_db(transaction=True)
def test_removed_during_a_sweep_does_not_come_back(make_stage: MakeStage) -> None:
    stage = make_stage("28")
    engine_id = stage.host.run(unique("removed"), CLOCK)
    stage.tell("start", engine_id=engine_id)
    onlooker = Onlooker(stage.engine)

    def remove() -> None:
        stage.host.api("DELETE", f"/containers/{engine_id}?force=1")
        stage.tell("die", "destroy", engine_id=engine_id)

    onlooker.after[f"/containers/{engine_id}/json"] = remove
    sweep(stage, onlooker)

    assert onlooker.inspected.count(engine_id) == 1
    assert stage.row(engine_id).removed_at is not None


@pytest.mark.django_db(transaction=True)
def test_removed_by_our_own_act_during_a_sweep_does_not_come_back(make_stage: MakeStage) -> None:
    stage = make_stage("28")
    engine_id = stage.host.run(unique("removed"), CLOCK)
    stage.tell("start", engine_id=engine_id)
    onlooker = Onlooker(stage.engine)

    def remove() -> None:
        stage.host.api("DELETE", f"/containers/{engine_id}?force=1")
        sync.refresh(stage.device, stage.engine, engine_id)

    onlooker.after[f"/containers/{engine_id}/json"] = remove
    sweep(stage, onlooker)

    assert stage.row(engine_id).removed_at is not None


@pytest.mark.django_db(transaction=True)
def test_newer_event_is_not_overwritten_by_an_older_snapshot(make_stage: MakeStage) -> None:
    stage = make_stage("28")
    engine_id = stage.host.run(unique("ended"), CLOCK)
    onlooker = Onlooker(stage.engine)

    def stop() -> None:
        stage.host.api("POST", f"/containers/{engine_id}/kill")
        stage.host.wait_for_state(engine_id, "exited")
        stage.tell("kill", "die", engine_id=engine_id)

    onlooker.after[f"/containers/{engine_id}/json"] = stop
    sweep(stage, onlooker)

    assert stage.row(engine_id).state == "exited"


@pytest.mark.django_db(transaction=True)
def test_created_after_the_list_was_taken_is_not_removed_by_it(make_stage: MakeStage) -> None:
    stage = make_stage("28")
    onlooker = Onlooker(stage.engine)
    made: list[str] = []

    def create() -> None:
        made.append(stage.host.run(unique("created"), CLOCK))
        stage.tell("create", "start", engine_id=made[0])

    onlooker.after["/containers/json"] = create
    sweep(stage, onlooker)

    assert stage.row(made[0]).removed_at is None


def test_clock_of_the_host_was_set_back_news_is_taken_all_the_same(stage: Stage) -> None:
    engine_id = stage.host.run(unique("future"), CLOCK)
    gone = stage.host.run(unique("gone"), CLOCK)
    stage.sweep()
    years_ahead = stage.clock_ns() + 10**17
    Container.objects.filter(device=stage.device).update(observed_ns=years_ahead)

    stage.host.api("POST", f"/containers/{engine_id}/pause")
    stage.host.api("DELETE", f"/containers/{gone}?force=1")
    stage.sweep()
    after_sweep = stage.row(engine_id).state, stage.row(gone).removed_at
    Container.objects.filter(device=stage.device).update(observed_ns=years_ahead)
    stage.host.api("POST", f"/containers/{engine_id}/unpause")
    stage.tell("unpause", engine_id=engine_id)

    assert after_sweep[0] == "paused"
    assert after_sweep[1] is not None
    assert stage.row(engine_id).state == "running"


# ---- after an act of ours


def test_refresh_pause_without_any_new_time_is_shown(stage: Stage) -> None:
    engine_id = stage.host.run(unique("paused"), CLOCK)
    stage.sweep()

    stage.host.api("POST", f"/containers/{engine_id}/pause")
    sync.refresh(stage.device, stage.engine, engine_id)
    shown = stage.row(engine_id).state
    stage.host.api("POST", f"/containers/{engine_id}/unpause")

    assert shown == "paused"


def test_network_connected_later_is_shown(stage: Stage) -> None:
    engine_id, network = stage.host.run(unique("connected"), CLOCK), unique("net")
    stage.sweep()
    stage.host.api("POST", "/networks/create", {"Name": network})
    try:
        stage.host.api("POST", f"/networks/{network}/connect", {"Container": engine_id})
        stage.sweep()
        names = {attached["name"] for attached in stage.row(engine_id).networks}
    finally:
        stage.host.api("DELETE", f"/containers/{engine_id}?force=1")
        stage.host.api("DELETE", f"/networks/{network}")

    assert names == {"bridge", network}


# ---- cost


class ManyContainers:
    """An engine's answers for any number of containers, made of one real one's."""

    def __init__(self, stage: Stage, engine_id: str, count: int) -> None:
        self._info = stage.engine.get_json("/info")
        listed = stage.engine.get_json("/containers/json", {"all": "1"})
        (self._entry,) = (entry for entry in listed if entry["Id"] == engine_id)
        self._answer = stage.engine.get_json(f"/containers/{engine_id}/json")
        self._count = count

    def get_json(self, path: str, *_more: object) -> Any:
        if path == "/info":
            return self._info
        if path == "/containers/json":
            return [{**self._entry, "Id": f"{n:064x}", "Names": [f"/many-{n}"]} for n in range(self._count)]
        if path in ("/images/json", "/networks"):
            return []
        if path.startswith(("/images/", "/volumes", "/system/")):
            return {}
        number = int(path.split("/")[2], 16)
        return {**self._answer, "Id": f"{number:064x}", "Name": f"/many-{number}"}


def test_sweep_number_of_queries_does_not_depend_on_the_number_of_containers(stage: Stage) -> None:
    engine_id = stage.host.run(unique("many"), CLOCK)
    counts = []
    for count in (5, 50):
        device = DeviceFactory()
        engine = cast(Engine, ManyContainers(stage, engine_id, count))
        with CaptureQueriesContext(connection) as first:
            sync.sweep(device, engine)
        with CaptureQueriesContext(connection) as second:
            sync.sweep(device, engine)
        with CaptureQueriesContext(connection) as gone:
            sync.sweep(device, cast(Engine, ManyContainers(stage, engine_id, 0)))
        assert Container.objects.filter(device=device, removed_at__isnull=False).count() == count
        counts.append((len(first), len(second), len(gone)))

    assert counts[0] == counts[1]
    assert max(counts[0]) <= 22


# ---- what is announced


@pytest.mark.django_db(transaction=True)
def test_publish_change_is_told_after_the_commit_only() -> None:
    row = ContainerFactory()
    with heard() as messages:
        with transaction.atomic():
            Changes(updated=[str(row.pk)]).publish(row.device)
            inside = messages()
        after = messages(1)

    assert inside == []
    assert [(m["kind"], m["what"], m["device"], m["ids"]) for m in after] == [
        ("container", "updated", str(row.device_id), [str(row.pk)])
    ]


@pytest.mark.django_db(transaction=True)
def test_apply_event_that_fails_stores_and_tells_nothing(make_stage: MakeStage) -> None:
    stage = make_stage("28")
    engine_id = stage.host.run(unique("failing"), CLOCK)
    facts = sync.inspect(stage.engine, engine_id)

    def fail(_row_id: str | None) -> None:
        raise RuntimeError

    with heard() as messages:
        with pytest.raises(RuntimeError):
            sync.apply_event(stage.device, engine_id, facts, stage.clock_ns(), also=fail)
        assert messages() == []
    assert not Container.objects.filter(engine_id=engine_id).exists()


@pytest.mark.django_db(transaction=True)
def test_sweep_tells_what_appeared_changed_and_vanished(make_stage: MakeStage) -> None:
    stage = make_stage("28")

    def told_by_a_sweep() -> dict[str, Any]:
        with heard() as messages:
            stage.sweep()
            (told,) = (message for message in messages(1) if message["kind"] == "container")
        return told

    appeared = told_by_a_sweep()
    engine_id = stage.host.run(unique("told"), CLOCK)
    one = told_by_a_sweep()
    stage.host.api("DELETE", f"/containers/{engine_id}?force=1")
    vanished = told_by_a_sweep()

    assert (appeared["what"], len(appeared["ids"])) == ("appeared", len(stage.host.containers()))
    assert (one["what"], one["ids"]) == ("appeared", [str(stage.row(engine_id).pk)])
    assert (vanished["what"], vanished["ids"]) == ("vanished", one["ids"])


def test_record_sweep_notes_error_and_keeps_a_later_request(db: None) -> None:
    device = DeviceFactory(online=True)
    Device.objects.filter(pk=device.pk).update(next_sweep_at=None, last_sweep_at=None)
    started_at = device.created_at

    sync.record_sweep(device, started_at=started_at, error="x failed", is_complete=False)
    device.refresh_from_db()
    assert (device.last_sweep_error, device.last_sweep_at) == ("x failed", None)
    assert device.next_sweep_at is not None

    asked = device.next_sweep_at = sync.datetime.now(sync.UTC)
    device.save(update_fields=["next_sweep_at"])
    sync.record_sweep(device, started_at=started_at)
    device.refresh_from_db()
    assert device.next_sweep_at == asked
    assert device.last_sweep_at is not None


# ---- the end of a container, told before the engine can be asked


@pytest.mark.parametrize(
    ("restart", "actions", "seen"),
    [
        ("no", ["die"], "exited"),
        ("always", ["die"], "running"),
        ("always", ["kill", "die"], "exited"),
        ("no", ["kill"], "running"),
        ("no", ["die", "start"], "running"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_record_end_is_shown_before_the_engine_answers(
    make_stage: MakeStage, restart: str, actions: list[str], seen: str
) -> None:
    stage = make_stage("28")
    name = unique("ending")
    engine_id = stage.host.run(name, CLOCK, restart=restart)
    stage.sweep()
    onlooker = Onlooker(stage.engine)
    states: list[tuple[str, int | None]] = []

    def look() -> None:
        row = stage.row(engine_id)
        states.append((row.state, row.exit_code))

    onlooker.before[f"/containers/{engine_id}/json"] = look
    told = Stage(stage.host, stage.device, cast(Engine, onlooker))
    told.tell(*actions, engine_id=engine_id, name=name, exitCode="137")

    assert states == [(seen, 137 if seen == "exited" else None)]
    assert stage.row(engine_id).state == "running"  # what the host itself says counts in the end
