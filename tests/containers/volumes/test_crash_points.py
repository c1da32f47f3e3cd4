"""The worker dies after each step of a backup and of a restore: another one converges, and nothing is left behind.

A step is what is done to the host, to the store or noted in the journal; what lies between two of them changes nothing.
"""

from pathlib import Path

import pytest

from containers.models import Backup
from containers.volume_requests import request_backup, request_restore
from tests.containers.volumes.conftest import MakeYard
from tests.containers.volumes.dying import Cutter, Killer, dies_and_is_followed, is_cut_and_goes_on
from tests.containers.volumes.yard import backed_up, done, shell, somebody
from tests.queued import take_queued

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = 'cd "$1"; echo one > a; mkdir d; echo two > d/b; chown 7:8 d/b'
BACKUP_POINTS = (
    "note file+tries",
    "note held",
    "pause",
    "create",
    "half archive",
    "stored archive",
    "remove helper",
    "unpause",
    "note held#2",
    "half manifest",
    "stored manifest",
)


def test_backup_has_these_points_and_no_others(make_yard: MakeYard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard = make_yard()
    name = yard.make(fill=SMALL)
    yard.run(name)
    killer = Killer(monkeypatch)

    backed_up(yard, name, "paused")

    found = [f"{point}#2" if point in killer.points[:place] else point for place, point in enumerate(killer.points)]
    assert tuple(found) == BACKUP_POINTS


@pytest.mark.parametrize("point", BACKUP_POINTS)
def test_backup_is_made_all_the_same_when_the_worker_dies(
    point: str, make_yard: MakeYard, backup_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard()
    name = yard.make(fill=SMALL)
    user = yard.run(name)
    killer = Killer(monkeypatch)
    asked = request_backup(somebody(), yard.stage.device, name, "paused")
    take_queued()
    assert asked.operation is not None

    ended = dies_and_is_followed(asked.operation, killer, point)

    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert yard.standing(user) == "running"
    assert yard.helpers() == []
    backup = Backup.objects.get()
    files = sorted(str(path.relative_to(backup_folder)) for path in backup_folder.rglob("*") if path.is_file())
    assert (backup.state, files) == ("good", [backup.file_name, f"{backup.file_name}.json"])


RESTORE_POINTS = (
    "note made",
    "create volume",
    "half written",
    "written",
    "create#2",
    "note is_safe",
    "note beside+swapping",
    "remove volume",
    "create volume#2",
    "half written#2",
    "remove volume#2",
)


@pytest.mark.parametrize("point", RESTORE_POINTS)
def test_restore_in_place_ends_with_the_content_of_the_backup_when_the_worker_dies(
    point: str, make_yard: MakeYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard()
    name = yard.make(fill=SMALL, Labels={"team": "a"})
    wanted, before = yard.state(name), yard.names()
    backup = backed_up(yard, name)
    shell(yard.stage, 'cd "$1"; rm -r d; echo three > c', yard.place(name))
    spoiled = yard.state(name)
    operation = request_restore(somebody(), backup, yard.stage.device, name, mode="replace")
    take_queued()

    ended = dies_and_is_followed(operation, Killer(monkeypatch), point)

    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert yard.state(name) == wanted
    assert (yard.names(), yard.helpers()) == (before, [])
    assert yard.stage.host.api("GET", f"/volumes/{name}")["Labels"]["team"] == "a"
    # What was there before is in a backup of its own, and only in one.
    safety = Backup.objects.exclude(pk=backup.pk).get()
    assert safety.is_good
    if point != "remove volume":
        return
    monkeypatch.undo()
    again = request_restore(somebody(), safety, yard.stage.device, f"{name}-old", mode="new")
    assert done(again).state == "succeeded"
    assert yard.state(f"{name}-old") == spoiled


@pytest.mark.parametrize("point", ["half written", "written", "half written#2"])
def test_restore_in_place_ends_with_the_content_of_the_backup_when_the_link_is_cut(
    point: str, make_yard: MakeYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard()
    name = yard.make(fill='cd "$1"; head -c 5000000 /dev/urandom > blob; chown 7:8 blob; ln blob other')
    wanted, before = yard.state(name), yard.names()
    backup = backed_up(yard, name)
    shell(yard.stage, 'cd "$1"; rm blob; echo three > c', yard.place(name))
    operation = request_restore(somebody(), backup, yard.stage.device, name, mode="replace")
    take_queued()

    ended = is_cut_and_goes_on(operation, Cutter(monkeypatch), point)

    ended.refresh_from_db()
    assert (ended.state, ended.error_message) == ("succeeded", "")
    assert yard.state(name) == wanted
    assert (yard.names(), yard.helpers()) == (before, [])
