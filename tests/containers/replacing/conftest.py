"""The app on real hosts, and a kind of operation that replaces it and does nothing besides."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest

from containers.rules.replacement import Watch
from containers.rules.specification import Specification
from containers.runs.replacing import replace
from containers.runs.run import Run
from containers.runs.table import RUNS
from tests.containers.replacing.apps import RELEASES, App, make_apps
from tests.containers.stage import MakeStage
from tests.fleet import Fleet
from tests.queued import take_queued

MakeApp = Callable[..., App]
Pulled = Callable[..., App]


@pytest.fixture
def make_app(make_stage: MakeStage) -> Iterator[MakeApp]:
    """Function that gives the app for a host by engine; its releases are there."""
    take_queued()
    with ExitStack() as stack:

        def make(engine: str = "28", *, exclusive: bool = False) -> App:
            stage = make_stage(engine, exclusive=exclusive)
            stage.host.load(*((recipe, tag) for tag, recipe in RELEASES.items()))
            return stack.enter_context(contextmanager(make_apps)(stage))

        yield make
    take_queued()


@pytest.fixture
def pulled(fleet: Fleet, make_app: MakeApp) -> Pulled:
    """Function that makes the app on a host by engine, from the registry's image."""
    for tag in ("1.0.0", "1.1.0", "crash", "foreign"):
        fleet.registry.push(RELEASES[tag], tag)

    def make(engine: str = "28", **more: bool) -> App:
        app = make_app(engine, **more)
        app.registry = fleet.layout.registry
        app.stage.host.exec(f"docker pull -q {app.reference('1.0.0')}")
        return app

    return make


@pytest.fixture
def recreates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations of the kind recreate replace by what is sealed in them."""

    def perform(run: Run) -> str:
        keep = run.parameters.get("keep_old_s")
        return replace(
            run,
            run.operation.engine_id,
            Specification.from_json(run.sealed["wanted"]),
            watch=Watch.from_json(run.parameters["watch"]),
            keep_old_for=timedelta(seconds=keep) if keep else None,
        ).sentence

    monkeypatch.setitem(RUNS, "recreate", perform)
