"""Updates from a registry on real engines: pull, replace, the way back, the end of what was kept, several at once."""

from datetime import UTC, datetime, timedelta

import pytest

from containers import tasks
from containers.models import Container, Operation, Replacement, UpdateStatus
from containers.rules.apply_options import Options
from containers.rules.replacement import Watch
from containers.updates import applying
from containers.updates.evaluation import evaluate
from devices.models import Device
from tests.containers.replacing.apps import App, ended, offer, somebody
from tests.containers.replacing.conftest import MakeApp, Pulled
from tests.queued import run_queued

pytestmark = pytest.mark.django_db(transaction=True)
OPTIONS = Options(Watch(stable_s=1), keep_old_s=3600)


def updated(app: App, tag: str, options: Options = OPTIONS) -> Operation:
    """An update that was asked for, as it ended."""
    return ended(applying.request_update(somebody(), offer(app, tag), tag, options))


@pytest.mark.parametrize("engine", ["20", "26", "28"])
def test_update_keeps_the_old_one_and_goes_back_to_it(pulled: Pulled, engine: str) -> None:
    app = pulled(engine)
    old_id = app.make()
    app.stage.host.exec(f"docker exec {old_id} sh -c 'echo inside > /written'")

    operation = updated(app, "1.1.0")
    new = app.inspect()
    replacement = Replacement.objects.select_related("container__device", "device").get(operation=operation)

    assert (operation.state, operation.error_message) == ("succeeded", "")
    assert operation.outcome == f"the old one is kept as {replacement.kept_name}"
    assert "Status: " in operation.output
    assert new["Config"]["Image"] == app.reference("1.1.0")
    assert app.family() == {app.name: "running", replacement.kept_name: "exited"}
    assert app.inspect(replacement.kept_name)["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert [name for name, _pk in app.rows()] == [app.name, replacement.kept_name]
    assert app.stage.row(new["Id"]).pk == app.pk
    evaluate(list(Container.objects.filter(device=app.stage.device).values_list("pk", flat=True)))
    assert not UpdateStatus.objects.filter(container__name=replacement.kept_name).exists(), "it is offered nothing"

    back = ended(applying.request_rollback(somebody(), replacement, Options(Watch(stable_s=1))))

    assert (back.state, back.error_message) == ("succeeded", "")
    found = app.inspect()
    assert (found["Id"], found["HostConfig"]["RestartPolicy"]["Name"]) == (old_id, "always")
    assert app.family() == {app.name: "running"}
    assert app.stage.host.exec(f"docker exec {old_id} cat /written").strip() == "inside"
    assert app.starts() == ["1.0.0", "1.1.0", "1.0.0"]
    assert app.rows() == [(app.name, app.pk)]
    assert app.stage.row(old_id).pk == app.pk
    replacement.refresh_from_db()
    assert replacement.state == "restored"


def test_go_back_to_what_was_removed_makes_it_anew_and_forth_again(pulled: Pulled) -> None:
    app = pulled()
    old_id = app.make()
    operation = updated(app, "1.1.0", Options(Watch(stable_s=1)))
    replacement = Replacement.objects.select_related("container__device", "device").get(operation=operation)
    assert replacement.state == "removed"

    back = ended(applying.request_rollback(somebody(), replacement, Options(Watch(stable_s=1))))

    assert (back.state, back.error_message) == ("succeeded", "")
    assert "made anew" in back.outcome
    found = app.inspect()
    assert found["Id"] != old_id
    assert found["Config"]["Image"] == app.reference("1.0.0")
    assert "SETTING=a secret value" in found["Config"]["Env"]
    assert app.starts() == ["1.0.0", "1.1.0", "1.0.0"]
    assert app.rows() == [(app.name, app.pk)]


def test_go_back_that_fails_leaves_the_new_one_running_and_the_kept_one_kept(pulled: Pulled) -> None:
    app = pulled()
    app.make()
    operation = updated(app, "1.1.0")
    replacement = Replacement.objects.select_related("container__device", "device").get(operation=operation)
    new_id = app.inspect()["Id"]

    options = Options(Watch(stable_s=1, patience_s=1, probe=applying.Watch.from_json({"probe": "tcp:9"}).probe))
    back = ended(applying.request_rollback(somebody(), replacement, options))

    assert back.state == "failed"
    assert app.inspect()["Id"] == new_id
    assert app.family() == {app.name: "running", replacement.kept_name: "exited"}
    replacement.refresh_from_db()
    assert replacement.state == "kept"
    assert app.stage.row(new_id).pk == app.pk


@pytest.mark.parametrize(
    ("tag", "code", "said"),
    [("foreign", "update_refused", "is built for linux/s390x"), ("9.9.9", "pull_refused", "could not pull")],
)
def test_update_that_cannot_be_made_touches_nothing(pulled: Pulled, tag: str, code: str, said: str) -> None:
    app = pulled()
    app.make()
    before = app.inspect()["State"]["StartedAt"]

    operation = updated(app, tag)

    assert operation.error_code == code and said in operation.error_message
    assert app.inspect()["State"]["StartedAt"] == before
    assert app.family() == {app.name: "running"}
    assert app.starts() == ["1.0.0"]


def test_update_to_what_runs_already_does_nothing(pulled: Pulled) -> None:
    app = pulled()
    app.make()

    operation = updated(app, "1.0.0")

    assert (operation.state, operation.outcome) == ("succeeded", "nothing to do: it runs that image already")
    assert app.inspect()["Id"] == app.old_id


def test_kept_container_goes_once_its_time_is_over_unless_somebody_uses_it(pulled: Pulled) -> None:
    app = pulled()
    app.make()
    first = Replacement.objects.get(operation=updated(app, "1.1.0"))
    Device.objects.filter(pk=app.stage.device.pk).update(state="online")

    tasks.discard_kept()
    assert run_queued() == []  # its time is not over
    Replacement.objects.update(keep_until=datetime.now(UTC) - timedelta(minutes=1))
    app.stage.host.api("POST", f"/containers/{first.kept_name}/rename?name={app.name}-mine")
    tasks.discard_kept()
    run_queued()
    used = Operation.objects.filter(kind="discard").latest("created_at")
    assert used.error_code == "still_in_use" and f"{app.name}-mine" in app.family()

    app.stage.host.api("POST", f"/containers/{app.name}-mine/rename?name={first.kept_name}")
    Replacement.objects.update(keep_until=datetime.now(UTC) - timedelta(minutes=1))
    tasks.discard_kept()
    run_queued()

    gone = Operation.objects.filter(kind="discard").latest("created_at")
    first.refresh_from_db()
    assert (gone.state, gone.error_message, first.state) == ("succeeded", "", "removed")
    assert app.family() == {app.name: "running"}
    assert app.rows() == [(app.name, app.pk)]
    assert app.starts()[:2] == ["1.0.0", "1.1.0"]  # the shared volume is still there


def test_several_on_one_device_stop_after_the_first_failure(pulled: Pulled, make_app: MakeApp) -> None:
    first, second = pulled(), make_app()
    second.registry = first.registry
    second.stage = first.stage
    first.make(), second.make()
    picks = [(candidate, candidate.first) for candidate in (offer(first, "crash"), offer(second, "1.1.0"))]

    batch = applying.request_updates(somebody(), picks, OPTIONS, stops_on_failure=True)
    run_queued()

    states = list(batch.operations.order_by("wave").values_list("state", flat=True))
    assert states == ["failed", "cancelled"]
    assert second.inspect()["Id"] == second.old_id and second.starts() == ["1.0.0"]
    assert first.starts()[-1] == "1.0.0"
