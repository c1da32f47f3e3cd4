"""Where a restore or a copy of a volume takes its content from: a backup in the store, or a volume of any host."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from containers.backups import store
from containers.backups.helpers import helper, require_volume
from containers.backups.packing import Unpacker
from containers.errors import BackupUnusable
from containers.models import Backup
from containers.rules.archives import ArchiveError, ArchiveReader, Contents
from containers.rules.manifests import ROOT
from containers.runs.backups import require_good
from containers.runs.holding import hold
from containers.runs.run import Run
from devices.models import Device
from ssm.lib.errors import SsmError


@dataclass(frozen=True, slots=True)
class Source:
    """What is written into the volume: pieces of a tar stream with its ``root``, and what they hold (None: not known).

    ``is_exact`` tells that the engine wrote the archive, so that what is read back has to be the same.
    """

    title: str
    root: str
    is_exact: bool
    expected: Contents | None
    open: Callable[[], Any]


def source_of(run: Run) -> Source:
    """The source that an operation names. Raises BackupUnusable, StoreFailed, SsmError when it is not there."""
    if "backup" in run.parameters:
        return _stored(run, run.parameters["backup"])
    return _other_volume(run, run.parameters["source"])


def _stored(run: Run, backup_id: str) -> Source:
    """A backup in the store, read to its end and proved first. Raises BackupUnusable."""
    backup = Backup.objects.filter(pk=backup_id).first()
    if backup is None:
        raise BackupUnusable("The backup was deleted.")
    require_good(backup)
    contents = verify(run, backup)
    title = f"the backup of {backup.created_at:%Y-%m-%d %H:%M} UTC"

    @contextmanager
    def opened() -> Iterator[Iterable[bytes]]:
        with store.reading(backup.file_name) as file:
            yield Unpacker(file, packing="zstd", root=backup.root, on_progress=progress_of(run, contents))

    return Source(title, backup.root, backup.origin == Backup.Origin.BACKUP, contents, opened)


def verify(run: Run, backup: Backup) -> Contents:
    """Read a stored archive to its end and compare it with its checksum. Raises BackupUnusable, StoreFailed."""
    run.step("Comparing the archive with its checksum")
    total = backup.size_bytes or 0

    def progress(reader: ArchiveReader) -> None:
        run.check_cancelled()
        text = f"{reader.entries:,} files and folders compared"
        run.show([{"id": "check", "text": text, "current": reader.content_bytes, "total": backup.content_bytes or 0}])

    with store.reading(backup.file_name) as file:
        unpacker = Unpacker(file, packing="zstd", root=backup.root, on_progress=progress)
        unpacker.drain()
    run.flush()
    if unpacker.sha256 != backup.sha256 or unpacker.size_bytes != total:
        raise BackupUnusable(
            f"The stored archive is not the one that was written: its SHA-256 is {unpacker.sha256}, and was "
            f"{backup.sha256}. Nothing was changed on the host.",
            fix="Use another backup, and look at the disk of the store.",
        )
    return unpacker.contents


def _other_volume(run: Run, wanted: Any) -> Source:
    """A volume that exists, on this or another host, straight from its engine."""
    device = Device.objects.filter(pk=wanted["device"]).first()
    if device is None:
        raise SsmError("The device of the volume to copy was removed from SSM.")
    name = str(wanted["volume"])
    require_volume(run.engine_of(device), name)

    @contextmanager
    def opened() -> Iterator[Iterable[bytes]]:
        engine = run.engine_of(device)
        with helper(engine, run.operation.pk, name, read_only=True) as volume, volume.read() as stream:
            yield _watched(run, stream)

    return Source(f"{name} on {device.name}", ROOT, True, None, opened)


@contextmanager
def held_source(run: Run) -> Iterator[None]:
    """While the block runs, the containers of a volume that is copied are paused or stopped, by choice."""
    wanted = run.parameters.get("source")
    consistency = str(run.parameters.get("consistency", "running"))
    device = Device.objects.filter(pk=wanted["device"]).first() if wanted else None
    if wanted and device is not None and consistency != "running":
        run.note(begun=True)
        hold(run, device, str(wanted["volume"]), consistency)
    yield


def _watched(run: Run, stream: Iterable[bytes]) -> Iterator[bytes]:
    reader = ArchiveReader(ROOT)
    show = progress_of(run, None)
    try:
        for piece in stream:
            reader.feed(piece)
            show(reader)
            yield piece
        reader.finish()
    except ArchiveError as exc:
        raise BackupUnusable(
            f"What the engine sent of the volume is not whole: {exc}.",
            fix="A file may have changed while it was read: pause or stop the containers meanwhile.",
        ) from exc


def progress_of(run: Run, contents: Contents | None) -> Callable[[ArchiveReader], None]:
    """Shows how much went by, of what is known to come; raises OperationCancelled when it is called off."""
    total = contents.content_bytes if contents else 0

    def progress(reader: ArchiveReader) -> None:
        # Once the old volume is gone there is no way back.
        if not run.journal.get("swapping"):
            run.check_cancelled()
        text = f"{reader.entries:,} files and folders"
        run.show([{"id": "volume", "text": text, "current": reader.content_bytes, "total": total}])

    return progress
