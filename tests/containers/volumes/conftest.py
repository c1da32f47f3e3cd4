"""The store of backups in a folder of the test's own, and the yard of a host."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.files.storage import storages
from pytest_django import Settings

from tests.containers.stage import MakeStage
from tests.containers.volumes.yard import Yard, yard_of
from tests.queued import take_queued

MakeYard = Callable[..., Yard]


@pytest.fixture
def backup_folder(tmp_path: Path, settings: Settings) -> Path:
    """The folder of the store."""
    folder = tmp_path / "backups"
    options = {"BACKEND": "ssm.lib.storage.PrivateFileStorage", "OPTIONS": {"location": str(folder)}}
    settings.STORAGES = {**settings.STORAGES, "backups": options}
    assert str(storages["backups"].path("")).startswith(str(folder))
    return folder


@pytest.fixture
def make_yard(make_stage: MakeStage, backup_folder: Path) -> Iterator[MakeYard]:
    """Function that gives the yard of a host by its engine."""
    take_queued()
    with ExitStack() as stack:

        def make(which: str = "28", *, exclusive: bool = False) -> Yard:
            return stack.enter_context(yard_of(make_stage(which, exclusive=exclusive)))

        yield make
