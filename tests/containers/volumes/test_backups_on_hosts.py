"""Backups on real hosts: made, destroyed, restored, and compared by a checksum of every file."""

import stat
from pathlib import Path

import pytest

from containers.volume_requests import request_restore
from tests.containers.volumes.conftest import MakeYard
from tests.containers.volumes.yard import backed_up, done, somebody

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("engine", ["20", "26", "28"])
def test_volume_is_destroyed_and_restored_with_every_file_as_it_was(
    engine: str, make_yard: MakeYard, backup_folder: Path
) -> None:
    yard = make_yard(engine)
    name = yard.make()
    before = yard.state(name)

    backup = backed_up(yard, name)
    yard.stage.host.api("DELETE", f"/volumes/{name}")
    restored = done(request_restore(somebody(), backup, yard.stage.device, name, mode="new"))

    assert (restored.state, restored.error_message) == ("succeeded", "")
    assert yard.state(name) == before
    assert yard.helpers() == []
    assert backup.contents["hard_links"] == 1 and backup.contents["specials"] == 2
    modes = {stat.S_IMODE(path.stat().st_mode) for path in backup_folder.rglob("*") if path.is_file()}
    folders = {
        stat.S_IMODE(path.stat().st_mode) for path in [backup_folder, *backup_folder.rglob("*")] if path.is_dir()
    }
    assert (modes, folders) == ({0o600}, {0o700})
