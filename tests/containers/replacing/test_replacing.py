"""Successors on real engines: all that must be kept is kept, and bad ones are given up with the data intact."""

from itertools import groupby
from typing import Any

import pytest

from containers import operations
from containers.models import Operation, Replacement
from tests.containers.replacing.apps import App, ask_for, ended
from tests.containers.replacing.conftest import MakeApp
from tests.queued import take_queued

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("recreates")]


@pytest.mark.parametrize("engine", ["20", "26", "28", "podman"])
def test_replace_good_successor_keeps_all_and_the_row_goes_on(make_app: MakeApp, engine: str) -> None:
    app = make_app(engine)
    old_id = app.make()
    before, volumes = app.inspect(), app.volumes()

    operation = ended(ask_for(app, "1.1.0"))

    assert (operation.state, operation.error_message) == ("succeeded", "")
    after = app.inspect()
    assert after["Id"] != old_id
    assert app.family() == {app.name: "running"}
    assert app.starts() == ["1.0.0", "1.1.0"]
    assert len(app.volumes() - volumes) == 1  # the new image's own
    assert after["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert after["HostConfig"]["Memory"] == before["HostConfig"]["Memory"]
    assert "SETTING=a secret value" in after["Config"]["Env"] and "VERSION=1.1.0" in after["Config"]["Env"]
    assert after["Config"]["Labels"]["kept"] == "yes"
    networks, networks_before = after["NetworkSettings"]["Networks"], before["NetworkSettings"]["Networks"]
    assert set(networks) == set(app.networks)
    if engine != "podman":  # its inspect answer does not tell which address was asked for
        first = app.networks[0]
        assert networks[first]["IPAddress"] == networks_before[first]["IPAddress"]
    assert "app" in networks[app.networks[0]]["Aliases"] and "second" in networks[app.networks[1]]["Aliases"]
    assert app.rows() == [(app.name, app.pk)]
    assert app.stage.row(after["Id"]).pk == app.pk
    replacement = Replacement.objects.get(container=app.pk)
    assert (replacement.state, replacement.old_engine_id, replacement.new_engine_id) == ("removed", old_id, after["Id"])
    assert "a secret value" not in str(operation.journal) + operation.output


def intact(app: App, operation: Operation, starts: list[str]) -> dict[str, Any]:
    """Check that the old container runs as before with its data; what the host says about it."""
    found = app.inspect()
    assert found["Id"] == app.old_id
    assert app.family() == {app.name: "running"}
    # An engine may have started a crashing one again before it was noticed.
    assert [name for name, _again in groupby(app.starts())] == starts
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert app.rows() == [(app.name, app.pk)]
    assert app.stage.row(app.old_id).pk == app.pk
    assert operation.state == "failed"
    return found


# What the new image does wrong, what is said about it, and what was started on the data meanwhile.
BAD = {
    "crash": ("exit code 3", ["crash", "1.0.0"]),
    "sick": ("its health check failed: no answer from port 80", ["sick", "1.0.0"]),
    "lost": ("/no/such/program", ["1.0.0"]),
    "foreign": ("xec format error", ["1.0.0"]),
}


@pytest.mark.parametrize(
    ("engine", "tags"), [("20", ["crash", "lost"]), ("26", ["crash", "sick"]), ("28", ["sick", "lost", "foreign"])]
)
def test_replace_bad_image_rolls_back_with_the_reason(make_app: MakeApp, engine: str, tags: list[str]) -> None:
    app = make_app(engine)
    app.make()
    volumes, starts = app.volumes(), ["1.0.0"]

    for tag in tags:
        operation = ended(ask_for(app, tag))
        starts = [name for name, _again in groupby([*starts, *BAD[tag][1]])]

        intact(app, operation, starts)
        # An engine starts what the kernel refuses; the reason is in the last lines then.
        assert BAD[tag][0] in operation.error_message + operation.output
        assert operation.error_message.endswith(f"{app.name} runs again as it was.")
        assert app.volumes() == volumes
    if "crash" in tags:
        first = app.stage.row(app.old_id).operations.order_by("created_at")[0]
        assert "cannot open the database" in first.output


def test_replace_restarting_successor_is_no_good_successor(make_app: MakeApp) -> None:
    app = make_app()
    app.make()

    operation = ended(ask_for(app, "crash", stable_s=8))

    intact(app, operation, ["1.0.0", "crash", "1.0.0"])
    assert "ended" in operation.error_message


def test_replace_probe_decides_beside_the_health_check(make_app: MakeApp) -> None:
    app = make_app()
    app.make()

    bad = ended(ask_for(app, "web", probe="http:80/missing", patience_s=2))
    intact(app, bad, ["1.0.0", "web", "1.0.0"])
    refused = ended(ask_for(app, "1.2.0", probe="tcp:81", patience_s=1))
    intact(app, refused, [*["1.0.0", "web", "1.0.0"], "1.2.0", "1.0.0"])
    good = ended(ask_for(app, "web", probe="http:80/ok=200"))

    assert "the answer was HTTP 404" in bad.error_message
    assert "nothing takes connections" in refused.error_message
    assert (good.state, good.error_message) == ("succeeded", "")
    assert app.inspect()["Config"]["Image"] == app.reference("web")


def test_replace_stopped_container_stays_stopped(make_app: MakeApp) -> None:
    app = make_app()
    app.make(start=False)

    operation = ended(ask_for(app, "crash"))

    assert operation.state == "succeeded"
    assert app.family() == {app.name: "created"}
    assert app.inspect()["Config"]["Image"] == app.reference("crash")


def test_replace_called_off_while_it_watches_goes_back(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    app.make()
    asked = ask_for(app, "1.1.0", stable_s=60)
    note = operations.note

    def calling_off(operation: Operation, **columns: Any) -> None:
        note(operation, **columns)
        if "watching whether" in columns.get("progress", ""):
            operations.request_cancel(asked.requested_by, operation)

    monkeypatch.setattr(operations, "note", calling_off)
    operation = ended(asked)

    assert operation.state == "cancelled"
    assert operation.outcome == f"Cancelled; {app.name} runs again as it was."
    assert app.inspect()["Id"] == app.old_id
    assert app.family() == {app.name: "running"}
    assert app.starts() == ["1.0.0", "1.1.0", "1.0.0"]


@pytest.mark.parametrize(
    ("act", "said"), [("pause", "it is paused"), ("rm", "removed by the engine as soon as it stops")]
)
def test_replace_what_has_no_way_back_is_refused_untouched(make_app: MakeApp, act: str, said: str) -> None:
    app = make_app()
    if act == "rm":
        app.extra["AutoRemove"] = True
    app.make(restart="no")
    if act == "pause":
        app.stage.host.api("POST", f"/containers/{app.old_id}/pause")
    before = app.inspect()["State"]

    operation = ended(ask_for(app, "1.1.0"))

    assert operation.error_code == "replacement_refused" and said in operation.error_message
    assert app.inspect()["State"] == before
    assert list(app.family()) == [app.name]
    take_queued()
