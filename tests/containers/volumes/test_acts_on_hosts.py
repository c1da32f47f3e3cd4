"""Acts on volumes on real hosts: made, copied, written over, removed; refused with the reason; ended by a cut link."""

import io
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from containers import execution, operations
from containers.backup_plans import tick, verify
from containers.backups.uploads import store_upload
from containers.models import Backup, BackupPlan, Operation, Volume
from containers.operations import request_cancel
from containers.rules.volume_facts import NewVolume
from containers.volume_requests import (
    request_backup,
    request_copy,
    request_create,
    request_prune,
    request_remove,
    request_restore,
)
from containers.volume_sync import refresh_volume, sweep_volumes
from devices.connections import pool
from tests.containers.stage import MakeStage
from tests.containers.volumes.conftest import MakeYard
from tests.containers.volumes.yard import Yard, backed_up, done, ended_with, shell, somebody, yard_of
from tests.queued import run_queued, take_queued

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = 'cd "$1"; echo one > a; mkdir d; echo two > d/b'


def row(yard: Yard, name: str) -> Volume:
    found = refresh_volume(yard.stage.device, yard.stage.engine, name)
    assert found is not None
    return found


@pytest.mark.parametrize("engine", ["20", "28"])
def test_volume_is_made_refused_twice_kept_while_used_and_removed(engine: str, make_yard: MakeYard) -> None:
    yard, user = make_yard(engine), somebody()
    device = yard.stage.device
    name = f"made-{engine}-{id(yard)}"
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,password=hidden"}
    made = done(request_create(user, device, NewVolume(name, "local", options, {"team": "a"})))
    assert (made.state, made.error_message) == ("succeeded", "")
    volume = Volume.objects.get(device=device, name=name)
    assert "hidden" not in str(volume.options) and volume.labels == {"team": "a"}
    assert "hidden" not in f"{made.parameters}{made.journal}{made.output}"

    assert ended_with(request_create(user, device, NewVolume(name, "local", {}, {})))[1] == "volume_taken"
    if engine == "28":  # it looks for the plugin for 15 seconds
        no_driver = done(request_create(user, device, NewVolume(f"{name}x", "no-such", {}, {})))
        assert "no volume driver called no-such" in no_driver.error_message
    used = yard.make(fill="")
    container = yard.run(used, start=False)
    refused = done(request_remove(user, row(yard, used)))
    assert refused.error_code == "volume_in_use" and "user-" in refused.error_message
    yard.stage.host.api("DELETE", f"/containers/{container}")
    pruned = done(request_prune(user, device, [used, name, "no-such-volume"]))
    assert pruned.outcome.startswith("3 volumes removed")
    assert not {used, name} & yard.names()
    assert not Volume.objects.filter(device=device, name__in=[used, name]).exists()
    assert ended_with(request_backup(user, device, used, "running").operation) == ("failed", "volume_gone")
    assert Backup.objects.get().state == "failed" and yard.helpers() == []


def test_sweep_reads_volumes_and_their_sizes_and_removes_forgotten_helpers(make_yard: MakeYard) -> None:
    yard = make_yard()
    name = yard.make(fill='head -c 70000 /dev/zero > "$1/x"')
    ended = backed_up(yard, name).operation
    assert ended is not None
    body = {"Image": "demo/clock:1.0.0", "Labels": {"ssm.helper": str(ended.pk)}, "Cmd": ["x"]}
    yard.stage.host.api("POST", "/containers/create?name=left-behind", body)

    changes = yard.stage.sweep()

    assert changes.unread == [] and yard.helpers() == []
    volume = Volume.objects.get(device=yard.stage.device, name=name)
    assert volume.size_bytes is not None and 70000 <= volume.size_bytes < 200_000
    yard.stage.host.api("DELETE", f"/volumes/{name}")
    sweep_volumes(yard.stage.device, yard.stage.engine)
    assert not Volume.objects.filter(pk=volume.pk).exists()


def test_containers_are_stopped_meanwhile_and_started_again(make_yard: MakeYard) -> None:
    yard = make_yard()
    name = yard.make(fill=SMALL)
    running, stopped = yard.run(name), yard.run(name, start=False)

    backup = backed_up(yard, name, "stopped")

    assert sorted(entry["during"] for entry in backup.containers) == ["created", "stopped"]
    assert (yard.standing(running), yard.standing(stopped)) == ("running", "created")


def test_backup_is_written_over_a_volume_in_use_after_its_content_was_backed_up(make_yard: MakeYard) -> None:
    yard = make_yard("20")
    name = yard.make(fill=SMALL)
    backup = backed_up(yard, name)
    user = yard.run(name)
    shell(yard.stage, 'cd "$1"; echo spoiled > a; echo more > extra', yard.place(name))

    in_place = done(request_restore(somebody(), backup, yard.stage.device, name, mode="replace"))
    over = done(request_restore(somebody(), backup, yard.stage.device, name, mode="over", during="stopped"))

    assert in_place.error_code == "volume_in_use"
    assert (over.state, over.error_message) == ("succeeded", "")
    assert shell(yard.stage, 'cd "$1"; cat a extra', yard.place(name)) == "one\nmore\n"
    assert yard.standing(user) == "running" and yard.helpers() == []
    assert Backup.objects.filter(note="before a restore", state="good").count() == 1


def test_volume_is_copied_to_another_host_and_on_its_own(make_yard: MakeYard, make_stage: MakeStage) -> None:
    yard = make_yard("26")
    with yard_of(make_stage("28")) as other:
        name = yard.make()
        volume = row(yard, name)

        there = done(request_copy(somebody(), volume, other.stage.device, f"{name}-copy", "running"))
        here = done(request_copy(somebody(), volume, yard.stage.device, f"{name}-copy", "running"))

        assert [there.error_message, here.error_message] == ["", ""]
        assert other.state(f"{name}-copy") == yard.state(f"{name}-copy") == yard.state(name)
        assert (yard.helpers(), other.helpers()) == ([], [])


def test_damaged_archive_is_refused_before_the_host_is_touched(make_yard: MakeYard, backup_folder: Path) -> None:
    yard = make_yard()
    name = yard.make(fill='head -c 50000 /dev/urandom > "$1/x"')
    backup = backed_up(yard, name)
    file = backup_folder / backup.file_name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    before = yard.names()

    refused = done(request_restore(somebody(), backup, yard.stage.device, f"{name}-new", mode="new"))

    assert refused.error_code == "backup_unusable" and yard.names() == before
    assert not verify(str(backup.pk))
    backup.refresh_from_db()
    assert backup.state == "damaged"


def test_backup_that_is_called_off_leaves_nothing(make_yard: MakeYard, backup_folder: Path) -> None:
    yard = make_yard()
    name = yard.make(fill='head -c 3000000 /dev/urandom > "$1/x"')
    user = yard.run(name)
    asked = request_backup(somebody(), yard.stage.device, name, "paused")
    take_queued()
    assert asked.operation is not None
    # As if somebody had called it off just after it began.
    operation = operations.claim(str(asked.operation.pk), execution.WORKER)
    assert operation is not None and request_cancel(somebody(), operation)
    execution._work(operation)

    asked.refresh_from_db()
    assert Operation.objects.get(pk=operation.pk).state == "cancelled"
    assert asked.state == "failed" and yard.standing(user) == "running" and yard.helpers() == []
    assert not [path for path in backup_folder.rglob("*") if path.is_file()]


def test_cut_link_leaves_no_backup_until_the_host_is_back(make_yard: MakeYard, backup_folder: Path) -> None:
    yard = make_yard("26", exclusive=True)
    name = yard.make(fill='head -c 30000000 /dev/urandom > "$1/x"')
    asked = request_backup(somebody(), yard.stage.device, name, "running")
    take_queued()
    assert asked.operation is not None
    from containers.runs import backups

    pack = backups.pack

    def cutting(run, stream, expected):
        def pieces():
            for number, piece in enumerate(stream):
                if number == 1:
                    pool.close_all()
                yield piece

        return pack(run, pieces(), expected)

    backups.pack = cutting
    try:
        execution.run(str(asked.operation.pk))
    finally:
        backups.pack = pack
    asked.refresh_from_db()
    left = Operation.objects.get(pk=asked.operation.pk)
    assert (left.state, asked.state) == ("running", "running")
    assert not [path for path in backup_folder.rglob("*") if path.is_file()]

    Operation.objects.filter(pk=left.pk).update(heartbeat_at=datetime.now(UTC) - timedelta(minutes=1))
    execution.settle(next(orphan for orphan in operations.orphans() if orphan.pk == left.pk))

    asked.refresh_from_db()
    assert (Operation.objects.get(pk=left.pk).state, asked.state) == ("succeeded", "good")
    assert yard.helpers() == []


def test_plan_makes_backups_when_due_and_deletes_what_it_does_not_keep(
    make_yard: MakeYard, backup_folder: Path
) -> None:
    yard = make_yard()
    name = yard.make(fill=SMALL)
    device = yard.stage.device
    type(device).objects.filter(pk=device.pk).update(state="online")
    plan = BackupPlan.objects.create(
        device=device, volume_name=name, schedule="0 3 * * *", keep_last=1, keep_weekly=0, next_at=datetime.now(UTC)
    )
    for _time in range(2):
        BackupPlan.objects.filter(pk=plan.pk).update(next_at=datetime.now(UTC) - timedelta(seconds=1))
        assert (tick(), tick()) == (1, 0)
        run_queued()
    tick()
    run_queued()

    kept = Backup.objects.get(plan=plan)
    assert kept.is_good and len([path for path in backup_folder.rglob("*.zst") if path.is_file()]) == 1
    plan.refresh_from_db()
    assert plan.next_at is not None and plan.next_at > datetime.now(UTC) and plan.last_error == ""


def test_archive_from_elsewhere_is_restored(make_yard: MakeYard) -> None:
    yard = make_yard()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in (("./dir/a", b"uploaded"), ("b", b"")):
            info = tarfile.TarInfo(name)
            info.size, info.uid = len(data), 55
            tar.addfile(info, io.BytesIO(data))
    buffer.seek(0)
    backup = store_upload(buffer, volume="up", note="", by="somebody")
    target = f"up-{backup.pk}"[:20]

    restored = done(
        request_restore(
            User.objects.get_or_create(username="x", defaults={"is_superuser": True})[0],
            backup,
            yard.stage.device,
            target,
            mode="new",
        )
    )

    assert (restored.state, restored.error_message) == ("succeeded", "")
    assert shell(yard.stage, 'cd "$1"; cat dir/a; stat -c %u b', yard.place(target)) == "uploaded55\n"
