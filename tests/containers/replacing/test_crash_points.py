"""The worker dies at each point of a replacement: another one converges, nothing is lost and nothing done twice.

A point is what a replacement does to the host or notes in its journal; the worker dies right after it. What lies
between two points changes nothing anywhere, so these are all.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from containers.models import Operation, Replacement
from containers.runs import going_back
from containers.runs.run import Run
from tests.containers.replacing.apps import App, ask_for, ended, resume
from tests.containers.replacing.conftest import MakeApp
from tests.queued import run_queued

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("recreates")]


class Killed(BaseException):
    """The worker's end: nothing after it runs."""


class _Watched:
    """A real engine that tells what changes the host."""

    def __init__(self, engine: Any, happened: Callable[[str], None], app: App) -> None:
        self._engine, self._happened, self._app = engine, happened, app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def post(self, path: str, params: Any = None, *args: Any, **more: Any) -> Any:
        answer = self._engine.post(path, params, *args, **more)
        self._happened(f"{path.rpartition('/')[2]} {self._who(path)}".strip())
        return answer

    def delete(self, path: str, *args: Any, **more: Any) -> Any:
        answer = self._engine.delete(path, *args, **more)
        self._happened(f"remove {self._who(path)}")
        return answer

    def _who(self, path: str) -> str:
        if path.startswith("/networks/") or path.endswith("/create"):
            return ""
        return "old" if self._app.old_id in path else "new"


class Killer:
    """Ends the worker right after the point of that name, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, app: App) -> None:
        self.points: list[str] = []
        self.at, self._waits = "", False
        note, engine = Run.note, Run.engine

        def noting(run: Run, **entries: Any) -> None:
            before = run.journal.get("replace", {})
            note(run, **entries)
            new = [name for name, value in entries.get("replace", {}).items() if before.get(name) != value]
            self.happened("note " + ("plan" if "old" in new else "+".join(new)))

        monkeypatch.setattr(Run, "note", noting)
        monkeypatch.setattr(Run, "engine", property(lambda run: _Watched(engine.fget(run), self.happened, app)))

    def arm(self, point: str, *, from_the_failure_on: bool = False) -> None:
        """Let the worker die after that point, or after the first one of that name on the way back."""
        self.at, self._waits = point, from_the_failure_on

    def happened(self, point: str) -> None:
        self.points.append(point)
        if point == "note failure":
            self._waits = False
        if self._waits:
            return
        if point == self.at:
            self.at = ""
            raise Killed(point)


# Each point, in order (of an engine that takes one network in the create call, so that the others are connected); how
# it ends when the worker dies right after it, and what is started on the data besides: the new or the old container.
POINTS: dict[str, tuple[str, list[str]]] = {
    "note plan": ("succeeded", ["new"]),
    "create": ("succeeded", ["new"]),
    "note successor": ("succeeded", ["new"]),
    "connect": ("succeeded", ["new"]),
    "note new_image+new_image_id": ("succeeded", ["new"]),
    "note touched": ("failed", []),
    "update old": ("failed", []),
    "note stopping": ("failed", []),
    "stop old": ("failed", ["old"]),
    "note stopped": ("failed", ["old"]),
    "rename old": ("failed", ["old"]),
    "rename new": ("failed", ["old"]),
    "note starting+started_before": ("failed", ["old"]),
    "start new": ("failed", ["new", "old"]),
    "note committed": ("succeeded", ["new"]),
    "remove old": ("succeeded", ["new"]),
}
# The way back from a release that crashes; each leads to the same end.
POINTS_BACK = [
    "note failure",
    "note told",
    "remove new",
    "rename old",
    "update old",
    "note restarted_from",
    "start old",
]


def dies_after(app: App, killer: Killer, point: str, tag: str, *, from_the_failure_on: bool = False) -> Operation:
    """Let the worker die after the point, then let the tick and another worker do their work."""
    asked = ask_for(app, tag)
    killer.arm(point, from_the_failure_on=from_the_failure_on)
    with pytest.raises(Killed):
        run_queued()
    assert Operation.objects.get(pk=asked.pk).state == "running", point
    return resume(asked)


def assert_one_and_well(app: App, point: str) -> None:
    """Nothing of the replacement is left over: one container, up under its name, as it was made, and its one row."""
    assert app.family() == {app.name: "running"}, point
    found = app.inspect()
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "always", point
    assert set(found["NetworkSettings"]["Networks"]) == set(app.networks), point
    assert app.rows() == [(app.name, app.pk)], point
    assert app.stage.row(found["Id"]).pk == app.pk, point


@pytest.mark.timeout(400, func_only=True)
def test_worker_that_dies_after_any_step_forward(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app("20")
    app.make()
    killer = Killer(monkeypatch, app)
    # The engine may still be at a stop that was asked for: the time that it has for that is waited for.
    monkeypatch.setattr(going_back, "STOP_MARGIN_S", -8)
    running, remembered = "1.0.0", 0

    for point, (state, started) in POINTS.items():
        before, volumes = app.starts(), app.volumes()
        tag = "1.2.0" if running == "1.1.0" else "1.1.0"

        operation = dies_after(app, killer, point, tag)

        assert (operation.state, operation.attempts) == (state, 2), (point, operation.error_message)
        assert_one_and_well(app, point)
        assert app.starts() == before + [tag if which == "new" else running for which in started], point
        assert (app.inspect()["Id"] == app.old_id) is (state == "failed"), point
        if state == "failed":
            assert app.volumes() == volumes, point
            assert f"{app.name} runs again as it was." in operation.error_message
        else:
            running, remembered, app.old_id = tag, remembered + 1, app.inspect()["Id"]
        assert Replacement.objects.filter(container=app.pk).count() == remembered, point

    killer.points.clear()
    ended(ask_for(app, "1.1.0" if running == "1.2.0" else "1.2.0"))
    assert killer.points == list(POINTS), "these are all"


@pytest.mark.timeout(240, func_only=True)
def test_worker_that_dies_after_any_step_back(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app("26")
    app.make()
    volumes = app.volumes()
    killer = Killer(monkeypatch, app)

    for point in POINTS_BACK:
        operation = dies_after(app, killer, point, "crash", from_the_failure_on=True)

        assert (operation.state, operation.attempts) == ("failed", 2), point
        assert "exit code 3" in operation.error_message, point
        assert "cannot open the database" in operation.output, point
        assert_one_and_well(app, point)
        assert app.inspect()["Id"] == app.old_id, point
        assert app.volumes() == volumes, point
    assert [name for name, _again in groupby(app.starts())] == ["1.0.0", *["crash", "1.0.0"] * len(POINTS_BACK)]

    killer.points.clear()
    ended(ask_for(app, "crash"))
    assert killer.points[killer.points.index("note failure") :] == POINTS_BACK, "these are all"
